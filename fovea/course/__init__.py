"""What the five lectures say, and where this package shows it."""
