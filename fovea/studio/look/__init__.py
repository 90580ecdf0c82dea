"""The room "Look": every layer of the network on any image."""
