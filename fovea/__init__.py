"""Fovea: from a folder of images to a convolutional network that you trust, understand and can ship."""

__version__ = "0.1.0"
