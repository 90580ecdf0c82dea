"""The degradation problem: plain networks of 20 and 56 layers against residual ones (He et al. 2015, figure 6).

Lectures 000, 001 and 004: a deeper plain network has the higher training error, so that it is not overfitting; with
shortcuts the deeper one is no worse. CIFAR-10, the networks of the paper's section 4.2, SGD with momentum, batch norm,
flips and shifts, on fewer images and for fewer epochs than there: the order of the curves is what counts.
"""

from functools import partial
from pathlib import Path

from experiments.figures import COLOURS, axes, save
from experiments.harness import Point, experiment, head, load, report, started, train
from fovea import registry, zoo  # noqa: F401 (registers the networks)
from fovea.training.recipe import Recipe

DEPTHS = (20, 56)
KINDS = {"plain": "cifar_plain{}", "ResNet": "cifar_resnet{}"}


def draw(curves: dict[str, list[Point]], out: Path) -> None:
    """Draw training error (dashed) and test error, plain networks on the left, residual ones on the right."""
    figure, plots = axes(2)
    for plot, kind in zip(plots, KINDS, strict=True):
        for colour, depth in zip(COLOURS, DEPTHS, strict=False):
            points = curves[f"{kind}-{depth}"]
            steps = [p.step for p in points]
            plot.plot(steps, [100 * p.test_error for p in points], color=colour, label=f"{kind}-{depth}, test")
            train_errors = [100 * p.train_error for p in points]
            plot.plot(steps, train_errors, color=colour, ls="--", lw=1, label=f"{kind}-{depth}, training")
        plot.set(xlabel="step", ylabel="error in %", ylim=(0, 95))
        plot.legend(frameon=False, fontsize=8)
    save(figure, out)


def main() -> None:
    given = started(experiment(__doc__, images=5_000, epochs=10, picture="degradation.png"))
    data = load("cifar10", train=given.images, test=given.images // 5)
    recipe = Recipe(
        epochs=given.epochs,
        batch=32,
        lr=0.1,
        weight_decay=1e-4,
        augment=("flip", "shift 4"),
        keep_best=False,
        seed=given.seed,
    )
    head(f"{given.images:,} images of CIFAR-10, {given.epochs} epochs")
    curves = {}
    for kind, name in KINDS.items():
        for depth in DEPTHS:
            curves[f"{kind}-{depth}"] = train(partial(registry.build, name.format(depth)), data, recipe)
            report(f"{kind}-{depth}", curves[f"{kind}-{depth}"])
    draw(curves, given.out)


if __name__ == "__main__":
    main()
