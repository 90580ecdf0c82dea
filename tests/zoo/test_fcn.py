import pytest
import torch

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError
from fovea.zoo.fcn import Scores, bilinear


def test_an_enlargement_begins_as_bilinear_interpolation():
    x = torch.randn(1, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    # at the border zeros come in, as from the paper's padding
    torch.testing.assert_close(bilinear(3)(x)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_each_finer_form_adds_a_score_and_an_enlargement():
    counts = [registry.entry(f"fcn_{stride}s").params for stride in (32, 16, 8)]
    assert counts[1] - counts[0] == 512 * 21 + 21 + 21 * 21 * 16
    assert counts[2] - counts[1] == 256 * 21 + 21 + 21 * 21 * 16


def test_the_dense_layers_have_the_weights_of_vgg16():
    with torch.device("meta"):
        own, dense = registry.build("fcn_32s").head.dense, registry.build("vgg16").head
    assert own.conv6.weight.numel() == dense.dense1.weight.numel()
    assert own.conv7.weight.numel() == dense.dense2.weight.numel()


def test_scores_of_finer_maps_are_added():
    head = Scores([2, 3], 2, dropout=0.0).eval()
    torch.nn.init.zeros_(head.logits.weight)
    with torch.no_grad():
        head.logits.bias.copy_(torch.tensor([1.0, 2.0]))
        head.scores[0].weight.copy_(torch.eye(2)[:, :, None, None])
        head.scores[0].bias.zero_()
    fine = torch.full((1, 2, 8, 8), 10.0)
    y = head(torch.zeros(1, 3, 64, 64), fine, torch.zeros(1, 3, 4, 4))
    assert y.shape == (1, 2, 64, 64)
    assert y[0, :, 32, 32].tolist() == [11, 12]


@pytest.mark.parametrize("name", ["fcn_32s", "fcn_8s"])
def test_every_pixel_of_a_size_that_32_does_not_divide_is_answered(name):
    with torch.device("meta"):
        model = registry.build(name, classes=4).eval()
        assert model(torch.empty(1, 3, 50, 75)).shape == (1, 4, 50, 75)


def test_an_image_too_small_is_told():
    with (
        pytest.raises(ShapeError, match=r"Layer `stage5.pool` .* `size` \(=31\) must be at least 32"),
        torch.device("meta"),
    ):
        registry.build("fcn_8s", size=31)
