"""Static int8: uint8 activations, int8 weights with a scale for each output channel."""
