"""What dense outputs mean, in NumPy alone: boxes, peaks and points. One decoder for PyTorch, files and servers."""
