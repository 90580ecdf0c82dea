"""Every row of two tables of parameters and multiply-adds, by `fovea measure` as one types it."""

import json
from functools import cache

import pytest
import torch
from torch import nn

from fovea import registry
from fovea.cli import run
from fovea.jobs import measure as job
from fovea.measurement.network import measure_network
from fovea.zoo.keras_forms import FORMS, own_name

# Lecture 002, "Popular CNN architectures": the 18 totals that it prints, and the last two counted in the same way; the
# other figures were counted in Keras' own models: trainable parameters, biases of convolutions.
KERAS = (
    # name, total, trainable, biases of convolutions, input
    ("Xception", 22_910_480, 22_855_952, 0, "3x299x299"),
    ("VGG16", 138_357_544, 138_357_544, 4_224, "3x224x224"),
    ("VGG19", 143_667_240, 143_667_240, 5_504, "3x224x224"),
    ("ResNet50", 25_636_712, 25_583_592, 26_560, "3x224x224"),
    ("ResNet101", 44_707_176, 44_601_832, 52_672, "3x224x224"),
    ("ResNet152", 60_419_944, 60_268_520, 75_712, "3x224x224"),
    ("ResNet50V2", 25_613_800, 25_568_360, 19_008, "3x224x224"),
    ("ResNet101V2", 44_675_560, 44_577_896, 36_416, "3x224x224"),
    ("ResNet152V2", 60_380_648, 60_236_904, 51_776, "3x224x224"),
    ("InceptionV3", 23_851_784, 23_817_352, 0, "3x299x299"),
    ("InceptionResNetV2", 55_873_736, 55_813_192, 45_760, "3x299x299"),
    ("MobileNet", 4_253_864, 4_231_976, 1_000, "3x224x224"),
    ("MobileNetV2", 3_538_984, 3_504_872, 0, "3x224x224"),
    ("DenseNet121", 8_062_504, 7_978_856, 0, "3x224x224"),
    ("DenseNet169", 14_307_880, 14_149_480, 0, "3x224x224"),
    ("DenseNet201", 20_242_984, 20_013_928, 0, "3x224x224"),
    ("NASNetMobile", 5_326_716, 5_289_978, 0, "3x224x224"),
    ("NASNetLarge", 88_949_818, 88_753_150, 0, "3x331x331"),
    ("EfficientNetB0", 5_330_571, 5_288_548, 9_340, "3x224x224"),
    ("EfficientNetB7", 66_658_687, 66_347_960, 73_200, "3x600x600"),
)
# torchvision 0.28 and timm 1.0.31: trainable parameters, multiply-adds of convolutions and dense layers
ARCHITECTURES = (
    # name, trainable, multiply-adds, input, name there
    ("alexnet_owt", 61_100_840, 714_188_480, "3x224x224", "alexnet"),
    ("vgg11", 132_863_336, 7_609_090_048, "3x224x224", "vgg11"),
    ("vgg13", 133_047_848, 11_308_466_176, "3x224x224", "vgg13"),
    ("vgg16", 138_357_544, 15_470_264_320, "3x224x224", "vgg16"),
    ("vgg19", 143_667_240, 19_632_062_464, "3x224x224", "vgg19"),
    ("googlenet_bn", 6_624_904, 1_498_376_192, "3x224x224", "googlenet"),
    ("inception_v3", 23_834_568, 5_713_216_096, "3x299x299", "inception_v3"),
    ("resnet18", 11_689_512, 1_814_073_344, "3x224x224", "resnet18"),
    ("resnet34", 21_797_672, 3_663_761_408, "3x224x224", "resnet34"),
    ("resnet50", 25_557_032, 4_089_184_256, "3x224x224", "resnet50"),
    ("resnet101", 44_549_160, 7_801_405_440, "3x224x224", "resnet101"),
    ("resnet152", 60_192_808, 11_513_626_624, "3x224x224", "resnet152"),
    ("wide_resnet50", 68_883_240, 11_398_021_120, "3x224x224", "wide_resnet50_2"),
    ("resnext50_32x4d", 25_028_904, 4_230_479_872, "3x224x224", "resnext50_32x4d"),
    ("resnext101_64x4d", 83_455_272, 15_460_270_080, "3x224x224", "resnext101_64x4d"),
    ("densenet121", 7_978_856, 2_834_161_664, "3x224x224", "densenet121"),
    ("densenet161", 28_681_000, 7_727_907_072, "3x224x224", "densenet161"),
    ("densenet169", 14_149_480, 3_359_843_328, "3x224x224", "densenet169"),
    ("densenet201", 20_013_928, 4_291_365_888, "3x224x224", "densenet201"),
    ("squeezenet1_0", 1_248_424, 818_924_576, "3x224x224", "squeezenet1_0"),
    ("squeezenet1_1", 1_235_496, 349_151_936, "3x224x224", "squeezenet1_1"),
    ("mobilenet_v2", 3_504_872, 300_774_272, "3x224x224", "mobilenet_v2"),
    ("shufflenet_v2_05", 1_366_792, 40_476_448, "3x224x224", "shufflenet_v2_x0_5"),
    ("shufflenet_v2", 2_278_604, 144_907_992, "3x224x224", "shufflenet_v2_x1_0"),
    ("mnasnet_b1", 4_383_312, 314_415_872, "3x224x224", "mnasnet1_0"),
    ("efficientnet_b0", 5_288_548, 385_814_752, "3x224x224", "efficientnet_b0"),
    ("efficientnet_b7", 66_347_960, 37_745_884_192, "3x600x600", "efficientnet_b7"),
    ("senet154", 115_088_984, 20_688_363_520, "3x224x224", "senet154"),
    ("seresnet50", 28_088_024, 4_091_699_200, "3x224x224", "seresnet50"),
    ("xception", 22_855_952, 8_357_403_496, "3x299x299", "legacy_xception"),
    ("nasnetalarge", 88_753_150, 23_783_414_658, "3x331x331", "nasnetalarge"),
    ("inception_v4", 42_679_816, 12_253_974_624, "3x299x299", "inception_v4"),
    ("inception_resnet_v2", 55_843_464, 13_155_794_016, "3x299x299", "inception_resnet_v2"),
    ("dpn131", 79_254_504, 16_013_648_896, "3x224x224", "dpn131"),
    ("mobilenet_v1", 4_231_976, 568_740_352, "3x224x224", "mobilenetv1_100"),
    ("resnet50_v2", 25_549_352, 4_089_184_256, "3x224x224", "resnetv2_50"),
    # likewise, of further networks
    ("seresnext50_32x4d", 27_559_896, 4_232_994_816, "3x224x224", "seresnext50_32x4d"),
    ("seresnext101_32x4d", 48_955_416, 7_974_739_968, "3x224x224", "seresnext101_32x4d"),
    ("dpn68", 12_611_602, 2_326_163_456, "3x224x224", "dpn68"),
    ("dpn92", 37_668_392, 6_501_684_224, "3x224x224", "dpn92"),
)


