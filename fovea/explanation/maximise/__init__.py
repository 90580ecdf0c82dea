"""Images that are searched for: what a channel or an answer wants to see, and one image in the style of another."""
