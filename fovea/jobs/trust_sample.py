"""How far one explanation of one image can be trusted: the checks of `fovea trust`, on that image alone."""

from dataclasses import replace
from functools import partial

from fovea.errors import UsageError
from fovea.explanation.attribution.registry import Progress, part_of
from fovea.explanation.trust.table import Bench, Checks, Trust
from fovea.inputs import kind_of
from fovea.inputs.interface import Stored
from fovea.jobs.explain import Request, question_of
from fovea.jobs.trust import SANITY_STEPS, STEPS, stated
from fovea.model.bundle import Bundle


def trust_sample(bundle: Bundle, sample: Stored, request: Request, *, progress: Progress | None = None) -> Trust:
    """Return the checks of the one method of a request, with its settings, on one stored sample (H, W, C) uint8.

    The answer is the first target of the request, or what the network says. What one image shows is an anecdote:
    `fovea trust` judges a method by many.

    Raises:
        UsageError: a network whose answers lie on an image, or that sees none; what the method does not take.
    """
    target, kind = bundle.target, kind_of(bundle.preprocess)
    target.check_whole("A check of one picture")
    if not kind.pictures:
        raise UsageError(f"Explanations can be checked for images only, and this network takes {kind.nouns}.")
    (method,) = request.methods
    settled = method._replace(explain=partial(method.explain, **method.parsed(request.settings)))
    answers = [target.answer_named(name) for name in request.targets] or target.asked(bundle.outputs(sample[None]))
    x = bundle.inputs_of(sample[None])
    objective, _ = question_of(bundle, answers[0], request, x.device)
    bench = Bench(
        bundle.model,
        x,
        objective,
        measured=replace(objective, evidence=stated(target)),
        checks=Checks(steps=STEPS, sanity_steps=SANITY_STEPS, batch=request.batch, seed=request.seed),
        layer=request.layer,
        progress=part_of(progress, 0, 2),
    )
    return bench.row(settled, part_of(progress, 1, 2))
