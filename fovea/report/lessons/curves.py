"""Live pictures that are lines: activations, probabilities, gradients through depth, descent, schedules, signals."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.reference import activation, filters, normalisation, optimisers
from fovea.reference.padding import Array
from fovea.report.charts import Axis, Chart, Line
from fovea.report.lessons.drawn import Drawn, Row, Settings, kind
from fovea.training.schedules import SCHEDULES

SCORES = (2.0, 1.0, 0.0, -1.0)
VALLEY = np.array([1.0, 10.0])
"""Curvatures along the two axes of the valley that is descended."""
START = np.array([-4.0, 1.5])
STEPS = 40
SAMPLES = 480

FUNCTIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "relu": (activation.relu, activation.relu_gradient),
    "sigmoid": (activation.sigmoid, activation.sigmoid_gradient),
    "tanh": (activation.tanh, activation.tanh_gradient),
    "gelu": (activation.gelu, activation.gelu_gradient),
}


def chart(title: str, x_label: str, y_label: str, lines: list[Line], *, log: bool = False) -> Chart:
    """Return lines over axes that hold them all."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    return Chart(title=title, lines=lines, x=Axis.over(x_label, xs), y=Axis.over(y_label, ys, log=log))


def line(name: str, x: NDArray[Any], y: NDArray[Any]) -> Line:
    """Return a line through points, x and y (n,) float64."""
    return Line(name, [(float(a), float(b)) for a, b in zip(x, y, strict=True)])


@kind("activation")
def slope(settings: Settings) -> Drawn:
    """Return a function and its slope from -4 to 4."""
    name = settings["function"]
    function, gradient = FUNCTIONS[name]
    x = np.linspace(-4, 4, 161)
    slopes = gradient(np.ones_like(x), x)
    lines = [line(name, x, function(x)), line("its slope", x, slopes)]
    words = f"Between -4 and 4 the slope of {name} is {slopes.min():.3g} to {slopes.max():.3g}."
    return Drawn(words=words, chart=chart(name, "input", "output", lines))


@kind("softmax")
def probabilities(settings: Settings) -> Drawn:
    """Return scores as probabilities, divided by a temperature first."""
    temperature = float(settings["temperature"])
    shares = activation.softmax(np.array([SCORES]) / temperature)[0]
    rows = [Row((f"{s:g}", f"{s / temperature:g}", f"{p:.1%}"), float(p)) for s, p in zip(SCORES, shares, strict=True)]
    return Drawn(
        words=f"At temperature {temperature:g} the largest score has {shares[0]:.1%}.",
        head=("score", "divided", "probability"),
        rows=rows,
    )


@kind("depth")
def through_layers(settings: Settings) -> Drawn:
    """Return what is left of a gradient, or of a signal whose weights are off by a factor, layer by layer."""
    name, layers = settings["function"], np.arange(0, 21)
    if name == "scaled":
        lines = [line(f"x {factor:g}", layers, factor**layers) for factor in (0.8, 1.0, 1.25)]
        words = "After 20 layers a factor of 0.8 leaves a hundredth of the signal, 1.25 makes it 87 times as large."
        return Drawn(words=words, chart=chart("Size of a signal", "layers", "size", lines, log=True))
    at_one = float(FUNCTIONS[name][1](np.ones(1), np.ones(1))[0])
    words = f"At 1 the slope of {name} is {at_one:.3g}; after 12 layers {at_one**12:.2g} of the gradient is left."
    lines = [line(name, layers, at_one ** layers.astype(float))]
    return Drawn(words=words, chart=chart("Gradient that is left", "layers", "share", lines, log=True))


@kind("schedule")
def rates(settings: Settings) -> Drawn:
    """Return the factor of the learning rate over a training."""
    name = settings["schedule"]
    progress = np.linspace(0, 1, 201)
    factors = np.array([SCHEDULES[name](float(at)) for at in progress])
    words = f"{name}: from {factors[0]:.2g} by {factors[100]:.2g} in the middle to {factors[-1]:.2g} at the end."
    return Drawn(
        words=words,
        chart=chart("Factor of the learning rate", "share of the steps", "factor", [line(name, progress, factors)]),
    )


