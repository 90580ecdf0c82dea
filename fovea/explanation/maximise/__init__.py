"""Images that are looked for: what a channel or an answer wants to see, and one image in the style of another."""
