"""First principles in NumPy and scipy.sparse, float64: what each operation of a CNN is, and what tests compare with.

Each file is a page to read beside its formulas, forward and backward; clear before fast.

    padding        zero, constant, reflect, replicate, circular; "valid", "same", "full"
    convolution    correlate, convolve (1-D, 2-D, 3-D; stride, dilation, groups), their gradients
    transposed     transposed convolution; the gradients of a convolution as convolutions
    matrix         convolution_matrix (sparse), im2col, col2im
    dense          dense and locally connected layers, dropout
    pooling        max, average, L2, fractional max, global
    activation     relu, prelu, sigmoid, tanh, gelu, softmax
    normalisation  batch, layer, group, instance norm; local response norm
    channels       squeeze-and-excitation, channel shuffle
    losses         softmax cross-entropy, mean squared error
    optimisers     SGD, momentum, RMSProp, Adadelta, Adam as update equations
    lenet5         a complete network of the above: forward, backward, update
    filters        the classic kernels by name

Arrays are (N, C, *sizes), as in PyTorch. A gradient function takes g, the gradient of the loss by the layer's output,
before the layer's own arguments. Nothing here imports from elsewhere in the package.
"""
