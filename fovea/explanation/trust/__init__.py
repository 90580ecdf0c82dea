"""Whether the maps of a method are to be believed."""
