"""Lossless coding of the tensors of a model file: few values, many zeros or two signs take few bits, and come back.

`tensors` codes and decodes them all, `forms` one array; `description` is what the card says, read without an engine.
"""
