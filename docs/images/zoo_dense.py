"""The panels of networks that answer masks, boxes or points, for docs/images/zoo.py."""

from collections.abc import Sequence

from blocks import Maps, Panel, Part, Split, plus, side_by_side

from fovea.registry import arguments_of
from fovea.zoo import centres, deeplab, fcn, regression, resnet, retinanet, segnet, unet, vgg, yolo


def beside(main: Sequence[Part], *skip: Part) -> Split:
    """Return `main` with a map that is kept beside it, and then appended."""
    return Split("concat", (main, skip), straight=True)


def fcn_panels() -> list[Panel]:
    """From dense layers to maps, and how finer maps are added."""
    dense = [f"7×7, {fcn.DENSE}\nReLU, dropout", f"1×1, {fcn.DENSE}\nReLU, dropout"]
    scores = [Maps(f"{vgg.CHANNELS[-1]} × 7 × 7"), *dense, "1×1, classes", "twice as large, learned"]
    return [
        ("fcn_32s", [Maps("3 × 224 × 224"), "stages of vgg16", *scores[:-1], "32 times as large"]),
        (
            "fcn_8s",
            [Split("+", (["stage 4", *scores], ["1×1, classes"]), straight=True), "twice as large, learned"]
            + [Maps("+ 1×1, classes, of stage 3"), "8 times as large"],
        ),
    ]


def unet_panels() -> list[Panel]:
    """The figure, and the form on other networks' stages."""
    *finer, last = unet.FIGURE_1
    parts: list[Part] = [f"2 times 3×3, {last}\nReLU"]
    for c in reversed(finer):
        inside: list[Part] = ["max pool 2×2", *parts, f"up-conv 2×2, {c}"]
        parts = [f"2 times 3×3, {c}\nReLU", beside(inside, "crop"), f"2 times 3×3, {c}\nReLU"]
    width = int(str(arguments_of("unet_on")["width"]))
    up: list[Part] = [
        beside(["further stages", f"1×1, {width} × stride", "enlarged"], Maps("the stage's map")),
        f"2 times 3×3, {width} × stride\nBN, ReLU",
    ]
    return [
        ("unet", [Maps("1 × 572 × 572"), *parts, "1×1, classes", Maps("classes × 388 × 388")]),
        ("one level of unet_on", ["a stage of the backbone", *up]),
    ]


def segnet_panels() -> list[Panel]:
    """A value and its place."""
    first, *_, last = segnet.ENCODER
    down = [f"{len(first)} times 3×3, {first[-1]}\nBN, ReLU", "max pool 2×2"]
    middle = [f"{len(last)} times 3×3, {last[-1]}\nBN, ReLU", "max pool 2×2", "values back to their\nplaces"]
    up = ["values back to their\nplaces", "3×3, 64\nBN, ReLU", "3×3, classes"]
    return [("segnet", [Maps("3 × 224 × 224"), *down, Maps("three more"), *middle, Maps("three more"), *up])]


def deeplab_panels() -> list[Panel]:
    """Holes of several widths, side by side."""
    c = resnet.TABLE_1[50][-1].c
    unit = f"{deeplab.WIDTH}\nBN, ReLU"
    branches = [[f"1×1, {unit}"], *([f"3×3, {rate} apart, {unit}"] for rate in deeplab.RATES)]
    mean = ["average pool, global", f"1×1, {unit}"]
    tail = [f"1×1, {unit}, dropout", f"3×3, {unit}", "1×1, classes", "8 times as large"]
    return [("deeplabv3_resnet50", [Maps(f"{c} × H/8 × W/8"), side_by_side(*branches, mean), *tail])]


def yolo_panels() -> list[Panel]:
    """All boxes in one look, twice."""

    def stages(table: Sequence[Sequence[yolo.Conv]]) -> list[Part]:
        return [
            f"{f'{len(rows)} convolutions' if len(rows) > 1 else f'{rows[0].k}×{rows[0].k}'}, to {rows[-1].c}"
            + ("\nmax pool 2×2" if i < len(table) and rows[-1].s == 1 or i == 1 else "")
            for i, rows in enumerate(table, start=1)
        ]

    first = [*stages(yolo.FIGURE_3), f"dense, {yolo.DENSE}\ndropout", "dense, 7 · 7 · 30"]
    *body, last = stages(yolo.TABLE_6)
    c = yolo.TABLE_6[-1][-1].c
    joined = beside([last, f"2 times 3×3, {c}"], f"1×1, {yolo.PASSED}", "4 places in one")
    answers = [f"3×3, {c}", "1×1, 5 (5 + classes)"]
    return [
        ("yolo_v1", [Maps("3 × 448 × 448"), *first, Maps("30 × 7 × 7")]),
        ("yolo_v2", [Maps("3 × 416 × 416"), *body, joined, *answers, Maps("125 × 13 × 13")]),
    ]


def retinanet_panels() -> list[Panel]:
    """The pyramid, and a tower."""
    width, depth = retinanet.WIDTH, retinanet.DEPTH
    level = plus([f"1×1, {width}"], Maps("coarser map,"), Maps("enlarged"))
    towers = [[f"{depth} times 3×3, {width}\nReLU", f"3×3, 9 {answer}"] for answer in ("· classes", "· 4")]
    return [
        ("one level of retinanet", [Maps("a stage of the backbone"), level, f"3×3, {width}", side_by_side(*towers)]),
    ]


def centres_panels() -> list[Panel]:
    """From four stages to one map, and what is said at each of its places."""
    width = int(str(arguments_of("centres")["width"]))
    branches = [[f"3×3, {centres.BRANCH_WIDTH}\nReLU", f"1×1, {answer}"] for answer in ("classes", "4")]
    summed = plus([f"1×1, {width}"], Maps("strides 8, 16, 32:"), f"1×1, {width}", "enlarged, summed")
    return [
        ("centres", [Maps("stage of stride 4"), summed, f"3×3, {width}\nBN, ReLU", side_by_side(*branches)]),
    ]


def points_panels() -> list[Panel]:
    """Heat maps, or numbers."""
    width = int(str(arguments_of("simple_baseline")["width"]))
    up = f"transposed 4×4, {width}\nBN, ReLU"
    flat = [f"1×1, {regression.WIDTH}\nBN, ReLU", "flatten"]
    return [
        ("simple_baseline", [Maps("2048 × 8 × 8"), up, up, up, "1×1, points", Maps("points × 64 × 64")]),
        ("point_regression", [Maps("512 × 7 × 7"), *flat, "dense, 2 · points"]),
        (
            "localiser",
            [Maps("512 × 7 × 7"), side_by_side(["average pool, global", "dense, classes"], [*flat, "dense, 4"])],
        ),
    ]


FIGURES = {
    "fcn": fcn_panels,
    "unet": unet_panels,
    "segnet": segnet_panels,
    "deeplab": deeplab_panels,
    "yolo": yolo_panels,
    "retinanet": retinanet_panels,
    "centres": centres_panels,
    "points": points_panels,
}
