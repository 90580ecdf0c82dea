"""Training that begins on smaller images: which size when, the pixels, and what such a training costs and keeps."""

import pytest
import torch
from torch import nn

from fovea.errors import UsageError
from fovea.training.checkpoint import load_checkpoint, save_checkpoint
from fovea.training.first_sizes import Phase, phases, pixels_at, required, resized
from fovea.training.recipe import Recipe


def test_a_size_holds_up_to_its_share_of_the_training():
    parts = phases(("20 0.25", "24 0.6"))
    assert parts == (Phase(20, 0.25), Phase(24, 0.6))
    assert [pixels_at(parts, progress) for progress in (0, 0.24, 0.25, 0.59, 0.6, 1)] == [20, 20, 24, 24, 0, 0]


def test_smaller_images_are_means_of_their_pixels():
    images = torch.arange(16.0).reshape(1, 1, 4, 4)
    smaller = resized(images, 2)
    assert smaller.shape == (1, 1, 2, 2) and smaller.mean() == pytest.approx(images.mean().item())
    assert (smaller[0, 0, 0, 1] > smaller[0, 0, 0, 0]) and (smaller[0, 0, 1, 0] > smaller[0, 0, 0, 1])
    assert resized(images, 0) is images and resized(images, 4) is images


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (("24",), r"^`first_sizes` \(=24\) must be pixels and a share of the training, as `24 0.6`\.$"),
        (("24 half",), r"^`first_sizes` \(=24 half\) must be pixels and a share"),
        (("0 0.5",), r"^`first_sizes` \(=0 0.5\): pixels must be 1 or more, and the share above 0 and up to 1\.$"),
        (("20 0.5", "24 0.5"), r"^`first_sizes` \(=24 0.5\): .* the share above 0.5 and up to 1\.$"),
        (("20 nan",), r"^`first_sizes` \(=20 nan\): pixels must be 1 or more"),
        (("20 1.5",), r"^`first_sizes` \(=20 1.5\): pixels must be 1 or more"),
    ],
)
def test_what_is_no_size_and_share_is_refused(specs, message):
    with pytest.raises(UsageError, match=message):
        Recipe(first_sizes=specs)


def test_kept_maps_of_frozen_stages_have_one_size():
    with pytest.raises(UsageError, match=r"^`first_sizes` .* and `frozen_views` cannot be used together\.$"):
        Recipe(first_sizes=("4 0.5",), frozen_views=2)


def test_the_network_sees_them_and_then_its_own_size(make_trainer, fit):
    trainer = make_trainer(epochs=2, first_sizes=("4 0.25", "6 0.5"))
    seen = []
    trainer.observe = lambda batch: seen.append(batch.images.shape[2])
    fit(trainer)
    assert seen == [4, 4, 6, 6, 8, 8, 8, 8]


def test_a_training_on_small_images_goes_on_from_a_checkpoint_to_the_bit(tmp_path, make_trainer, fit):
    fields = {"epochs": 2, "first_sizes": ("4 0.6",)}
    whole, first, resumed = (make_trainer(**fields) for _ in range(3))
    fit(whole)
    fit(first, steps=3)
    save_checkpoint(tmp_path / "last.safetensors", first)
    load_checkpoint(tmp_path / "last.safetensors", resumed)
    fit(resumed)
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True))
    assert whole.clock.flop == resumed.clock.flop > 0


def test_a_size_that_is_not_below_the_networks_own_is_its_own(make_trainer):
    assert make_trainer(first_sizes=("4 0.2", "8 0.4", "9 0.5")).phases == (Phase(4, 0.2), Phase(0, 0.4), Phase(0, 0.5))


def test_a_network_of_one_size_says_so(make_trainer):
    one_size = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with pytest.raises(
        UsageError,
        match=r"^`first_sizes`: the network takes no images of 4 pixels \(.*\); `--set first_sizes=` leaves it out",
    ):
        make_trainer(model=one_size, first_sizes=("4 0.5",))


def test_labels_that_lie_on_the_image_keep_its_size(make_trainer):
    arithmetic = make_trainer().arithmetic
    with pytest.raises(UsageError, match="^`first_sizes` is for images whose labels do not lie on them; "):
        required(("4 0.5",), arithmetic, lies_on_image=True)
    assert required((), arithmetic, lies_on_image=True) == ()
