"""The checks of one picture: those of `fovea trust`, on one image, with the settings that made it."""

import numpy as np
import pytest
import torch
from seeded_bundles import seeded_bundle

from fovea.display import Display
from fovea.errors import UsageError
from fovea.explanation.attribution.methods import method_named
from fovea.explanation.objective import Objective
from fovea.explanation.trust.table import Bench, Checks
from fovea.jobs.explain import Request, explain_sample
from fovea.jobs.explain_spot import Spot
from fovea.jobs.trust import SANITY_STEPS, STEPS, stated
from fovea.jobs.trust_sample import trust_sample

BUNDLE = seeded_bundle()
SAMPLE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


WHOLE = Spot()


def request(method="occlusion", *, spot=WHOLE, targets=(), **settings):
    texts = {name: str(value) for name, value in settings.items()}
    return Request([method_named(method)], texts, list(targets), None, None, spot, 16, 0, Display(quiet=True))


def test_the_figures_are_those_of_the_bench_of_many_images():
    found = trust_sample(BUNDLE, SAMPLE, request("saliency", targets=[BUNDLE.classes[1]]))
    objective = Objective(answers=torch.tensor([1]), evidence=BUNDLE.target.evidence)
    bench = Bench(
        BUNDLE.model,
        BUNDLE.inputs_of(SAMPLE[None]),
        objective,
        measured=Objective(answers=torch.tensor([1]), evidence=stated(BUNDLE.target)),
        checks=Checks(steps=STEPS, sanity_steps=SANITY_STEPS, batch=16),
    )
    expected = bench.row(method_named("saliency"))
    torch.testing.assert_close(found.areas.insertion, expected.areas.insertion)
    torch.testing.assert_close(found.areas.deletion, expected.areas.deletion)
    assert found.sanity == expected.sanity and found.verdict == expected.verdict


def test_the_picture_that_is_checked_has_the_settings_asked_for():
    told = [trust_sample(BUNDLE, SAMPLE, request(patch=patch)).areas.gain for patch in (1, 8)]
    assert not torch.equal(*told)  # a patch as large as the image hides all of it


def test_what_a_method_does_not_take_is_refused():
    with pytest.raises(UsageError, match="patch"):
        trust_sample(BUNDLE, SAMPLE, request(patch="wide"))


def test_one_sample_is_explained_as_its_file_is():
    explained = explain_sample(BUNDLE, SAMPLE, request(patch=2))
    (place,) = explained.places
    assert place.answer == explained.prediction.label and explained.pixels.shape == (8, 8, 3)
    with pytest.raises(UsageError, match="masks, boxes and points"):
        explain_sample(BUNDLE, SAMPLE, request(spot=Spot((1.0, 1.0))))


def test_a_pixel_of_the_input_is_taken_as_it_is():
    spot = Spot((3.0, 4.0), of_input=True)
    assert spot._place((3.0, 4.0), BUNDLE.preprocess, (300, 200)) == (3.5, 4.5)
    with pytest.raises(UsageError, match="8 x 8 pixels"):
        spot._place((8.0, 4.0), BUNDLE.preprocess, (300, 200))
