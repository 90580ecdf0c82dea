import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fovea.reference.padding import amounts, pad, pad_gradient, per_axis

ROW = np.arange(1.0, 5).reshape(1, 1, 4)
TORCH_MODES = {
    "zero": ("constant", 0.0),
    "constant": ("constant", 2.5),
    "reflect": ("reflect", None),
    "replicate": ("replicate", None),
    "circular": ("circular", None),
}


@pytest.mark.parametrize(
    ("mode", "row"),
    [
        ("zero", [0, 0, 1, 2, 3, 4, 0]),
        ("constant", [9, 9, 1, 2, 3, 4, 9]),
        ("reflect", [3, 2, 1, 2, 3, 4, 3]),
        ("replicate", [1, 1, 1, 2, 3, 4, 4]),
        ("circular", [3, 4, 1, 2, 3, 4, 1]),
    ],
)
def test_a_row_padded_by_two_before_and_one_after(mode, row):
    assert pad(ROW, [(2, 1)], mode=mode, value=9.0)[0, 0].tolist() == row


def test_a_value_counts_in_constant_mode_only():
    assert pad(ROW, [(1, 1)], value=9.0)[0, 0].tolist() == [0, 1, 2, 3, 4, 0]


@pytest.mark.parametrize("mode", TORCH_MODES)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_padding_and_its_gradient_are_those_of_pytorch(same_as_torch, draw, mode, axes):
    pairs = ((2, 1), (0, 3), (1, 1))[:axes]
    last_axis_first = [n for pair in reversed(pairs) for n in pair]
    name, value = TORCH_MODES[mode]
    same_as_torch(
        lambda x: pad(x, pairs, mode=mode, value=2.5),
        lambda x: F.pad(x, last_axis_first, mode=name, value=value),
        lambda g, x: pad_gradient(g, pairs, mode=mode),
        draw(2, 3, *(5, 4, 6)[:axes]),
    )


@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # it pads in a copy, as here
def test_same_padding_is_that_of_pytorch_for_odd_and_even_kernels(draw, kernel, dilation):
    x, weight = draw(1, 1, 16), draw(1, 1, kernel)
    padded = pad(x, amounts("same", [kernel], [dilation]))
    ours = F.conv1d(torch.tensor(padded), torch.tensor(weight), dilation=dilation)
    theirs = F.conv1d(torch.tensor(x), torch.tensor(weight), padding="same", dilation=dilation)
    torch.testing.assert_close(ours, theirs)


def test_the_extra_zero_of_an_even_kernel_comes_after():
    assert amounts("same", (4, 3), (1, 1)) == ((1, 2), (1, 1))


def test_amounts_of_numbers_and_pairs():
    assert amounts(2, (3, 3), (1, 1)) == ((2, 2), (2, 2))
    assert amounts([1, (0, 3)], (3, 3), (1, 1)) == ((1, 1), (0, 3))
    assert amounts("full", (3, 2), (2, 1)) == ((4, 4), (1, 1))


@pytest.mark.parametrize("padding", [-1, [1, 2, 3], [(0, -1), 1]])
def test_amounts_that_are_negative_or_of_other_axes_are_refused(padding):
    with pytest.raises(ValueError, match="must be one number >= 0, or one or a pair for each axis"):
        amounts(padding, (3, 3), (1, 1))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="Unknown padding `half`; use `valid`, `same`, `full` or numbers"):
        amounts("half", (3, 3), (1, 1))
    with pytest.raises(ValueError, match="Unknown `mode` `mirror`; use `zero`"):
        pad(ROW, [(1, 1)], mode="mirror")


def test_numbers_per_axis_are_counted_and_positive():
    assert per_axis([2, 3], 2) == (2, 3)
    with pytest.raises(ValueError, match=r"`\(1, 2, 3\)` has 3 numbers for 2 spatial axes"):
        per_axis([1, 2, 3], 2)
    with pytest.raises(ValueError, match=r"at least 1, not `\(0, 0\)`"):
        per_axis(0, 2)
