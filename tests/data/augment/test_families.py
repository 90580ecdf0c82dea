"""Augmentations of series, spectrograms and clips: shapes, reproduction, bounds, and frames that change alike."""

import pytest
import torch

from fovea.data.augment.families import FAMILIES, compose_for
from fovea.data.augment.recipes import AugmentContext
from fovea.data.augment.signals import along, shifted, window
from fovea.data.augment.sounds import higher, later, mask_time
from fovea.errors import UsageError

CONTEXT = AugmentContext(0, torch.arange(4))
BATCHES = {
    "series": torch.randn(4, 2, 20, generator=torch.Generator().manual_seed(0)),
    "spectrograms": -80 * torch.rand(4, 1, 12, 16, generator=torch.Generator().manual_seed(0)),
    "clips": torch.randint(0, 256, (4, 1, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte(),
}
SPECS = {
    "series": ["shift 3", "crop 0.7", "scale 0.2", "jitter 0.1", "mixup 0.2"],
    "spectrograms": ["shift 3", "stretch 0.3", "pitch 2", "equalise 6", "mask_time 4", "mask_bands 3", "gain 3"],
    "clips": ["flip", "shift 2", "crop 0.5", "affine 10", "cutout 3", "erase 0.5", "reverse"],
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def changed(family, specs, batch=None, seed=0, without=()):
    batch = BATCHES[family] if batch is None else batch
    return compose_for(family, specs, size=8, without=without)(batch.clone(), seeded(seed), CONTEXT)


@pytest.mark.parametrize("family", BATCHES)
def test_shape_and_type_stay_and_a_seed_draws_the_same(family):
    first, second, other = (changed(family, SPECS[family], seed=seed) for seed in (0, 0, 1))
    assert first.shape == BATCHES[family].shape and first.dtype == BATCHES[family].dtype
    assert torch.equal(first, second) and not torch.equal(first, other) and first.float().isfinite().all()


@pytest.mark.parametrize("spec", [(family, spec) for family, specs in SPECS.items() for spec in specs])
def test_each_alone_changes_a_batch(spec):
    family, text = spec
    results = [changed(family, [text], seed=seed) for seed in range(4)]
    moved = any(not torch.equal(result, BATCHES[family]) for result in results)
    assert moved is not text.startswith("mixup")  # which is the training's


def test_a_shifted_series_repeats_its_ends():
    series = torch.arange(6.0).expand(50, 1, 6)
    found = shifted(series, seeded(), steps=2)
    assert {tuple(row) for row in found[:, 0].tolist()} == {
        (0, 0, 0, 1, 2, 3), (0, 0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 5), (2, 3, 4, 5, 5, 5),
    }  # fmt: skip


def test_a_window_is_a_part_of_the_series_stretched():
    found = window(torch.arange(11.0).expand(20, 1, 11), seeded(), share=0.5)
    steps = found[:, 0, 1:] - found[:, 0, :-1]
    assert (steps >= 0.5 - 1e-4).all() and (steps <= 1 + 1e-4).all() and (found >= 0).all() and (found <= 10).all()
    torch.testing.assert_close(
        along(torch.arange(4.0).view(1, 1, 4), torch.tensor([[0.5, 2.25]])), torch.tensor([[[0.5, 2.25]]])
    )


def test_a_spectrogram_moves_along_one_axis_and_silence_enters():
    spot = torch.full((30, 1, 5, 7), -80.0)
    spot[:, 0, 2, 3] = 0
    for change, axis, fixed in ((later, 3, 2), (higher, 2, 3)):
        name = "frames" if axis == 3 else "bands"
        found = change(spot, seeded(), **{name: 2})
        places = (found == 0).nonzero()
        assert len(places) == 30 and set(places[:, fixed].tolist()) == {fixed}
        assert len(set(places[:, axis].tolist())) == 5 and (found.sum((1, 2, 3)) == -80.0 * 34).all()


def test_masked_frames_get_the_mean_in_every_band():
    found = mask_time(BATCHES["spectrograms"], seeded(3), frames=5)
    hidden = found != BATCHES["spectrograms"]
    assert hidden.any() and (hidden.all(2) == hidden.any(2)).all()


def test_all_frames_of_a_clip_change_alike():
    still = BATCHES["clips"][:, :, :1].expand(-1, -1, 3, -1, -1)
    found = changed("clips", SPECS["clips"][:-1], batch=still)
    assert (found == found[:, :, :1]).all()


def test_reverse_shows_some_clips_backwards():
    found = changed("clips", ["reverse"], seed=1)
    backwards = [torch.equal(a, b.flip(1)) for a, b in zip(found, BATCHES["clips"], strict=True)]
    assert any(backwards) and not all(backwards)
    assert torch.equal(changed("clips", ["reverse"], seed=1, without=("reverse",)), BATCHES["clips"])


@pytest.mark.parametrize(
    ("family", "spec", "message"),
    [
        ("series", "flip", "Unknown augmentation `flip`"),
        ("series", "jitter", "takes SIGMA"),
        ("spectrograms", "pitch 1.5", "must be a whole number"),
        ("clips", "colour 0.2", "Unknown augmentation `colour`"),
    ],
)
def test_what_a_family_does_not_have_is_refused(family, spec, message):
    with pytest.raises(UsageError, match=message):
        changed(family, [spec])


def test_a_kind_without_augmentations_stays_as_it_is():
    assert torch.equal(compose_for("", ["flip"], size=8)(BATCHES["series"], seeded(), CONTEXT), BATCHES["series"])
    assert set(FAMILIES) == {"series", "spectrograms"}
