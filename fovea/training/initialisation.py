"""Initial weights: He, Xavier and LeCun for any network, and the whitening of a first convolution.

Images are (N, C, H, W) float32, normalised.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.errors import ShapeError
from fovea.layers import PredefinedSparseConv2d

Layer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


def initialise(model: nn.Module, name: str, generator: torch.Generator) -> None:
    """Draw the weights of every convolution and dense layer of `model` anew and set their biases to zero.

    `he`: normal, variance 2 / fan_in (He et al. 2015, arXiv:1502.01852, eq. 10). `xavier`: uniform, variance
    2 / (fan_in + fan_out) (Glorot and Bengio 2010, eq. 16). `lecun`: normal, variance 1 / fan_in (LeCun et al. 1998,
    "Efficient BackProp", section 4.6). `own` leaves the network as it is.
    """
    for layer in model.modules():
        if name == "own" or not isinstance(layer, Layer):
            continue
        weight = layer.weight.detach()
        if name == "xavier":
            nn.init.xavier_uniform_(weight, generator=generator)
        else:
            gain = 2.0 if name == "he" else 1.0
            fan_in = weight[0].numel()
            weight.normal_(0.0, (gain / fan_in) ** 0.5, generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        if isinstance(layer, PredefinedSparseConv2d):
            layer.thin()


def whitening_filters(images: Tensor, kernel: int, *, epsilon: float = 5e-4) -> Tensor:
    """Return the (C * kernel^2, C, kernel, kernel) filters that decorrelate the patches of `images` (N, C, H, W) float.

    The responses have unit variance and no correlation: eigenvectors of the patches' covariance, each divided by the
    root of its eigenvalue plus `epsilon`, strongest first (Page 2018; Jordan 2024, arXiv:2404.00498, section 3.1).
    """
    C = images.shape[1]
    covariance = torch.zeros(C * kernel**2, C * kernel**2, dtype=torch.float64)
    for chunk in torch.split(images, 50):
        patches = F.unfold(chunk, kernel).transpose(1, 2).reshape(-1, C * kernel**2).double()
        covariance += patches.T @ patches / len(patches) * len(chunk) / len(images)
    eigenvalues, eigenvectors = torch.linalg.eigh(covariance)
    filters = eigenvectors / (eigenvalues + epsilon).sqrt()
    strongest_first: Tensor = filters.T.flip(0).reshape(-1, C, kernel, kernel).float()
    return strongest_first


def whiten_first_convolution(model: nn.Module, images: Tensor, *, bias_learns: bool = True) -> None:
    """Set the first convolution of `model` to the whitening of `images` and to its negative, and freeze that weight.

    Half of its filters take the strongest components, as many as there are; what is left over stays as it was.
    Unless `bias_learns`, the bias becomes 0 and is frozen too.

    Raises:
        ShapeError: the layer has fewer than two filters, groups or an oblong kernel; or there is none.
    """
    convolutions = ((path, module) for path, module in model.named_modules() if isinstance(module, nn.Conv2d))
    path, convolution = next(convolutions, ("", None))
    if convolution is None:
        raise ShapeError("`whiten` needs a convolution, and the network has none.")
    (kernel, width), C = convolution.kernel_size, convolution.in_channels
    pairs = min(convolution.out_channels // 2, C * kernel**2)
    if kernel != width:
        raise ShapeError(f"`whiten` needs a square first convolution; `{path}` is {kernel}x{width}.")
    if convolution.groups != 1:
        raise ShapeError(f"`whiten` needs a first convolution without groups; `{path}` has {convolution.groups}.")
    if pairs == 0:
        raise ShapeError(f"`whiten` needs two filters at least in the first convolution; `{path}` has one.")
    white = whitening_filters(images, kernel)[:pairs]
    with torch.no_grad():
        convolution.weight[: 2 * pairs] = torch.cat([white, -white])
    convolution.weight.requires_grad_(False)
    if convolution.bias is not None and not bias_learns:
        nn.init.zeros_(convolution.bias).requires_grad_(False)
