"""Where in an image the evidence for an answer lies. One file per family of methods; `methods.py` lists them all."""