@pytest.fixture(scope="module", autouse=True)
def measured_once():
    """Measure a network that stands in both tables once."""
    found = cache(lambda name, shape: measure_network(job.found(name, shape)[0], shape, name=name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "measure_network", lambda model, shape, *, name: found(name, tuple(shape)))
        yield


def measured(capsys, *arguments: str) -> dict:
    assert run(["measure", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


MANY_LAYERS = ("InceptionResNetV2", "NASNetMobile", "NASNetLarge", "EfficientNetB7", "DenseNet169", "DenseNet201") + (
    *("inception_resnet_v2", "nasnetalarge", "efficientnet_b7", "densenet169", "densenet201"),
    *("senet154", "dpn131"),
)


def rows_of(table):
    return [pytest.param(*row, marks=[pytest.mark.slow] * (row[0] in MANY_LAYERS)) for row in table]


@pytest.mark.parametrize(("name", "total", "trainable", "biases", "shape"), rows_of(KERAS))
def test_the_table_of_keras(name, total, trainable, biases, shape, capsys):
    found = measured(capsys, name, "--convention", "keras")
    assert "x".join(map(str, found["input_shape"])) == shape
    assert found["keras"] == {"total": total, "trainable": trainable, "non_trainable": total - trainable}
    assert sum(row["parameters"] for row in found["layers"]) == trainable
    assert found["name"] == own_name(name)
    with torch.device("meta"):
        network = registry.build(found["name"])
    ours = sum(m.bias.numel() for m in network.modules() if isinstance(m, nn.Conv2d) and m.bias is not None)
    more = trainable - registry.entry(found["name"]).params if FORMS[found["name"]].biases else 0
    # the logits of MobileNet are a dense layer here, and a 1x1 convolution there
    assert ours + more == biases - (1000 if name == "MobileNet" else 0)


@pytest.mark.parametrize(("name", "trainable", "macs", "shape", "there"), rows_of(ARCHITECTURES))
def test_the_table_of_other_libraries(name, trainable, macs, shape, there, capsys):
    found = measured(capsys, name, "--input", shape)
    assert (found["total"]["parameters"], found["total"]["macs"]) == (trainable, macs)
    card = registry.entry(name)
    assert (card.params, card.macs, "x".join(map(str, card.input))) == (trainable, macs, shape)
    assert there in {name, *(peer.name for peer in card.peers.values())}


def test_names_of_other_libraries_are_taken_as_well():
    for name, _, _, _, there in ARCHITECTURES:
        if there not in registry.names():  # `alexnet` and `googlenet` are the papers' here
            assert registry.resolve(there) == registry.resolve(name)
