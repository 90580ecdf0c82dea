"""Draw the blocks of docs/zoo.md, with the numbers of the zoo's own tables: python docs/images/zoo.py."""

from collections.abc import Sequence
from pathlib import Path

from blocks import Maps, Panel, Part, Split, figure_of, plus, side_by_side
from inceptions import (
    bn_inception_panels,
    factorised_panels,
    inception_panels,
    inception_resnet_panels,
    inception_v4_panels,
)
from torch import nn
from zoo_axes import FIGURES as ALONG_OTHER_AXES
from zoo_dense import FIGURES as DENSE
from zoo_modern import FIGURES as MODERN
from zoo_own import FIGURES as OWN
from zoo_residual import FIGURES as SINCE_RESNET
from zoo_searched import FIGURES as SEARCHED

from fovea.registry import build
from fovea.zoo import (
    alexnet,
    densenet,
    foveola,
    lenet,
    mobilenet_v2,
    nin,
    resnet,
    resnet_cifar,
    resnext,
    shufflenet_v1,
    shufflenet_v2,
    squeezenet,
    vgg,
    vgg_blocks,
    wide_resnet,
)


def mlp_panels() -> list[Panel]:
    """No convolution: one hidden layer, and two."""

    def chain(*widths: int) -> list[Part]:
        return [Maps("1 × 28 × 28"), "flatten, 784", *(f"dense, {c}\nReLU" for c in widths), "dense, 10"]

    return [("mlp", chain(128)), ("mlp, widths=256,128", chain(256, 128))]


def lenet_panels() -> list[Panel]:
    """Three networks, whole."""

    def stages(rows: Sequence[lenet.Stage], steps: Sequence[str]) -> list[Part]:
        return [
            step.format(k=f"{row.k}×{row.k}", c=row.c, some=", of some maps" if row.sees else "")
            for row in rows
            for step in steps
        ]

    classic, modern = ("{k}, {c}{some}\ntanh", "subsampling 2×2\ntanh"), ("{k}, {c}", "max pool 2×2\nReLU")
    c5, f6 = lenet.C5, lenet.F6
    return [
        ("lenet1, 1989", [Maps("1 × 28 × 28"), *stages(lenet.LENET_1, classic), "dense, 10"]),
        (
            "lenet5_1998",
            [Maps("1 × 32 × 32"), *stages(lenet.FIGURE_2, classic), f"dense, {c5}\ntanh", f"dense, {f6}\ntanh"]
            + ["distance to the code\nof each of 10 classes"],
        ),
        (
            "lenet5, today",
            [Maps("1 × 32 × 32"), *stages(lenet.FIGURE_2, modern), f"dense, {c5}\nReLU", f"dense, {f6}\nReLU"]
            + ["dense, 10"],
        ),
    ]


