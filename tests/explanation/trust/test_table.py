"""One row of figures for each method, and the verdict as it falls."""

import torch

from fovea.explanation.attribution.methods import METHODS
from fovea.explanation.attribution.registry import Attribution, Method
from fovea.explanation.objective import Objective
from fovea.explanation.trust.curves import Areas
from fovea.explanation.trust.planted import planted
from fovea.explanation.trust.sanity import Sanity, Step
from fovea.explanation.trust.table import Bench, Checks, Trust, trust

QUICK = Checks(steps=10, sanity_steps=2, sanity_images=4)


def flat(model, x, objective):
    return Attribution(values=torch.ones(len(x), *x.shape[2:]))


def rows(*methods, **options):
    test = planted()
    objective = Objective(answers=test.labels[:8])
    return [*trust(test.model, test.x[:8], objective, methods, checks=QUICK, **options)]


def test_a_method_that_looks_and_one_that_does_not():
    good, bad = rows(METHODS["gradcam"], Method("flat", "Flat", "", False, flat), boxes=planted().cues[:8])
    assert good.method == "gradcam" and good.verdict == "pass" and good.seconds > 0
    assert good.better_than(good.random) > 0.5 and good.located.pointing > 0.5
    assert good.located.energy > 3 * good.located.share
    assert not bad.sanity.passed and bad.verdict.startswith("sanity")
    assert bad.located.pointing == bad.located.share
    # both met the same rivals
    assert torch.equal(good.random.insertion, bad.random.insertion)


def test_what_is_not_asked_for_is_left_out():
    test = planted()
    checks = Checks(steps=4, sanity_steps=0)
    (row,) = trust(test.model, test.x[:2], Objective(answers=test.labels[:2]), [METHODS["gradcam"]], checks=checks)
    assert row.sanity is None and row.located is None


def test_a_layer_may_be_named_for_those_that_have_one():
    first, second = rows(METHODS["gradcam"], Method("flat", "Flat", "", False, flat), layer="3")
    assert first.sanity.steps and second.sanity.steps


def test_every_fault_is_named():
    def areas(value):
        return Areas(insertion=torch.tensor([value]), deletion=torch.tensor([0.0]))

    def verdict(correlation, mine, random, centre):
        sanity = Sanity(steps=(Step(layer="stem", correlation=correlation, similarity=0.0),))
        given = {"areas": areas(mine), "random": areas(random), "centre": areas(centre)}
        return Trust(method="tried", sanity=sanity, located=None, seconds=0.1, **given).verdict

    assert verdict(0.1, 0.5, 0.3, 0.4) == "pass"
    assert verdict(0.9, 0.5, 0.3, 0.4) == "sanity"
    assert verdict(0.9, 0.2, 0.3, 0.2) == "sanity, no better than random, no better than centre"


def test_a_batch_bounds_what_passes_at_once_and_changes_nothing():
    test = planted()
    objective, sizes = Objective(answers=test.labels[:5]), []

    def counted(model, x, objective):
        sizes.append(len(x))
        return METHODS["gradcam"](model, x, objective)

    method = Method("counted", "Counted", "", False, counted)
    rows = [
        Bench(test.model, test.x[:5], objective, checks=Checks(steps=4, sanity_steps=0, batch=batch)).row(method)
        for batch in (2, 8)
    ]
    assert sizes == [2, 2, 1, 5]
    torch.testing.assert_close(rows[0].areas.insertion, rows[1].areas.insertion)


def test_images_without_a_box_do_not_count_where_maps_point():
    test = planted()
    boxes = [*test.cues[:3], torch.zeros(0, 4), torch.zeros(0, 4)]
    checks = Checks(steps=2, sanity_steps=0)
    objective = Objective(answers=test.labels[:5])
    found = Bench(test.model, test.x[:5], objective, boxes=boxes, checks=checks).row(METHODS["gradcam"]).located
    first = Objective(answers=test.labels[:3])
    alone = Bench(test.model, test.x[:3], first, boxes=boxes[:3], checks=checks).row(METHODS["gradcam"]).located
    assert found == alone and found.images == 3
    none = Bench(test.model, test.x[:5], objective, boxes=[boxes[3]] * 5, checks=checks)
    assert none.row(METHODS["gradcam"]).located is None


def test_progress_runs_to_its_end():
    test, told = planted(), []
    bench = Bench(test.model, test.x[:2], Objective(answers=test.labels[:2]), checks=QUICK)
    bench.row(METHODS["occlusion"], lambda done, total: told.append(done / total))
    assert told == sorted(told) and told[-1] == 1 and len(told) > 20
