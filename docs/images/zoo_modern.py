"""The panels of All-CNN, of the lectures' networks, and of those since RegNet, for docs/images/zoo.py."""

from blocks import Maps, Panel, Part, Split, plus

from fovea.zoo import all_cnn, convnetjs, convnext, dogs_vs_cats, efficientnet_v2, regnet, repvgg, resnet


def all_cnn_panels() -> list[Panel]:
    """The network whole, and model C, whose poolings it replaces."""

    def chain(pooled: bool) -> list[Part]:
        parts: list[Part] = [Maps("3 × 32 × 32")]
        for rows in all_cnn.TABLE_2_C:
            for row in rows:
                step = f"/{row.s}" if row.s > 1 else ""
                parts.append("max pool 3×3/2" if pooled and step else f"{row.k}×{row.k}{step}, {row.c}\nReLU")
        return [*parts, "1×1, 10", "average pool, global"]

    return [("cifar_all_cnn_c", chain(pooled=False)), ("model C, which pools", chain(pooled=True))]


def lecture_panels() -> list[Panel]:
    """The networks of the lectures for two kinds of photographs and for CIFAR-10, whole."""
    stages: list[Part] = []
    for side, row in zip((75, 37, 18, 8), dogs_vs_cats.LECTURE_002, strict=True):
        stages += [f"3×3, {row.c1}\nReLU", f"3×3, {row.c2}\nReLU", f"max pool {row.pool}×{row.pool}/2"]
        stages.append(Maps(f"{row.c2} × {side} × {side}"))
    dense: list[Part] = [f"dropout\ndense, {dogs_vs_cats.WIDTH}\nReLU", "dense, 1"]
    k = convnetjs.KERNEL
    small = [part for c in convnetjs.FILTERS for part in (f"{k}×{k}, {c}\nReLU", "max pool 2×2")]
    return [
        ("dogs_vs_cats", [Maps("3 × 150 × 150"), *stages, *dense]),
        ("cifar_convnetjs", [Maps("3 × 32 × 32"), *small, "dense, 10"]),
    ]


def regnet_panels() -> list[Panel]:
    """How widths become stages, and a block."""
    row, rows = regnet.FIGURE_16["400MF"], regnet.stages_of(regnet.FIGURE_16["400MF"])
    last = rows[-1]
    whole: list[Part] = [Maps("3 × 224 × 224"), f"3×3/2, {regnet.STEM}\nBN, ReLU"]
    for side, stage in zip((56, 28, 14, 7), rows, strict=True):
        whole += [f"{stage.n} blocks of {stage.c}" if stage.n > 1 else f"1 block of {stage.c}"]
        whole.append(Maps(f"{stage.c} × {side} × {side}"))
    size = Maps(f"{last.c} × 7 × 7")
    squeeze = ["average pool, global", f"dense, {last.c // 4}\nReLU", f"dense, {last.c}\nsigmoid"]
    gate = Split("×", ([], squeeze), straight=True)
    middle = f"3×3, {last.c}, in groups of {row.g}\nBN, ReLU"
    chain = [f"1×1, {last.c}\nBN, ReLU", middle, gate, f"1×1, {last.c}\nBN"]
    return [
        ("regnet_y_400mf", [*whole, "average pool, global", "dense, 1000"]),
        ("a block of its last stage", [size, plus(chain), "ReLU"]),
    ]


def repvgg_panels() -> list[Panel]:
    """A block as it is trained and fused."""
    c = round(repvgg.TABLE_2_A[0].c * repvgg.A0[0])
    size = Maps(f"{c} × 56 × 56")
    branches = plus([plus([f"3×3, {c}\nBN"], f"1×1, {c}\nBN")], "BN")
    return [
        ("repvgg_a0, as it is trained", [size, branches, "ReLU"]),
        ("repvgg_a0, fused=True", [size, f"3×3, {c}", "ReLU"]),
    ]


def efficientnet_v2_panels() -> list[Panel]:
    """The block of the early stages beside that of the late ones."""
    fused, mb = efficientnet_v2.TABLE_4[1], efficientnet_v2.TABLE_4[3]
    wide, hidden = fused.t * fused.c, mb.t * mb.c
    squeeze = ["average pool, global", f"dense, {mb.c // 4}\nSiLU", f"dense, {hidden}\nsigmoid"]
    gate = Split("×", ([], squeeze), straight=True)
    late = [f"1×1, {hidden}\nBN, SiLU", f"3×3 depthwise, {hidden}\nBN, SiLU", gate, f"1×1, {mb.c}\nBN"]
    return [
        (
            "efficientnet_v2_s, stage 2: Fused-MBConv",
            [Maps(f"{fused.c} × 96 × 96"), plus([f"3×3, {wide}\nBN, SiLU", f"1×1, {fused.c}\nBN"])],
        ),
        ("stage 4: MBConv", [Maps(f"{mb.c} × 24 × 24"), plus(late)]),
    ]


def convnext_panels() -> list[Panel]:
    """A block beside ResNet's bottleneck, and what halves the map."""
    c, after = convnext.SECTION_3["T"].C[:2]
    row = resnet.TABLE_1[50][0]
    size = Maps(f"{row.c} × 56 × 56")
    bottleneck = [f"1×1, {row.width}\nBN, ReLU", f"3×3, {row.width}\nBN, ReLU", f"1×1, {row.c}\nBN"]
    chain = [f"7×7 depthwise, {c}\nLN", f"1×1, {4 * c}\nGELU", f"1×1, {c}\nscale by channel"]
    return [
        ("resnet50", [size, plus(bottleneck), "ReLU"]),
        ("convnext_tiny", [Maps(f"{c} × 56 × 56"), plus(chain)]),
        ("between its stages", [Maps(f"{c} × 56 × 56"), f"LN\n2×2/2, {after}", Maps(f"{after} × 28 × 28")]),
    ]


FIGURES = {
    "all_cnn": all_cnn_panels,
    "lectures": lecture_panels,
    "regnet": regnet_panels,
    "repvgg": repvgg_panels,
    "efficientnet_v2": efficientnet_v2_panels,
    "convnext": convnext_panels,
}
