"""The panels of networks that a search found, for docs/images/zoo.py."""

from collections.abc import Sequence

from blocks import Maps, Panel, Part, Split, plus, side_by_side

from fovea.zoo import efficientnet, mnasnet, mobilenet_v2, mobilenet_v3, nasnet


def searched_panels() -> list[Panel]:
    """The blocks that searches chose, with their gates."""

    def gate(c: int, squeezed: int, inner: str, outer: str) -> Split:
        return Split(
            "×", ([], ["average pool, global", f"dense, {squeezed}\n{inner}", f"dense, {c}\n{outer}"]), straight=True
        )

    def block(c: int, hidden: int, kernel: int, act: str, gated: Split) -> list[Part]:
        middle = f"{kernel}×{kernel} depthwise, {hidden}\nBN, {act}"
        return [plus([f"1×1, {hidden}\nBN, {act}", middle, gated, f"1×1, {c}\nBN"])]

    row = mnasnet.FIGURE_7[2]
    first = block(row.c, row.t * row.c, row.k, "ReLU", gate(row.t * row.c, row.c // 4, "ReLU", "sigmoid"))
    last = mobilenet_v3.TABLE_1[-1]
    squeezed = mobilenet_v2.rounded(last.exp_size // 4)
    second = block(last.out, last.exp_size, last.k, "h-swish", gate(last.exp_size, squeezed, "ReLU", "hard sigmoid"))
    stage = efficientnet.TABLE_1[4]
    hidden = stage.t * stage.c
    third = block(stage.c, hidden, stage.k, "SiLU", gate(hidden, stage.c // 4, "SiLU", "sigmoid"))
    return [
        ("mnasnet_a1", [Maps(f"{row.c} × 28 × 28"), *first]),
        ("mobilenet_v3_large", [Maps(f"{last.out} × 7 × 7"), *second]),
        ("efficientnet_b0", [Maps(f"{stage.c} × 14 × 14"), *third]),
    ]


def nasnet_panels() -> list[Panel]:
    """The two cells of Figure 4, each sum a column."""

    def sums(steps: Sequence[nasnet.Step], first: int) -> list[list[Part]]:
        def side(name: str, of: str) -> str:
            return (
                of
                if name == "identity"
                else f"{name.replace('3x3', '3×3').replace('5x5', '5×5').replace('7x7', '7×7')} of {of}"
            )

        return [
            [f"sum {i}\n{side(step.left, step.of)}\n+ {side(step.right, step.and_of)}".replace("step", "sum ")]
            for i, step in enumerate(steps, start=first)
        ]

    normal, reduction = sums(nasnet.NORMAL, 1), sums(nasnet.REDUCTION, 1)
    start = Maps("h, the last maps, and prev, those before")
    inner: list[Part] = [part for column in reduction[:1] for part in column]
    return [
        ("nasnet_mobile, normal cell", [start, side_by_side(*normal, ["prev"]), Maps("6 C")]),
        ("nasnet_mobile, reduction cell", [start, *inner, side_by_side(*reduction[1:]), Maps("4 C, half as large")]),
    ]


FIGURES = {"searched": searched_panels, "nasnet": nasnet_panels}
