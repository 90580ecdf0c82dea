"""Views of an image: where they are cut, how large it is then, and what is said of them."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fovea.errors import UsageError
from fovea.inputs.views import Protocol
from fovea.preprocess import Preprocess
from fovea.training.inference import predict_logits

GREY = Preprocess(size=(2, 2), channels=1, mean=(0.0,), std=(1.0,))


def numbered(side):
    """Return one image whose pixels are their index."""
    return torch.arange(side**2, dtype=torch.uint8).view(1, 1, side, side)


def cut(protocol, images, side=2):
    return [view[0, 0].tolist() for view in protocol.cut(images, (side, side))]


def test_ten_crops_are_centre_and_corners_and_their_mirror_images():
    assert cut(Protocol(crops=10), numbered(4)) == [
        *([[5, 6], [9, 10]], [[6, 5], [10, 9]]),
        *([[0, 1], [4, 5]], [[1, 0], [5, 4]]),
        *([[2, 3], [6, 7]], [[3, 2], [7, 6]]),
        *([[8, 9], [12, 13]], [[9, 8], [13, 12]]),
        *([[10, 11], [14, 15]], [[11, 10], [15, 14]]),
    ]
    assert cut(Protocol(crops=5), numbered(4)) == cut(Protocol(crops=10), numbered(4))[::2]
    assert cut(Protocol(crops=5, flip=True), numbered(4)) == cut(Protocol(crops=10), numbered(4))


def test_one_view_is_the_image_itself():
    (view,) = Protocol().cut(numbered(4), (4, 4))
    assert torch.equal(view, numbered(4)) and view.dtype == torch.uint8


def test_a_scale_resizes_before_the_crop():
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    half, whole = cut(Protocol(scales=(0.5, 1.0)), ramp, side=4)
    assert whole[0] == [2, 3, 4, 5]  # the middle of the ramp
    assert half[0] == pytest.approx([0.7, 2.5, 4.5, 6.3], abs=0.1)  # all of it, at half the size


def test_what_a_small_scale_leaves_free_repeats_the_border():
    (view,) = cut(Protocol(scales=(0.5,)), torch.tensor([[[[10.0, 30.0], [10.0, 30.0]]]]), side=4)
    assert view == [[10, 10, 30, 30]] * 4


@pytest.mark.parametrize(
    ("protocol", "crop", "size"),
    [
        (Protocol(flip=True), 1.0, (224, 224)),
        (Protocol(crops=10), 1.0, (256, 256)),
        (Protocol(crops=10), 0.8, (280, 280)),
        (Protocol(scales=(0.9, 1.5)), 1.0, (336, 336)),
        (Protocol(scales=(1.0, 1.25)), 0.875, (320, 320)),
        (Protocol(scales=(0.5,)), 1.0, (112, 112)),
    ],
)
def test_images_are_decoded_as_large_as_the_largest_view_needs(protocol, crop, size):
    preprocess = Preprocess(size=(224, 224), channels=1, crop=crop, mean=(0.0,), std=(1.0,))
    wide = protocol.geometry(preprocess)
    assert wide.size == size
    assert wide.crop == (crop if protocol == Protocol(flip=True) else 1.0)


def test_logits_are_averaged_over_the_views():
    pixels = np.zeros((1, 4, 4, 1), np.uint8)
    pixels[0, 0, 0] = 255  # seen by one of five crops, in its top left pixel
    model = nn.Flatten()
    plain = predict_logits(model, pixels, GREY, protocol=Protocol(crops=5))
    assert plain[0].tolist() == pytest.approx([0.2, 0, 0, 0])
    mirrored = predict_logits(model, pixels, GREY, protocol=Protocol(crops=10))
    assert mirrored[0].tolist() == pytest.approx([0.1, 0.1, 0, 0])


def test_images_are_resized_as_pillow_does():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
    view, _ = Protocol(scales=(0.6, 1.0)).cut(torch.from_numpy(pixels)[None, None], (12, 18))
    theirs = Image.fromarray(pixels).resize((18, 12), Image.Resampling.BILINEAR)
    assert np.abs(view[0, 0].numpy() - np.asarray(theirs)).max() <= 1


@pytest.mark.parametrize(
    ("protocol", "views", "text"),
    [
        (Protocol(), 1, ""),
        (Protocol(flip=True), 2, "logits averaged over 2 views: each image and its mirror image"),
        (Protocol(crops=5), 5, "logits averaged over 5 views: corners and centre of each image"),
        (
            Protocol(crops=10, scales=(0.9, 1.0, 1.1)),
            30,
            "logits averaged over 30 views: corners and centre of each image and their mirror images "
            "at scales 0.9, 1, 1.1",
        ),
        (Protocol(scales=(1.1,)), 1, "each image at scale 1.1"),
    ],
)
def test_a_protocol_says_what_it_is(protocol, views, text):
    assert (protocol.views, protocol.text) == (views, text)
    assert len(cut(protocol, numbered(8), side=4)) == views


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"crops": 3}, r"^`crops` \(=3\) must be one of 1, 5, 10\.$"),
        ({"scales": ()}, r"^`scales` \(=\) must be one or more numbers from 0\.25 to 4, as 0\.9,1,1\.1\.$"),
        ({"scales": (1.0, 5.0)}, r"^`scales` \(=1, 5\) must be"),
        ({"scales": (float("nan"),)}, r"^`scales` \(=nan\) must be"),
    ],
)
def test_a_protocol_that_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(UsageError, match=said):
        Protocol(**wrong)
