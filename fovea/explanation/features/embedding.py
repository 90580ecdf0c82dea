"""What a network makes of images just before its last layer, and that space on a plane.

Inputs are (n, C, H, W) float, normalised; features are (N, D), outputs (N, K), both float32 on the CPU.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from sklearn.manifold import TSNE
from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.explanation.outputs import LayerOutputs, evaluating, matching
from fovea.explanation.target_layer import calls_of
from fovea.hooks import capture
from fovea.retrieval import neighbours

PERPLEXITY = 30.0
"""Of t-SNE: about how many neighbours each image is kept beside."""
LINEAR = 50
"""Principal components that t-SNE starts from, as its authors have it."""


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Images as a network sees them at the end."""

    layer: str
    """The last dense layer, or the one that was named."""
    features: Tensor
    """(N, D) float32: what enters the last dense layer; or what the named layer gives, mean over its places."""
    outputs: Tensor
    """(N, K) float32: what the network says."""


def last_dense(model: nn.Module, x: Tensor) -> str:
    """Return the path of the dense layer whose output is that of the network, for inputs `x` (N, C, H, W) float.

    Raises: UsageError if something else with weights stands last.
    """
    calls = calls_of(model, matching(model, x[:1]).clone())
    whole = calls[-1].result
    learned = [call for call in calls if call.path and [*call.module.parameters(recurse=False)]]
    if learned and isinstance(learned[-1].module, nn.Linear):
        given = learned[-1].result
        if whole is not None and given is not None and given.shape == whole.shape and torch.equal(given, whole):
            return learned[-1].path
    last = f"`{learned[-1].path}`" if learned else "no layer with weights"
    raise UsageError(f"This needs a network that ends in a dense layer; the last layer here is {last}.")


def embed(model: nn.Module, batches: Iterable[Tensor], *, layer: str | None = None) -> Embedding:
    """Return the features and outputs of images that come in batches (n, C, H, W), one batch in memory at a time.

    By default the features are those that the last dense layer weighs; `layer` names another place.

    Raises:
        UsageError: no batch, no such layer, or no dense layer at the end where none is named.
    """
    features, outputs = list[Tensor](), list[Tensor]()
    path = layer
    for x in batches:
        path = path if path is not None else last_dense(model, x)
        given, answers = _entering(model, x, path) if layer is None else _leaving(model, x, path)
        features.append(pooled(given).float().cpu())
        outputs.append(answers.float().cpu())
    if path is None or not features:
        raise UsageError("An embedding needs at least one batch of images.")
    return Embedding(layer=path, features=torch.cat(features), outputs=torch.cat(outputs))


@torch.no_grad()
def _entering(model: nn.Module, x: Tensor, path: str) -> tuple[Tensor, Tensor]:
    with evaluating(model), capture(model, [path], inputs=True) as seen:
        answers = model(matching(model, x).clone())
    return seen[path], answers


@torch.no_grad()
def _leaving(model: nn.Module, x: Tensor, path: str) -> tuple[Tensor, Tensor]:
    found = LayerOutputs(model, [path, ""], x)(x)
    return found[path], found[""]


def pooled(output: Tensor) -> Tensor:
    """Return the output (N, K, ...) of a layer as (N, K), of its dtype: the mean over its places."""
    return output.flatten(2).mean(2) if output.ndim > 2 else output


class Neighbours(NamedTuple):
    """The nearest rows for each of M queries, nearest first, both (M, count)."""

    rows: Tensor
    """int64."""
    distances: Tensor
    """float32."""


def nearest(
    features: Tensor,
    queries: Tensor,
    *,
    count: int = 9,
    metric: Literal["l2", "cosine"] = "l2",
) -> Neighbours:
    """Return which of `features` (N, D) float lie nearest to each of the `queries` (M, D) float.

    `l2` is the Euclidean distance, `cosine` is 1 less the cosine of the angle, which a vector of zeros makes 1 with
    all. Of equal ones the first stands first.
    """
    if count < 1:
        raise UsageError(f"`count` (={count}) must be at least 1.")
    found = neighbours.nearest(queries.cpu().numpy(), features.cpu().numpy(), count, metric=metric)
    return Neighbours(torch.from_numpy(found.indices), torch.from_numpy(found.distances))


def planar(
    features: Tensor, method: Literal["pca", "tsne"] = "pca", *, perplexity: float = PERPLEXITY, seed: int = 0
) -> Tensor:
    """Return features (N, D) float on a plane: (N, 2) float32, about 0.

    `pca` are the two directions of most variance, each with its largest loading positive; `tsne` is van der Maaten and
    Hinton 2008, "Visualizing data using t-SNE", of at most `LINEAR` of these, from a start by them. Its `perplexity`
    is lowered for few images.

    Raises: UsageError for fewer than three images, or another method.
    """
    if method not in ("pca", "tsne"):
        raise UsageError(f"`method` (={method}) must be `pca` or `tsne`.")
    if len(features) < 3:
        raise UsageError(f"A map needs at least 3 images, not {len(features)}.")
    reduced = _principal(features.double().cpu(), LINEAR if method == "tsne" else 2)
    if method == "tsne":
        start = reduced[:, :2] / reduced[:, 0].std().clamp(min=1e-12) * 1e-4  # as small as its authors start
        most = (len(reduced) - 1) / 3
        tsne = TSNE(2, perplexity=min(perplexity, most), init=start.float().numpy(), random_state=seed)
        return torch.from_numpy(tsne.fit_transform(reduced.float().numpy()))
    return reduced.float()


def _principal(values: Tensor, count: int) -> Tensor:
    """Return (N, count) principal components of `values` (N, D), at least two, zeros where there are no more."""
    centred = values - values.mean(0)
    u, s, v = torch.linalg.svd(centred, full_matrices=False)
    largest = v.gather(1, v.abs().argmax(1, keepdim=True))  # signs are open
    components = (u * s * largest.sign().T)[:, :count]
    return nn.functional.pad(components, (0, max(0, 2 - components.shape[1])))
