"""Finding images by what a network makes of them: indices of embeddings, exact and approximate neighbours."""

SUFFIX = ".fovea-index"
"""Of the files of indices."""
