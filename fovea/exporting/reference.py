"""What a network itself says of samples: what its exported graph is compared with.

Logits are (N, K) float32, stored samples (N, H, W, C) uint8 of images.
"""

import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fovea import inputs
from fovea.errors import BundleError, FoveaError
from fovea.exporting.samples import Samples
from fovea.inputs.interface import Stored
from fovea.model.bundle import Bundle
from fovea.training.losses import main_head

INDIFFERENT = 1e-5
"""A network whose logits vary by less than this share of their size shows nothing that could be compared."""
BATCH = 16


class ProofError(FoveaError, ValueError):
    """An exported graph that does not compute what its network does, or of which that cannot be shown."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a network says of samples."""

    bundle: Bundle
    samples: Samples
    logits: Tensor
    """(N, K) float32."""
    scale: float
    """How much logits vary from sample to sample: the root of their mean squared deviation."""

    @cached_property
    def exact(self) -> Tensor:
        """The logits (N, K) computed in float64, from the same float32 inputs."""
        return network_logits(self.bundle, self.samples.stored, double=True)


def reference(bundle: Bundle, samples: Samples) -> Reference:
    """Return what the network says of samples.

    Raises:
        ProofError: it says the same of all, as far as numbers go, so that no comparison would mean anything.
        BundleError: it says what is not finite.
    """
    logits = network_logits(bundle, samples.stored)
    if not logits.isfinite().all():
        raise BundleError("The network's outputs are not finite: its weights, or its mean and std, are corrupted.")
    values = logits.double()
    scale = (values - values.mean(0)).square().mean().sqrt().item()
    size = values.abs().max().item()
    if scale <= INDIFFERENT * size:
        noun = inputs.kind_of(bundle.preprocess).noun
        raise ProofError(
            f"The network predicts the same for every {noun}: its logits of up to {size:.2g} vary by {scale:.1g}. "
            "An exported graph cannot be verified, and no file is written. Train the network first."
        )
    return Reference(bundle=bundle, samples=samples, logits=logits, scale=scale)


@torch.inference_mode()
def network_logits(bundle: Bundle, stored: Stored, *, double: bool = False) -> Tensor:
    """Return the network's own outputs (N, K) for stored samples of any size: float32, or float64 with `double`."""
    prepare = inputs.kind_of(bundle.preprocess).network_input(bundle.preprocess, bundle.device)
    model = copy.deepcopy(bundle.model).double() if double else bundle.model
    outputs = []
    for first in range(0, len(stored), BATCH):
        x = prepare(prepare.arranged(stored[first : first + BATCH]))
        outputs.append(main_head(model(x.double() if double else x)).cpu())
    return torch.cat(outputs)
