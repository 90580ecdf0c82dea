"""Stored samples as a network sees them at one of its layers: what indices, neighbours and labelling are made of."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fovea import inputs
from fovea.budget import batch_within
from fovea.errors import BundleError, UsageError, unknown
from fovea.explanation.features.embedding import Embedding, pooled
from fovea.explanation.outputs import matching
from fovea.explanation.target_layer import calls_of
from fovea.hooks import capture
from fovea.inputs.interface import Samples
from fovea.model.bundle import Bundle
from fovea.training.losses import main_head

Progress = Callable[[int, int], None]
BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Embedder:
    """What a network makes of stored samples at one layer: `embedder(samples)`."""

    bundle: Bundle
    layer: str
    """The path of a module."""
    entering: bool
    """Whether the embedding is what enters the layer, not what it gives."""

    @torch.no_grad()
    def __call__(self, samples: Samples, *, batch: int = BATCH, progress: Progress | None = None) -> Embedding:
        """Return features (N, D) and outputs (N, K), float32 on the CPU, of stored samples: images (N, H, W, C) uint8.

        Of a layer with places, (N, D, h, w), the features are the mean over these.

        Raises: BundleError if one is not finite.
        """
        prepare = inputs.kind_of(self.bundle.preprocess).network_input(self.bundle.preprocess, self.bundle.device)
        batch = batch_within(batch, self.bundle.input_bytes)
        features, outputs = list[Tensor](), list[Tensor]()
        model = self.bundle.model.eval()
        with capture(model, [self.layer], inputs=self.entering) as seen:
            for first in range(0, len(samples), batch):
                x = matching(model, prepare(prepare.arranged(np.array(samples[first : first + batch]))))
                outputs.append(main_head(model(x)).float().cpu())
                features.append(self._features(seen[self.layer], len(x)))
                if progress is not None:
                    progress(min(first + batch, len(samples)), len(samples))
        if not features:
            raise UsageError("An embedding needs at least one sample.")
        found = Embedding(layer=self.layer, features=torch.cat(features), outputs=torch.cat(outputs))
        if not found.features.isfinite().all():
            raise BundleError(
                f"The output of `{self.layer}` is not finite: the weights, or mean and std, are corrupted."
            )
        return found

    def _features(self, held: Tensor, count: int) -> Tensor:
        if held.ndim < 2 or len(held) != count:
            raise UsageError(
                f"The output of `{self.layer}` is {tuple(held.shape)} for {count} samples; choose a layer with one "
                "row per sample."
            )
        # a copy: what is kept of a batch must not be changed by the next one, nor keep its maps in memory
        return pooled(held).float().cpu().clone()


def embedder_of(bundle: Bundle, layer: str | None = None) -> Embedder:
    """Return what embeds samples by what enters the last layer with weights, or by what another `layer` gives.

    Raises: UsageError if there is no such layer, or it does not run, or answers do not tell of whole images.
    """
    bundle.target.check_whole("An embedding of images")
    calls = [call for call in calls_of(bundle.model, bundle.blank) if call.path]
    if layer is None:
        learned = [call for call in calls if any(True for _ in call.module.parameters(recurse=False))]
        if not learned:
            raise UsageError("No layer of this network has weights; give the layer to use.")
        return Embedder(bundle=bundle, layer=learned[-1].path, entering=True)
    if layer not in (modules := dict(bundle.model.named_modules())):
        raise unknown("layer", layer, filter(None, modules))
    if all(call.path != layer for call in calls):
        raise UsageError(f"The layer `{layer}` did not run; `fovea measure` lists the layers that run.")
    return Embedder(bundle=bundle, layer=layer, entering=False)
