"""Training foveola on CIFAR-10 by the recipe `cifar10-94`, augmentation and Muon included, as a share of matmul's rate.

At its own size, and at smaller ones at which a training can begin. Operations are those that are executed, two for each
multiply-add of the passes and of the optimiser.
"""

from machine import arguments, begun, in_turn, matmul_rate, print_figures, print_verdict, ratio, training

from fovea.display import Display
from fovea.runs.request import prepared
from fovea.training.first_sizes import Phase

SIZES = (20, 24, 32)


def measure(precision: str, pixels: int, *, rounds: int, steps: int) -> None:
    plan = prepared("cifar10", display=Display(quiet=True), recipe="cifar10-94", precision=precision)
    trainer = plan.trainer()
    trainer.phases = (Phase(pixels, 1.0),)
    images = trainer.images_per_step
    run, operations = training(trainer, steps=steps, warm_up=1), trainer.arithmetic.of_step(images, pixels=pixels)
    figures = in_turn(
        {"train_step": lambda: operations / images * run(), "matmul": lambda: matmul_rate(precision)}, rounds=rounds
    )
    print(f"{precision}, {pixels} pixels, batch {trainer.recipe.batch}, {trainer.recipe.threads} threads")
    print_figures(figures, unit="GFLOP/s", scale=1e9)
    share = ratio(figures["train_step"], figures["matmul"])
    print_verdict(f"share of the matmul rate, {precision}, {pixels} pixels", share, at_least=0.8)


def main() -> None:
    parser = arguments(__doc__, quick="one step")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    args = begun(parser)
    for precision in args.precisions:
        for pixels in SIZES:
            measure(precision, pixels, rounds=1 if args.quick else 5, steps=1 if args.quick else 3)


if __name__ == "__main__":
    main()