@kind("signal")
def filtered_signal(settings: Settings) -> Drawn:
    """Return three waves on a slow ramp, and what a kernel makes of them (deck 004)."""
    name, time = settings["kernel"], np.arange(SAMPLES)
    signal = np.sin(time * 2 * np.pi * 24 / SAMPLES) + 3 * time / SAMPLES
    out = filters.slide(signal[None], filters.kernel(name, axes=1))[0]
    lines = [line("input", time, signal), line(name, time, out)]
    words = f"Input from {signal.min():.2g} to {signal.max():.2g}, output from {out.min():.2g} to {out.max():.2g}."
    return Drawn(words=words, chart=chart("A signal", "time", "value", lines))


@kind("batch")
def normalised(settings: Settings) -> Drawn:
    """Return how often values occur in one channel of a batch, before and after batch normalisation."""
    gamma, beta = float(settings["gamma"]), float(settings["beta"])
    before = np.random.default_rng(0).gamma(3.0, 1.0, size=(4000, 1, 1, 1)) + 2.0
    after = normalisation.batch_norm(before, np.array([gamma]), np.array([beta]))
    edges = np.linspace(-8, 14, 89)
    lines = [
        line(name, (edges[1:] + edges[:-1]) / 2, np.histogram(values.ravel(), edges)[0] / values.size)
        for name, values in (("before", before), ("after", after))
    ]
    told = [f"{values.mean().round(2) + 0:.2f} and {values.std():.2f}" for values in (before, after)]
    words = f"Mean and standard deviation: {told[0]} before, {told[1]} after."
    return Drawn(words=words, chart=chart("Values of a channel", "value", "share", lines))


@kind("descent")
def descended(settings: Settings) -> Drawn:
    """Return the way of an optimiser through a valley that is ten times steeper across than along."""
    name, rate = settings["optimiser"], float(settings["rate"])
    way = path(name, rate)
    height = float((VALLEY * way[-1] ** 2).sum() / 2)
    beyond = len(way) <= STEPS
    end = "it leaves the plot" if beyond else f"the height has fallen from {HEIGHT:.3g} to {height:.2g}"
    figure = Chart(
        title="Seen from above; the lowest point is 0, 0",
        lines=[line(name, way[:, 0], way[:, 1])],
        x=Axis(label="along the valley", low=-5, high=5),
        y=Axis(label="across", low=-3, high=3),
    )
    return Drawn(words=f"{name} with rate {rate:g}: after {len(way) - 1} steps {end}.", chart=figure)


HEIGHT = float((VALLEY * START**2).sum() / 2)


def path(name: str, rate: float) -> Array:
    """Return the places (N, 2) float64 of an optimiser, up to the one before it leaves the plot."""
    step = _stepper(name, rate)
    way = [START]
    for _ in range(STEPS):
        place = step(way[-1], VALLEY * way[-1])
        if not (abs(place) <= (5, 3)).all():
            break
        way.append(place)
    return np.array(way)


def _stepper(name: str, rate: float) -> Callable[[Array, Array], Array]:
    """Return a function of place and gradient that keeps its optimiser's state."""
    if name == "sgd":
        return partial(_plain, rate)
    zero = np.zeros(2)
    rules: dict[str, tuple[Callable[..., Any], Any]] = {
        "momentum": (optimisers.momentum, zero),
        "rmsprop": (optimisers.rmsprop, zero),
        "adadelta": (optimisers.adadelta, (zero, zero)),
        "adam": (optimisers.adam, (zero, zero, 0)),
    }
    rule, state = rules[name]

    def step(w: Array, g: Array) -> Array:
        nonlocal state
        w, state = rule(w, g, state, lr=rate)
        return w

    return step


def _plain(rate: float, w: Array, g: Array) -> Array:
    return optimisers.sgd(w, g, lr=rate)
