import pytest
import torch

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.zoo.resnet import Stage, bottleneck
from fovea.zoo.resnext import grouped_bottleneck, table_1


@pytest.mark.parametrize(
    ("cardinality", "width", "widths"),
    [(32, 4, [128, 256, 512, 1024]), (64, 4, [256, 512, 1024, 2048]), (1, 64, [64, 128, 256, 512])],
)
def test_widths_by_cardinality(cardinality, width, widths):
    # Xie et al. 2016, Table 1 (32x4d, and 1x64d, which is ResNet-50) and section 4.4 (64x4d)
    rows = table_1(50, cardinality=cardinality, width=width)
    assert [row.width for row in rows] == widths
    assert [row.c for row in rows] == [256, 512, 1024, 2048]


def test_cardinality_one_is_the_bottleneck():
    torch.manual_seed(0)
    stage, x = Stage(4, 8, 1, 2), torch.randn(2, 6, 7, 7)
    grouped, whole = grouped_bottleneck(6, stage, stride=2, cardinality=1), bottleneck(6, stage, stride=2)
    whole.load_state_dict(grouped.state_dict())
    torch.testing.assert_close(grouped(x), whole(x))


def test_groups_are_paths_of_their_own():
    # Figure 3: (a), transformations side by side, equals (c), one grouped convolution
    torch.manual_seed(0)
    layer, x = grouped_bottleneck(6, Stage(8, 6, 1, 1), stride=1, cardinality=4).conv2, torch.randn(2, 8, 5, 5)
    paths = [torch.nn.functional.conv2d(x[:, i : i + 2], layer.weight[i : i + 2], padding=1) for i in range(0, 8, 2)]
    torch.testing.assert_close(layer(x), torch.cat(paths, dim=1))


@pytest.mark.parametrize(("name", "groups"), [("resnext50_32x4d", 32), ("resnext101_64x4d", 64)])
def test_all_3x3_convolutions_are_grouped(name, groups):
    with torch.device("meta"):
        model = registry.build(name)
    convs = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)]
    assert {conv.groups for conv in convs} == {groups}
