import numpy as np
import pytest
import torch
from seeded_bundles import TASKS, seeded_bundle
from torch import nn

from fovea.errors import UsageError
from fovea.exporting.settings import ExportSettings
from fovea.exporting.whole import ResponseNorm, Whole, one_by_one, refuse, written_out


def stored(bundle, count=3):
    return np.random.default_rng(0).integers(0, 256, (count, *bundle.preprocess.stored_shape), np.uint8)


@pytest.mark.parametrize("task", TASKS)
def test_outputs_are_those_of_the_bundle_in_the_order_of_an_exported_file(task):
    bundle = seeded_bundle(task)
    samples = stored(bundle)
    with torch.no_grad():
        whole = Whole(bundle)
        found = dict(zip(whole.names, whole(torch.from_numpy(samples)), strict=True))
    rows = bundle.target.row_name
    assert whole.names == (rows, "logits", *(["present"] if task == "labels" else []))
    np.testing.assert_allclose(found["logits"], bundle.outputs(samples), atol=1e-5)
    np.testing.assert_allclose(found[rows], bundle.scores(samples), rtol=1e-5, atol=1e-6)
    if task == "labels":
        assert np.array_equal(found["present"], bundle.target.present(bundle.scores(samples)))


def test_raw_takes_normalised_inputs_and_channels_first_takes_pixels():
    bundle = seeded_bundle()
    samples = stored(bundle)
    own = bundle.outputs(samples)
    with torch.no_grad():
        (raw,) = Whole(bundle, raw=True)(torch.from_numpy(bundle.preprocess.normalise(samples)))
        first = torch.from_numpy(samples).movedim(-1, 1).float()
        pixels = Whole(bundle, channels_first=True)(first)[1]
    torch.testing.assert_close(raw, own, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pixels, own, atol=1e-5, rtol=1e-5)


def test_half_computes_in_float16_and_gives_float32():
    bundle = seeded_bundle()
    samples = stored(bundle)
    with torch.no_grad():
        whole = Whole(bundle, half=True)
        rows, logits = whole(torch.from_numpy(samples))
    assert {p.dtype for p in whole.core.parameters()} == {torch.float16} and logits.dtype == rows.dtype == torch.float32
    assert 0 < (logits - bundle.outputs(samples)).abs().max() < 0.05


def test_the_network_of_the_bundle_is_not_changed():
    bundle = seeded_bundle(architecture="lenet5", channels=1, size=32)
    before = {name: (tensor.clone(), tensor.stride()) for name, tensor in bundle.model.state_dict().items()}
    Whole(bundle, half=True)
    for name, tensor in bundle.model.state_dict().items():
        assert torch.equal(tensor, before[name][0]) and tensor.stride() == before[name][1]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_response_norm_written_out_is_that_of_pytorch(size):
    norm = nn.LocalResponseNorm(size, alpha=0.3, beta=0.7, k=1.5)
    x = torch.randn(2, 7, 3, 4, generator=torch.Generator().manual_seed(0))
    model = written_out(nn.Sequential(nn.Identity(), nn.Sequential(norm)))
    assert isinstance(model[1][0], ResponseNorm)
    torch.testing.assert_close(model(x), norm(x))


def test_samples_run_one_by_one_are_joined():
    found = one_by_one(lambda sample: {"logits": sample.sum((1, 2), keepdims=False)}, np.arange(12.0).reshape(3, 2, 2))
    assert found["logits"].tolist() == [6, 22, 38]


@pytest.mark.parametrize(
    ("settings", "option"),
    [({"precision": "float16"}, "half"), ({"raw": True}, "raw"), ({"dynamic_size": True}, "dyn")],
)
def test_what_a_target_lacks_is_refused(settings, option):
    with pytest.raises(UsageError, match=f"`--{option}.*cannot be combined with `--to board`"):
        refuse(ExportSettings(**settings), "board", "half", "raw", "dynamic-size")
    refuse(ExportSettings(**settings), "board")
