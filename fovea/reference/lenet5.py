"""LeNet-5, a complete CNN on one screen: forward, backward, update. LeCun et al. 1998, doi:10.1109/5.726791, Figure 2.

The modern form, as the zoo's `lenet5`: convolution, 2x2 max pooling, ReLU, twice; then three dense layers with ReLU
between them. Images (N, C, H, W) float64, labels (N,) integers. Names as in the figure; relu(S2) is what C3 sees.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.reference.activation import relu, relu_gradient
from fovea.reference.convolution import correlate, correlate_gradients
from fovea.reference.dense import dense, dense_gradients
from fovea.reference.losses import softmax_cross_entropy, softmax_cross_entropy_gradient
from fovea.reference.optimisers import sgd
from fovea.reference.padding import Array
from fovea.reference.pooling import max_pool, max_pool_gradient


class Layer(NamedTuple):
    """Weights and biases of one layer, or their gradients: (c_out, c_in, 5, 5) or (c_out, c_in), and (c_out,)."""

    weight: Array
    bias: Array


class LeNet5(NamedTuple):
    """The five layers that learn, or their gradients."""

    C1: Layer
    C3: Layer
    C5: Layer
    F6: Layer
    logits: Layer


class Maps(NamedTuple):
    """What each layer puts out, on the way from images to logits (N, classes)."""

    C1: Array
    S2: Array
    C3: Array
    S4: Array
    C5: Array
    F6: Array
    logits: Array


def initial(generator: np.random.Generator, *, c_in: int = 1, size: int = 32, classes: int = 10) -> LeNet5:
    """Return weights from N(0, 2 / fan-in) (He et al. 2015, arXiv:1502.01852, equation 10) and biases of zero."""
    pixels = ((size - 4) // 2 - 4) // 2  # a side of S4: a 5x5 window takes 4 pixels off, pooling halves
    shapes = ((6, c_in, 5, 5), (16, 6, 5, 5), (120, 16 * pixels**2), (84, 120), (classes, 84))
    scales = (np.sqrt(2 / np.prod(shape[1:])) for shape in shapes)
    drawn = (generator.normal(scale=scale, size=shape) for scale, shape in zip(scales, shapes, strict=True))
    return LeNet5(*(Layer(weight, np.zeros(len(weight))) for weight in drawn))


def forward(net: LeNet5, images: Array) -> Maps:
    """Return the output of every layer, for images (N, c_in, size, size)."""
    # Shapes for the paper's 32 x 32 pixels. ReLU after pooling gives the same as before it, on a quarter of the values.
    C1 = correlate(images, net.C1.weight, bias=net.C1.bias)  # (N, 6, 28, 28)
    S2 = max_pool(C1, 2)  # (N, 6, 14, 14)
    C3 = correlate(relu(S2), net.C3.weight, bias=net.C3.bias)  # (N, 16, 10, 10)
    S4 = max_pool(C3, 2)  # (N, 16, 5, 5)
    C5 = dense(_flat(relu(S4)), net.C5.weight, net.C5.bias)  # (N, 120)
    F6 = dense(relu(C5), net.F6.weight, net.F6.bias)  # (N, 84)
    logits = dense(relu(F6), net.logits.weight, net.logits.bias)
    return Maps(C1, S2, C3, S4, C5, F6, logits)


def backward(net: LeNet5, images: Array, maps: Maps, g: Array) -> LeNet5:
    """Return the gradients of all weights, given g = dL/dlogits: the forward pass, read from its end.

    `maps` are those of `forward(net, images)`.
    """
    logits = dense_gradients(g, relu(maps.F6), net.logits.weight)
    F6 = dense_gradients(relu_gradient(logits.x, maps.F6), relu(maps.C5), net.F6.weight)
    C5 = dense_gradients(relu_gradient(F6.x, maps.C5), _flat(relu(maps.S4)), net.C5.weight)
    g = max_pool_gradient(relu_gradient(C5.x.reshape(maps.S4.shape), maps.S4), maps.C3, 2)
    C3 = correlate_gradients(g, relu(maps.S2), net.C3.weight)
    g = max_pool_gradient(relu_gradient(C3.x, maps.S2), maps.C1, 2)
    C1 = correlate_gradients(g, images, net.C1.weight)
    return LeNet5(*(Layer(layer.kernel, layer.bias) for layer in (C1, C3, C5, F6, logits)))


def step(net: LeNet5, images: Array, labels: NDArray[np.integer], *, lr: float) -> tuple[LeNet5, float]:
    """Return the network after one step of gradient descent on one batch, and the loss before it."""
    maps = forward(net, images)
    gradients = backward(net, images, maps, softmax_cross_entropy_gradient(maps.logits, labels))
    updated = (
        Layer(sgd(layer.weight, g.weight, lr=lr), sgd(layer.bias, g.bias, lr=lr))
        for layer, g in zip(net, gradients, strict=True)
    )
    return LeNet5(*updated), softmax_cross_entropy(maps.logits, labels)


def train(
    net: LeNet5, images: Array, labels: NDArray[np.integer], generator: np.random.Generator, *, batch: int, lr: float
) -> LeNet5:
    """Return the network after one epoch: a step on each `batch` of the images, in random order."""
    order = generator.permutation(len(images))
    for start in range(0, len(images), batch):
        chosen = order[start : start + batch]
        net, _ = step(net, images[chosen], labels[chosen], lr=lr)
    return net


def _flat(x: Array) -> Array:
    return x.reshape(len(x), -1)
