"""The panels of docs/images/zoo.py that show Inception and what came of it."""

from blocks import Maps, Panel, Part, plus, side_by_side
from torch import device, nn

from fovea.registry import build
from fovea.zoo import googlenet, inception_resnet, xception
from fovea.zoo.inception import Branches


def boxes(module: nn.Module) -> list[Part]:
    """The convolutions and poolings of a module of Inception, branches beside each other."""
    match module:
        case Branches():
            return [side_by_side(*map(boxes, module.children()))]
        case nn.Conv2d(kernel_size=(height, width), stride=(s, _), out_channels=c):
            return [f"{height}×{width}{f'/{s}' if s > 1 else ''}, {c}"]
        case nn.MaxPool2d(kernel_size=k, stride=s):
            return [f"max pool {k}×{k}{f'/{s}' if s > 1 else ''}"]
        case nn.AvgPool2d(kernel_size=k):
            return [f"average pool {k}×{k}"]
    return [part for child in module.children() for part in boxes(child)]


def inception_panels() -> list[Panel]:
    """Figure 2 of GoogLeNet with the channels of its module 3a."""
    maps = googlenet.TABLE_1["3a"]
    return [
        (
            "Figure 2(a): naive",
            [
                Maps("192 × 28 × 28"),
                side_by_side([f"1×1, {maps.n1}"], [f"3×3, {maps.n3}"], [f"5×5, {maps.n5}"], ["max pool 3×3"]),
                Maps(f"{maps.n1 + maps.n3 + maps.n5 + 192} × 28 × 28"),
            ],
        ),
        (
            "Figure 2(b): module 3a of googlenet",
            [
                Maps("192 × 28 × 28"),
                side_by_side(
                    [f"1×1, {maps.n1}"],
                    [f"1×1, {maps.r3}", f"3×3, {maps.n3}"],
                    [f"1×1, {maps.r5}", f"5×5, {maps.n5}"],
                    ["max pool 3×3", f"1×1, {maps.p}"],
                ),
                Maps(f"{maps.c} × 28 × 28"),
            ],
        ),
    ]


def factorised_panels() -> list[Panel]:
    """Inception-v3 on 17 x 17 maps, and Xception's middle flow."""
    c, seven = 192, 128
    separable = [f"ReLU\n3×3 depthwise\n1×1, {width}, BN" for width in xception.FIGURE_5[1][0].c]
    return [
        (
            "inception_v3, Figure 6 (mixed6b)",
            [
                Maps("768 × 17 × 17"),
                side_by_side(
                    [f"1×1, {c}"],
                    [f"1×1, {seven}", f"1×7, {seven}", f"7×1, {c}"],
                    [f"1×1, {seven}", f"7×1, {seven}", f"1×7, {seven}", f"7×1, {seven}", f"1×7, {c}"],
                    ["average pool 3×3", f"1×1, {c}"],
                ),
                Maps("768 × 17 × 17"),
            ],
        ),
        ("xception, middle flow", [Maps("728 × 19 × 19"), plus(separable), Maps("728 × 19 × 19")]),
    ]


def bn_inception_panels() -> list[Panel]:
    """The first module of BN-Inception, and its first with stride 2."""
    with device("meta"):
        network = build("bn_inception")
    return [
        (
            "bn_inception, module 3a",
            [Maps("192 × 28 × 28"), *boxes(network.stage1.inception3a), Maps("256 × 28 × 28")],
        ),
        (
            "bn_inception, module 3c",
            [Maps("320 × 28 × 28"), *boxes(network.stage2.inception3c), Maps("576 × 14 × 14")],
        ),
    ]


def inception_v4_panels() -> list[Panel]:
    """The stem of Inception-v4, and its first grid reduction."""
    with device("meta"):
        network = build("inception_v4")
    return [
        ("inception_v4, stem", [Maps("3 × 299 × 299"), *boxes(network.stem), Maps("384 × 35 × 35")]),
        (
            "inception_v4, Reduction-A",
            [Maps("384 × 35 × 35"), *boxes(network.stage2.reduction_a), Maps("1024 × 17 × 17")],
        ),
    ]


def inception_resnet_panels() -> list[Panel]:
    """A block of either Inception-ResNet, and the second grid reduction."""
    with device("meta"):
        first, second = build("inception_resnet_v1"), build("inception_resnet_v2")

    def block(layer: inception_resnet.InceptionResidual, side: int) -> list[Part]:
        c = layer.expand.out_channels
        scaled = f"1×1, {c}\n× {layer.scale}"
        return [Maps(f"{c} × {side} × {side}"), plus([*boxes(layer.branches), scaled]), "ReLU"]

    reduction = [Maps("1088 × 17 × 17"), *boxes(second.stage3.reduction_b), Maps("2080 × 8 × 8")]
    return [
        ("inception_resnet_v1, Figure 10", block(first.stage1.inception_a1, 35)),
        ("inception_resnet_v2, Figure 19", block(second.stage3.inception_c1, 8)),
        ("inception_resnet_v2, Figure 18", reduction),
    ]
