"""Embeddings of stored samples: of the layers they are said to be of, in batches of any size."""

import numpy as np
import pytest
import torch
from torch import nn

from fovea.card import CUSTOM
from fovea.errors import UsageError
from fovea.model.bundle import load
from fovea.model.embedding import embedder_of

COLOURS = np.eye(3, dtype=np.uint8)[:, None, None] * np.full((1, 4, 4, 1), 255, np.uint8)


def test_what_enters_the_last_layer_is_embedded_and_its_outputs_come_along(make_bundle):
    bundle = load(make_bundle())
    found = embedder_of(bundle)(COLOURS)
    assert found.layer == "head.logits"
    torch.testing.assert_close(found.features, 6 * torch.eye(3))
    torch.testing.assert_close(found.outputs, bundle.outputs(COLOURS))
    torch.testing.assert_close(bundle.model.head.logits(found.features), found.outputs)


def test_a_named_layer_is_embedded_by_what_it_gives(make_bundle):
    bundle = load(make_bundle(order=(2, 0, 1)))
    found = embedder_of(bundle, "head.logits")(COLOURS)
    torch.testing.assert_close(found.features, found.outputs)


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_the_batch_changes_nothing_and_no_hook_is_left(make_bundle, batch):
    bundle = load(make_bundle())
    told = []
    found = embedder_of(bundle)(COLOURS, batch=batch, progress=lambda *given: told.append(given))
    torch.testing.assert_close(found.features, 6 * torch.eye(3))
    assert told[-1] == (3, 3) and all(not module._forward_hooks for module in bundle.model.modules())


class Convolved(nn.Module):
    """Ends in a convolution and its mean over places, as SqueezeNet does."""

    def __init__(self):
        super().__init__()
        self.grow, self.last, self.unused = nn.Conv2d(3, 5, 1), nn.Conv2d(5, 3, 1), nn.ReLU()

    def forward(self, x):
        return self.last(self.grow(x)).mean((2, 3))


def test_maps_are_embedded_by_their_mean_over_places(make_bundle):
    model = Convolved()
    bundle = load(make_bundle(model=model, architecture=CUSTOM, arguments={}), model=model)
    pixels = np.random.default_rng(0).integers(256, size=(4, 4, 4, 3), dtype=np.uint8)
    found = embedder_of(bundle)(pixels)
    assert found.layer == "last"
    torch.testing.assert_close(found.features, model.grow(bundle.inputs_of(pixels)).mean((2, 3)).detach())
    with pytest.raises(UsageError, match="The layer `unused` did not run"):
        embedder_of(bundle, "unused")


def test_an_unknown_layer_and_no_samples_are_refused(make_bundle):
    bundle = load(make_bundle())
    with pytest.raises(UsageError, match="Unknown layer `head.logit`; did you mean `head.logits`"):
        embedder_of(bundle, "head.logit")
    with pytest.raises(UsageError, match="at least one sample"):
        embedder_of(bundle)(COLOURS[:0])
