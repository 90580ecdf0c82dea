"""Training foveola on CIFAR-10 by the recipe `cifar10-94`, augmentation and Muon included, as a share of matmul's rate.

A step of N images counts 6 N MACs operations: forward, and twice that backward, two operations each. What the
optimiser computes is not counted, so it lowers the share.
"""

from machine import arguments, begun, in_turn, matmul_rate, print_figures, print_verdict, ratio, training

from fovea.display import Display
from fovea.registry import entry
from fovea.runs.request import prepared


def measure(precision: str, *, rounds: int, steps: int) -> None:
    plan = prepared("cifar10", display=Display(quiet=True), recipe="cifar10-94", precision=precision)
    trainer = plan.trainer()
    run, operations = training(trainer, steps=steps, warm_up=1), 6 * entry("foveola").macs
    figures = in_turn(
        {"train_step": lambda: operations * run(), "matmul": lambda: matmul_rate(precision)}, rounds=rounds
    )
    print(f"{precision}, batch {trainer.recipe.batch}, {trainer.recipe.threads} threads")
    print_figures(figures, unit="GFLOP/s", scale=1e9)
    print_verdict(
        f"share of the matmul rate, {precision}", ratio(figures["train_step"], figures["matmul"]), at_least=0.8
    )


def main() -> None:
    parser = arguments(__doc__, quick="one step")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    args = begun(parser)
    for precision in args.precisions:
        measure(precision, rounds=1 if args.quick else 5, steps=1 if args.quick else 3)


if __name__ == "__main__":
    main()
