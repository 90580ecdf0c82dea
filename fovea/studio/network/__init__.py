"""The room "Network": what a network costs and sees, layer by layer, and what changes when it is changed."""
