"""The palette of all pictures."""

INK, SOFT, LINE = "#1f2933", "#7b8794", "#cbd2d9"
"""Titles and what is drawn first; what explains; frames and grids."""
GREEN, BLUE, ORANGE = "#1d7a5f", "#2f6fb0", "#d9480f"
"""What a picture is about."""
