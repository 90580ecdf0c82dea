"""The panels of networks for series and for clips, for docs/images/zoo.py."""

from blocks import Maps, Panel, Part, plus

from fovea.registry import arguments_of
from fovea.zoo import causal, r3d, resnet, time_series, vgg, waveform


def series_panels() -> list[Panel]:
    """Five ways to look along one axis."""
    fcn: list[Part] = [f"{k} steps, {c}\nBN, ReLU" for k, c in zip(time_series.KERNELS, time_series.FCN, strict=True)]
    *first, last = time_series.KERNELS
    c = time_series.RESNET[-1]
    block = plus([*(f"{k} steps, {c}\nBN, ReLU" for k in first), f"{last} steps, {c}\nBN"], "BN")
    stages: list[Part] = []
    for i, row in enumerate(waveform.TABLE_1["M5"]):
        kernel = f"{waveform.KERNEL} steps/{waveform.STRIDE}" if i == 0 else "3 steps"
        stages.append(f"{kernel}, {row.c}\nBN, ReLU, max pool {waveform.POOL}")
    column: list[Part] = [
        f"{f'{len(row)} times ' * (len(row) > 1)}3 steps, {c}\nReLU, max pool 2"
        for c, row in zip(vgg.CHANNELS, vgg.TABLE_1["A"].k, strict=True)
    ]
    ending: list[Part] = ["average pool, global", "dense, logits"]
    return [
        ("fcn_1d", [Maps("1 × 150"), *fcn, *ending]),
        ("resnet_1d, last block", [Maps(f"{c} × 150"), block, "ReLU"]),
        ("waveform_m5", [Maps("1 × 32000"), *stages, *ending]),
        ("vgg_1d", [Maps("1 × 150"), *column, *["dense, 4096\nReLU, dropout"] * 2, "dense, logits"]),
    ]


def causal_panels() -> list[Panel]:
    """The levels of a causal stack, and how far back they look."""
    arguments = arguments_of("causal_1d")
    kernel, levels, width = (int(str(arguments[name])) for name in ("kernel", "levels", "width"))

    def level(i: int) -> Part:
        steps = f"{kernel} steps, {2**i} apart, {width}\nReLU, dropout"
        return plus([steps, steps])

    def seen(n: int) -> Maps:
        return Maps(f"sees {causal.receptive_field(kernel, n):,} steps")

    parts: list[Part] = [Maps(f"{width} × 784"), level(1), "ReLU", seen(2)]
    chain: list[Part] = [part for i in range(levels) for part in (f"level {i + 1}, steps {2**i} apart", seen(i + 1))]
    return [
        ("level 2 of causal_1d", parts),
        ("causal_1d", [Maps("1 × 784"), *chain, "the last step", "dense, 10"]),
    ]


def clips_panels() -> list[Panel]:
    """C3D, and three ways to convolve space and time in a residual block."""
    column: list[Part] = []
    for i, (c, row) in enumerate(zip(vgg.CHANNELS, vgg.TABLE_1["A"].k, strict=True)):
        pool = "1×2×2" if i == 0 else "2×2×2"
        column.append(f"{f'{len(row)} times ' * (len(row) > 1)}3×3×3, {c}\nmax pool {pool}")
    c = resnet.TABLE_1[18][0].c
    middle = r3d.middle_of(c, c)
    size = Maps(f"{c} × 16 × 56 × 56")
    after = resnet.TABLE_1[18][1]
    joint: list[Part] = [f"3×3×3, {c}\nBN, ReLU", f"3×3×3, {c}\nBN"]
    flat: list[Part] = [f"1×3×3, {after.c}\nBN, ReLU", f"1×3×3, {after.c}\nBN"]
    split: list[Part] = [
        f"1×3×3, {middle}\nBN, ReLU",
        f"3×1×1, {c}\nBN, ReLU",
        f"1×3×3, {middle}\nBN, ReLU",
        f"3×1×1, {c}\nBN",
    ]
    return [
        ("vgg_3d (C3D)", [Maps("3 × 16 × 112 × 112"), *column, *["dense, 4096\nReLU, dropout"] * 2, "dense, logits"]),
        ("r3d_18, stage 1", [size, plus(joint), "ReLU"]),
        ("mc3_18, stage 2", [Maps(f"{after.c} × 16 × 28 × 28"), plus(flat), "ReLU"]),
        ("r2plus1d_18, stage 1", [size, plus(split), "ReLU"]),
    ]


FIGURES = {"series": series_panels, "causal": causal_panels, "clips": clips_panels}
