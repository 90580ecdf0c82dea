"""The room "Explain": where networks see their answers, side by side, and whether that is to be believed."""