def alexnet_panels() -> list[Panel]:
    """AlexNet on its two GPUs, and Zeiler and Fergus' changes."""
    dense: list[Part] = ["dense, 4096\nReLU, dropout", "dense, 4096\nReLU, dropout", "dense, 1000"]

    def layer(conv: alexnet.Conv, c: int) -> str:
        step = f"/{conv.s}" if conv.s > 1 else ""
        then = "".join({"norm": ", norm", "pool": ", max pool 3×3/2"}[name] for name in conv.then)
        return f"{conv.k}×{conv.k}{step}, {c}\nReLU{then}".replace(", max pool 3×3/2", "\nmax pool 3×3/2")

    rows = alexnet.FIGURE_2
    half = [layer(conv, conv.c // 2) for conv in rows]
    two = (Split("all maps", (half[:2], half[:2])), layer(rows[2], rows[2].c), Split("flatten", (half[3:], half[3:])))
    return [
        ("alexnet: two groups", [Maps("3 × 227 × 227"), *two, *dense]),
        ("zfnet_figure3", [Maps("3 × 224 × 224"), *(layer(conv, conv.c) for conv in alexnet.ZF_FIGURE_3), *dense]),
    ]


def vgg_panels() -> list[Panel]:
    """Why 3x3, and the network of 16 layers."""
    stages = [
        f"{len(kernels)} times 3×3, {c}\nmax pool 2×2"
        for c, kernels in zip(vgg.CHANNELS, vgg.TABLE_1["D"].k, strict=True)
    ]
    dense = ["dense, 4096\nReLU, dropout", "dense, 4096\nReLU, dropout", "dense, 1000"]
    return [
        ("one layer that sees 7×7", [Maps("C maps"), "7×7, C\nReLU", Maps("49 C² weights")]),
        ("three layers that see 7×7", [Maps("C maps"), *["3×3, C\nReLU"] * 3, Maps("27 C² weights")]),
        ("vgg16", [Maps("3 × 224 × 224"), *stages, *dense]),
    ]


def vgg_blocks_panels() -> list[Panel]:
    """The lectures' three networks, whole."""

    def stages(widths: Sequence[int], norm: str = "", dropout: str = "") -> list[Part]:
        return [part for c in widths for part in (f"2 times 3×3, {c}\nReLU{norm}", f"max pool 2×2{dropout}")]

    dense: list[Part] = ["dense, 128\nReLU", "dense, 10"]
    small = stages(vgg_blocks.FMNIST_CNN, norm=", BN", dropout="\ndropout")
    return [
        ("vgg_block1", [Maps("3 × 32 × 32"), *stages(vgg_blocks.EXAMPLE_2A), *dense]),
        ("vgg_block3", [Maps("3 × 32 × 32"), *stages(vgg_blocks.EXAMPLE_2B), *dense]),
        ("fashion_cnn", [Maps("1 × 28 × 28"), *small, "dense, 512\nReLU, BN, dropout", "dense, 10"]),
    ]


def nin_panels() -> list[Panel]:
    """A layer of a plain network, the mlpconv, the head."""
    row = nin.CIFAR[0]
    first, *others = row.c
    return [
        ("convolution", [Maps("3 × 32 × 32"), f"{row.k}×{row.k}, {first}\nReLU", "max pool 3×3/2"]),
        (
            "cifar_nin, first mlpconv",
            [Maps("3 × 32 × 32"), f"{row.k}×{row.k}, {first}\nReLU", *(f"1×1, {c}\nReLU" for c in others)]
            + ["max pool 3×3/2"],
        ),
        ("its head", [Maps("192 × 8 × 8"), "1×1, 10", "average pool, global", Maps("10 logits")]),
    ]


def resnet_panels() -> list[Panel]:
    """The basic block, the bottleneck, and the one whose shortcut nothing interrupts."""
    basic, deep = resnet.TABLE_1[18][0], resnet.TABLE_1[50][0]
    size = Maps(f"{deep.c} × 56 × 56")
    bottleneck = [f"1×1, {deep.width}\nBN, ReLU", f"3×3, {deep.width}\nBN, ReLU", f"1×1, {deep.c}\nBN"]
    first = [Maps(f"{basic.c} × 56 × 56"), plus([f"3×3, {basic.c}\nBN, ReLU", f"3×3, {basic.c}\nBN"]), "ReLU"]
    wider = resnet.TABLE_1[50][1]
    down = [f"1×1, {wider.width}\nBN, ReLU", f"3×3/2, {wider.width}\nBN, ReLU", f"1×1, {wider.c}\nBN"]
    ahead = ["BN, ReLU", f"1×1, {deep.width}\nBN, ReLU", f"3×3, {deep.width}\nBN, ReLU", f"1×1, {deep.c}"]
    return [
        ("resnet18", first),
        ("resnet50", [size, plus(bottleneck), "ReLU"]),
        ("resnet50, shortcut B", [size, plus(down, f"1×1/2, {wider.c}\nBN"), "ReLU"]),
        ("resnet50_v2", [size, plus(ahead)]),
    ]


def resnet_cifar_panels() -> list[Panel]:
    """ResNet-20 whole, its blocks, and the plain network's."""
    first, second, _ = rows = resnet_cifar.section_4_2(20)
    stages: list[Part] = []
    for side, row in zip((32, 16, 8), rows, strict=True):
        stages += [f"{row.n} blocks of 3×3, {row.c}", Maps(f"{row.c} × {side} × {side}")]
    whole = [Maps("3 × 32 × 32"), f"3×3, {first.c}\nBN, ReLU", *stages, "average pool, global", "dense, 10"]
    size, narrow, wide = Maps(f"{first.c} × 32 × 32"), first.c, second.c
    halves = f"3×3/{second.s}, {wide}\nBN, ReLU"
    zeros = f"every 2nd pixel\nand {wide - narrow} maps of zeros"
    return [
        ("cifar_resnet20", whole),
        ("a block of stage 1", [size, plus([f"3×3, {narrow}\nBN, ReLU", f"3×3, {narrow}\nBN"]), "ReLU"]),
        ("the first of stage 2, shortcut A", [size, plus([halves, f"3×3, {wide}\nBN"], zeros), "ReLU"]),
        ("the same in cifar_plain20", [size, halves, f"3×3, {wide}\nBN, ReLU"]),
    ]


def resnext_panels() -> list[Panel]:
    """Wider, in groups, and with a gate for each map."""
    wide = wide_resnet.table_1(28, 10)[0]
    grouped, deep = resnext.table_1(50, cardinality=32, width=4)[0], resnet.TABLE_1[50][0]
    size = Maps(f"{deep.c} × 56 × 56")
    gate = Split(
        "×", ([], ["average pool, global", f"dense, {deep.c // 16}\nReLU", f"dense, {deep.c}\nsigmoid"]), straight=True
    )
    chain = [f"BN, ReLU\n3×3, {wide.width}", f"BN, ReLU, dropout\n3×3, {wide.c}"]
    middle = f"3×3, {grouped.width}, in 32 groups\nBN, ReLU"
    groups = [f"1×1, {grouped.width}\nBN, ReLU", middle, f"1×1, {grouped.c}\nBN"]
    gated = [f"1×1, {deep.width}\nBN, ReLU", f"3×3, {deep.width}\nBN, ReLU", f"1×1, {deep.c}\nBN", gate]
    return [
        ("cifar_wrn28_10", [Maps(f"{wide.c} × 32 × 32"), plus(chain)]),
        ("resnext50_32x4d", [size, plus(groups), "ReLU"]),
        ("seresnet50", [size, plus(gated), "ReLU"]),
    ]


def densenet_panels() -> list[Panel]:
    """A layer of DenseNet-121, how layers follow one another, and what stands between two blocks."""
    k, n = densenet.TABLE_1[121].k, densenet.TABLE_1[121].n[0]
    c = 2 * k

    def layer(*parts: Part) -> Split:
        return Split("concat", (parts, ()), straight=True)

    def size(channels: int, side: int = 56) -> Maps:
        return Maps(f"{channels} × {side} × {side}")

    inner = layer(f"BN, ReLU\n1×1, {4 * k}", f"BN, ReLU\n3×3, {k}")
    short = [part for i in (1, 2, 3) for part in (layer(f"new maps, {k}"), size(c + i * k))]
    end = c + n * k
    return [
        ("a layer of densenet121", [size(c), inner, size(c + k)]),
        ("its first three layers", [size(c), *short]),
        ("transition after six", [size(end), f"BN, ReLU\n1×1, {end // 2}", "average pool 2×2", size(end // 2, 28)]),
    ]


def squeezenet_panels() -> list[Panel]:
    """The first fire module."""
    fire = squeezenet.FIRE_2_TO_9[0]
    expand = side_by_side([f"1×1, {fire.e1x1}\nReLU"], [f"3×3, {fire.e3x3}\nReLU"])
    parts = [Maps("96 × 54 × 54"), f"1×1, {fire.s1x1}\nReLU", expand, Maps(f"{fire.e1x1 + fire.e3x3} × 54 × 54")]
    wide = ["3×3, 128\nReLU", Maps("128 × 54 × 54")]
    return [("fire2 of squeezenet1_0", parts), ("a 3×3 in its place", [Maps("96 × 54 × 54"), *wide])]


def mobilenet_panels() -> list[Panel]:
    """Depthwise and pointwise; inverted residuals."""
    row = mobilenet_v2.TABLE_2[2]
    hidden = row.t * row.c
    before = mobilenet_v2.TABLE_2[1].c
    return [
        ("convolution", [Maps("64 × 112 × 112"), "3×3/2, 128\nBN, ReLU"]),
        ("mobilenet_v1", [Maps("64 × 112 × 112"), "3×3/2 depthwise, 64\nBN, ReLU6", "1×1, 128\nBN, ReLU6"]),
        (
            "mobilenet_v2",
            [
                Maps(f"{row.c} × 28 × 28"),
                plus([f"1×1, {hidden}\nBN, ReLU6", f"3×3 depthwise, {hidden}\nBN, ReLU6", f"1×1, {row.c}\nBN"]),
            ],
        ),
        (
            "mobilenet_v2, stride 2",
            [
                Maps(f"{before} × 56 × 56"),
                f"1×1, {row.t * before}\nBN, ReLU6",
                f"3×3/2 depthwise, {row.t * before}\nBN, ReLU6",
                f"1×1, {row.c}\nBN",
            ],
        ),
    ]


def shufflenet_panels() -> list[Panel]:
    """Version 1 in 3 groups, and version 2, each with its unit that halves the map."""
    c = shufflenet_v1.TABLE_1[0].c[3]
    after = shufflenet_v1.TABLE_1[1].c[3]
    half = shufflenet_v2.TABLE_5[1.0].stage2 // 2
    stem = shufflenet_v2.STEM

    def first(hidden: int, out: int, step: str) -> list[Part]:
        return [
            f"1×1, {hidden}, in 3 groups\nBN, ReLU",
            "channel shuffle",
            f"3×3{step} depthwise, {hidden}\nBN",
            f"1×1, {out}, in 3 groups\nBN",
        ]

    def second(step: str) -> list[Part]:
        return [f"1×1, {half}\nBN, ReLU", f"3×3{step} depthwise, {half}\nBN", f"1×1, {half}\nBN, ReLU"]

    left: list[Part] = [f"3×3/2 depthwise, {stem}\nBN", f"1×1, {half}\nBN, ReLU"]
    return [
        ("shufflenet_v1_g3", [Maps(f"{c} × 28 × 28"), plus(first(c // 4, c, "")), "ReLU"]),
        (
            "stride 2",
            [Maps(f"{c} × 28 × 28"), side_by_side(first(after // 4, after - c, "/2"), ["average pool 3×3/2"]), "ReLU"],
        ),
        (
            "shufflenet_v2",
            [Maps(f"{2 * half} × 28 × 28"), "split in halves", side_by_side(second(""), []), "channel shuffle"],
        ),
        ("stride 2", [Maps(f"{stem} × 56 × 56"), side_by_side(second("/2"), left), "channel shuffle"]),
    ]


def foveola_panels() -> list[Panel]:
    """The network whole, its first stage, and the stem for larger images."""
    stem, sides = 8 * 3, (15, 7, 3)
    stages: list[Part] = []
    for side, row in zip(sides, foveola.STAGES, strict=True):
        stages += [f"stage, {row.c}", Maps(f"{row.c} × {side} × {side}")]
    c, maps = foveola.STAGES[0].c, Maps(f"{stem} × 31 × 31")
    stage = [f"3×3, {c}", "max pool 2×2", "BN, GELU", f"3×3, {c}\nBN, GELU"]
    return [
        ("foveola", [Maps("3 × 32 × 32"), f"2×2, {stem}\nGELU", maps, *stages, "max pool, global", "dense, 10"]),
        ("its first stage", [maps, *stage, Maps(f"{c} × {sides[0]} × {sides[0]}")]),
        ("its stem with stride=2", [Maps("3 × 96 × 96"), f"4×4/2, {stem}\nGELU", Maps(f"{stem} × 47 × 47")]),
    ]


def pattern_panels() -> list[Panel]:
    """Two patterns, letter by letter."""

    def layers(letters: str) -> list[Part]:
        parts: list[str] = []
        for layer in build("pattern", pattern=letters).modules():
            match layer:
                case nn.Conv2d(kernel_size=(k, _), out_channels=c):
                    parts.append(f"C: {k}×{k}, {c}")
                case nn.MaxPool2d(kernel_size=k):
                    parts.append(f"P: max pool {k}×{k}")
                case nn.Linear(out_features=c):
                    parts.append(f"F: dense, {c}")
                case nn.ReLU():
                    parts[-1] += "\nR: ReLU"
        return [Maps("3 × 32 × 32"), *parts]

    return [(f"pattern {letters}", layers(letters)) for letters in ("CRCRP CRCRP F", "CRP CRP FRF")]


FIGURES = {
    "mlp": mlp_panels,
    "lenet": lenet_panels,
    "alexnet": alexnet_panels,
    "vgg": vgg_panels,
    "vgg_blocks": vgg_blocks_panels,
    "nin": nin_panels,
    "inception": inception_panels,
    "bn_inception": bn_inception_panels,
    "factorised": factorised_panels,
    "inception_v4": inception_v4_panels,
    "inception_resnet": inception_resnet_panels,
    "resnet": resnet_panels,
    "resnet_cifar": resnet_cifar_panels,
    "resnext": resnext_panels,
    **SINCE_RESNET,
    "densenet": densenet_panels,
    "squeezenet": squeezenet_panels,
    "mobilenet": mobilenet_panels,
    **SEARCHED,
    "shufflenet": shufflenet_panels,
    **MODERN,
    **OWN,
    "foveola": foveola_panels,
    "pattern": pattern_panels,
    **ALONG_OTHER_AXES,
    **DENSE,
}


def main() -> None:
    """Write every figure beside this file; the titles of its panels also as the file's description."""
    for name, panels in FIGURES.items():
        drawn = panels()
        titles = "; ".join(title for title, _ in drawn)
        path = Path(__file__).with_name(f"zoo-{name}.png")
        figure_of(drawn).savefig(path, dpi=110, metadata={"Description": titles})


if __name__ == "__main__":
    main()
