"""Panels of docs/zoo.md for networks that need something of their own: capsules, S- and C-cells, fixed zeros."""

from blocks import Maps, Panel, Part, plus

from fovea.layers import PredefinedSparseConv2d
from fovea.registry import build
from fovea.zoo import capsnet, neocognitron


def neocognitron_panels() -> list[Panel]:
    """The layers of 1980, and one with more planes."""

    def stages(table: tuple[neocognitron.Module, ...]) -> list[Part]:
        k = neocognitron.KERNEL
        last = table[-1]
        sees = [f"{k}×{k}/2" if row is not last else "all" for row in table]
        return [
            part
            for row, c in zip(table, sees, strict=True)
            for part in (f"S-cells, {k}×{k}, {row.planes}", f"C-cells, {c}, {row.planes}")
        ]

    image = Maps("1 × 16 × 16")
    return [
        ("neocognitron_1980", [image, *stages(neocognitron.SECTION_5), "votes for each class"]),
        ("neocognitron", [image, *stages(neocognitron.HANDWRITING), "votes for each class"]),
        (
            "an S-cell",
            [
                Maps("C-cells u"),
                "excitation: 1 + Σ a u",
                "divided by\n1 + 2r/(1+r) b v\nwith v = √Σ c u²",
                "− 1, ReLU, times r",
            ],
        ),
    ]


def capsnet_panels() -> list[Panel]:
    """The network of Figure 1, the decoder of Figure 2, and routing."""
    plan = capsnet.FIGURE_1_AND_2
    k, primary, digit = plan.kernel, capsnet.PRIMARY_DIM, capsnet.DIGIT_DIM
    first, second = plan.decoder
    return [
        (
            "capsnet",
            [
                Maps("1 × 28 × 28"),
                f"{k}×{k}, {plan.c}\nReLU",
                f"{k}×{k}/2, {plan.types * primary}",
                f"{plan.types} × 6 × 6 capsules\nof {primary}, squashed",
            ]
            + [f"10 capsules of {digit},\nrouted", "length of each"],
        ),
        (
            "its decoder, in training",
            [
                Maps(f"the capsule of the true class, {digit}"),
                f"dense, {first}\nReLU",
                f"dense, {second}\nReLU",
                "dense, 784\nsigmoid",
            ],
        ),
        (
            "a round of routing",
            [
                Maps("predictions"),
                "shares: softmax of b",
                "sum by shares,\nsquash: v",
                "b + agreement of\nprediction and v",
            ],
        ),
    ]


def predefined_sparse_panels() -> list[Panel]:
    """Nine kernels' patterns, drawn as they are."""
    layers = [m for m in build("cifar_sparse_resnet18").modules() if isinstance(m, PredefinedSparseConv2d)]
    rows = [
        "\n".join("".join("■" if on else "□" for on in row) for row in grid.tolist()) for grid in layers[0].pattern[:3]
    ]
    return [
        (
            "cifar_sparse_resnet18: three of nine patterns",
            [Maps("kernels of one filter"), *rows, Maps("and so on, in turn")],
        ),
        (
            "its basic block",
            [Maps("64 × 32 × 32"), plus(["3×3, 64, 4 of 9 places\nBN, ReLU", "3×3, 64, 4 of 9 places\nBN"]), "ReLU"],
        ),
    ]


FIGURES = {
    "neocognitron": neocognitron_panels,
    "capsnet": capsnet_panels,
    "predefined_sparse": predefined_sparse_panels,
}
