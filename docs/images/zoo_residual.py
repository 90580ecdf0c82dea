"""The panels of networks that came after ResNet, for docs/images/zoo.py."""

from blocks import Maps, Panel, Part, Split, plus

from fovea.zoo import attention, dpn, prelu_net, pyramidnet, resnet


def widening_panels() -> list[Panel]:
    """PyramidNet's block, of which each is a little wider, and the two parts of a dual path."""
    _, second, third = list(pyramidnet.widths(300, 66))[:3]
    before, after = pyramidnet.EXPANSION * second, pyramidnet.EXPANSION * third
    chain = [f"BN\n1×1, {third}\nBN, ReLU", f"3×3, {third}\nBN, ReLU", f"1×1, {after}\nBN"]
    net = dpn.TABLE_1[92]
    row = net.stages[0]
    groups = f"BN, ReLU\n3×3, {row.width}\nin {net.groups} groups"
    dual = [f"BN, ReLU\n1×1, {row.width}", groups, f"BN, ReLU\n1×1, {row.c} and {row.k}"]
    parts = f"the first {row.c} added,\nthe other {row.k} put behind"
    sizes = [Maps(f"{row.c + k * row.k} × 56 × 56") for k in (3, 4)]
    return [
        (
            "pyramidnet200_300",
            [Maps(f"{before} × 56 × 56"), plus(chain, f"{after - before} maps of zeros\nput behind")]
            + [Maps(f"{after} × 56 × 56")],
        ),
        ("dpn92", [sizes[0], Split(parts, (dual, ()), straight=True), sizes[1]]),
    ]


def attention_panels() -> list[Panel]:
    """An attention module, and CBAM's two gates behind a bottleneck."""
    row = attention.TABLE_2[56][2]
    size, unit = Maps(f"{row.c} × 14 × 14"), "residual unit"
    gate = [f"BN, ReLU\n1×1, {row.c}"] * 2
    mask = ["max pool 3×3/2", unit, unit, "enlarge, bilinear", gate[0], f"{gate[1]}\nsigmoid, plus 1"]
    deep = resnet.TABLE_1[50][0]
    bottleneck = [f"1×1, {deep.width}\nBN, ReLU", f"3×3, {deep.width}\nBN, ReLU", f"1×1, {deep.c}\nBN"]
    dense = f"dense, {deep.c // 16}\nReLU\ndense, {deep.c}"
    pooled = "average pool\nand max pool, global"
    channels = Split("×", ([], [pooled, f"{dense}, of both", "add, sigmoid"]), straight=True)
    places = Split("×", ([], ["mean and maximum\nover channels", "7×7, 1\nBN, sigmoid"]), straight=True)
    maps = Maps(f"{deep.c} × 56 × 56")
    return [
        ("attention56, stage 3", [size, unit, Split("×", ([unit, unit], mask), straight=True), unit, size]),
        ("cbam_resnet50", [maps, plus([*bottleneck, channels, places]), "ReLU"]),
    ]


def prelu_net_panels() -> list[Panel]:
    """Two of the networks, whole."""

    def chain(model: prelu_net.Model) -> list[Part]:
        parts: list[Part] = [Maps("3 × 224 × 224"), f"7×7/2, {prelu_net.STEM}\nPReLU", "max pool 2×2"]
        for c in model.c:
            parts += [f"{model.n} times 3×3, {c}\nPReLU", "max pool 2×2"]
        levels = ", ".join(f"{level}×{level}" for level in prelu_net.PYRAMID)
        parts[-1] = f"max pool to\n{levels}"
        return [*parts, *[f"dense, {prelu_net.DENSE}\nPReLU, dropout"] * 2, "dense, 1000"]

    return [(f"prelu_net_{name.lower()}", chain(prelu_net.TABLE_3[name])) for name in ("A", "C")]


FIGURES = {"widening": widening_panels, "attention": attention_panels, "prelu_net": prelu_net_panels}
