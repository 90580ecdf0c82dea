import torch
from torch import nn

from fovea.layers import Classifier


def doubling(c_in: int) -> nn.Conv2d:
    conv = nn.Conv2d(c_in, 1, 1, bias=False)
    nn.init.constant_(conv.weight, 2.0)
    return conv


HEAD = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_parts_run_in_order_stem_stages_head():
    model = Classifier(stem=nn.ZeroPad2d(1), stages=[doubling(1), nn.MaxPool2d(2)], head=HEAD)
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    # padded to 4x4, doubled, maximum of each quarter, mean
    assert model.features(x).tolist() == [[[[2.0, 4.0], [6.0, 8.0]]]]
    assert model(x).tolist() == [[5.0]]


def test_children_have_the_names_of_the_checkpoint_format():
    with_stem = Classifier(stem=nn.ReLU(), stages=[nn.ReLU(), nn.ReLU()], head=HEAD)
    assert [name for name, _ in with_stem.named_children()] == ["stem", "stage1", "stage2", "head"]
    without = Classifier(stages=[doubling(1)], head=HEAD)
    assert [name for name, _ in without.named_children()] == ["stage1", "head"]
    assert list(without.state_dict()) == ["stage1.weight"]


def test_a_replaced_child_is_used():
    model = Classifier(stages=[doubling(1)], head=HEAD)
    model.stage1 = nn.Identity()
    assert model(torch.ones(1, 1, 2, 2)).tolist() == [[1.0]]
