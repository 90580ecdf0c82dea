"""`fovea explain --show`: one file per kind of picture; `kinds.py` lists them all."""
