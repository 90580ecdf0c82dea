"""The live pictures of the course: each kind is a function of its settings."""
