"""The planted cue: what is planted, what learns it, and which methods find it."""

import pytest
import torch

from fovea.explanation.attribution.methods import METHODS
from fovea.explanation.attribution.registry import Attribution, Method
from fovea.explanation.trust.planted import PATCH, SIDE, Found, find_cue, find_cues, planted, planted_images


def test_stripes_tell_the_class_and_the_chessboard_nothing():
    x, labels, cues, decoys = planted_images(200, torch.Generator().manual_seed(0))
    assert x.shape == (200, 1, SIDE, SIDE) and 60 < int(labels.sum()) < 140
    for image, label, cue, decoy in zip(x[:, 0], labels, cues, decoys, strict=True):
        x0, y0, x1, y1 = cue[0].tolist()
        patch = image[y0:y1, x0:x1]
        along = patch.mean(1 - int(label))  # the mean along the stripes is far from 0, across it is near
        assert patch.shape == (PATCH, PATCH) and along.abs().mean() > patch.mean(int(label)).abs().mean()
        assert x1 <= decoy[0, 0] or decoy[0, 2] <= x0


def test_a_few_seconds_teach_the_cue_without_touching_the_global_generator():
    state = torch.get_rng_state()
    test = planted()
    assert test.accuracy >= 0.95
    assert torch.equal(state, torch.get_rng_state())


def test_a_map_that_is_the_same_everywhere_finds_by_chance():
    flat = Method("flat", "Flat", "", False, lambda model, x, objective: Attribution(values=torch.ones(len(x), 28, 28)))
    found = find_cue(flat)
    assert found.lift == pytest.approx(1) and found.pointing == pytest.approx(PATCH**2 / SIDE**2)
    assert found.decoy == pytest.approx(found.mass)


def test_methods_find_the_cue_and_not_the_decoy():
    found = find_cues({name: METHODS[name] for name in ("gradcam", "occlusion", "ablationcam", "scorecam")})
    for name, one in found.items():
        assert one.lift > 2 and one.mass > 1.5 * one.decoy and one.pointing > 0.5, (name, one)


def test_what_is_found_has_twice_its_share_and_more_than_the_decoy():
    def verdict(lift, mass, decoy):
        return Found(mass=mass, lift=lift, decoy=decoy, pointing=0.5, seconds=0.1).found

    assert verdict(2, 0.2, 0.1) and not verdict(1.9, 0.2, 0.1) and not verdict(3, 0.2, 0.2)
