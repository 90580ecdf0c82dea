"""The lines that describe a training before it begins, and what a budget leaves for it.

A budget is the time from the start of the command to its end. Training gets what decoding and planning have left of it,
less what evaluation and report will take; the recipe keeps that share, so that a run that is resumed has the same.
"""

import dataclasses
import statistics
import time
from collections import Counter

from fovea.data.dataset import Images
from fovea.display import Display
from fovea.inputs.views import Protocol
from fovea.layers import copied
from fovea.plans.budget import FEWEST_SHARE, TIMING_SHARE
from fovea.runs.preparation import Prepared
from fovea.training.engine import Trainer
from fovea.training.inference import predict_logits

WARMING_IMAGES, FEW_IMAGES, TIMED_IMAGES = 4, 16, 128
ENOUGH_S = 0.2
"""What the pass of images has to take for its time to count."""
FEWEST_STEPS = 3
FITTED_SHARE = 0.05
"""Of a budget, for a training of nothing but a head that is fitted before and after it."""
REPORT_S = 3.0
"""What the first look, the model files, the report and the end of the process take, about."""


def within_budget(prepared: Prepared, display: Display) -> tuple[Prepared, float]:
    """Return the training with the share of its budget that it gets, and how many seconds a step will take, about.

    Without a budget the training is returned as it is, with 0.
    """
    recipe = prepared.plan.recipe
    if not prepared.budget_s or not recipe.budget_s:
        return prepared, 0.0
    step_s, after_s = step_seconds(prepared), evaluation_seconds(prepared) + REPORT_S
    fitted = recipe.fit_head and recipe.freeze == "all"
    before_s, least_s = display.waited_s, (FITTED_SHARE if fitted else FEWEST_SHARE) * prepared.budget_s
    share_s = round(max(least_s, prepared.budget_s - before_s - after_s), 3)
    if share_s + before_s + after_s > 1.1 * prepared.budget_s:
        display.note(
            f"plan: {prepared.budget_s:g} s are too short: decoding and planning took {before_s:.0f} s, evaluation and "
            f"report take about {after_s:.0f} s; training gets {share_s:.0f} s"
        )
    plan = prepared.plan.replace(budget_s=share_s)
    return dataclasses.replace(prepared, plan=plan), step_s


def step_seconds(prepared: Prepared) -> float:
    """Return how long a step of this training takes, everything included, by doing some on a copy of the network."""
    recipe = prepared.plan.recipe
    if recipe.compile:
        return 0.0
    trial = dataclasses.replace(prepared, model=copied(prepared.model)).trainer()
    trial.clock.elapsed_s = recipe.budget_s / 2  # past the part in which the head learns alone
    times, ends = [], time.monotonic() + min(1.0, TIMING_SHARE * recipe.budget_s)
    for number, indices in enumerate(trial.batches()):
        began = time.monotonic()
        trial.train_step(indices)
        times.append(time.monotonic() - began)
        if number >= FEWEST_STEPS and time.monotonic() > ends:
            break
    return statistics.median(times)


def evaluation_seconds(prepared: Prepared) -> float:
    """Return how long validating, refitting the head and evaluating will take at the end, by what a few images take."""
    recipe, parts, views = prepared.plan.recipe, prepared.dataset.parts, 1 + prepared.plan.recipe.test_flip
    val, test = (len(parts[name]) if name in parts else 0 for name in ("val", "test"))
    passes, features = views * (2 * val + test), 0
    if recipe.test_flip and prepared.target.calibrates:
        passes += val  # once more without mirror images, for the temperature
    if recipe.refit_head and val:
        features += val
        if prepared.maps is None:  # these are behind the largest part of the network
            features += len(parts["train"])
    if not passes:
        return 0.0
    rows = parts["val" if val else "test" if test else "train"].decoded[:TIMED_IMAGES]
    counts = Counter({"float32": passes})
    counts[recipe.precision] += features
    return sum(count * _image_seconds(prepared, rows, precision) for precision, count in counts.items() if count)


def _image_seconds(prepared: Prepared, rows: Images, precision: str) -> float:
    """Return how long an image takes to pass through the network, by few images where these take long enough to tell.

    The first few warm up.
    """
    model, protocol = copied(prepared.model), Protocol(flip=False)
    for few in (WARMING_IMAGES, FEW_IMAGES, TIMED_IMAGES):
        some = rows[:few]
        began = time.monotonic()
        predict_logits(model, some, prepared.preprocess, device=prepared.device, protocol=protocol, precision=precision)
        took_s = time.monotonic() - began
        if few > WARMING_IMAGES and took_s > ENOUGH_S:
            break
    return took_s / len(some)


def planned_lines(prepared: Prepared, trainer: Trainer, *, step_s: float) -> list[str]:
    """Return how the training will run, as lines for a person: network and input, how long, by which steps, on what."""
    plan, recipe = prepared.plan, trainer.recipe
    images = len(prepared.dataset.parts["train"])
    network = f"{plan.model} at {plan.size} px" if prepared.dataset.input == "images" else plan.model
    line = f"{network} on {counted(images, 'training image')}"
    if recipe.probe or recipe.class_means:
        return [f"{line}: the head is fitted in closed form, nothing else is trained"]
    several = f"{recipe.accumulate} " if recipe.accumulate > 1 else ""
    steps = f"{recipe.optimiser} at {recipe.lr:g}, {several}batches of {recipe.batch}"
    threads = f"{counted(recipe.threads, 'thread')}, {recipe.precision}"
    return [f"{line}: {_length(trainer, step_s)}; {steps}; {threads}"]


def _length(trainer: Trainer, step_s: float) -> str:
    """Return how long a training is: epochs, or seconds and about how many epochs that will be."""
    recipe = trainer.recipe
    if not recipe.budget_s:
        return counted(recipe.epochs, "epoch")
    text = f"{recipe.budget_s:.0f} s of training"
    if not step_s:
        return text
    epochs = recipe.budget_s / step_s / max(1, trainer.steps_per_epoch)
    return f"{text}, about {counted(round(epochs), 'epoch') if epochs >= 1 else f'{epochs:.1f} epochs'}"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "epoch"), counted(2_000, "epoch")
    ('1 epoch', '2,000 epochs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
