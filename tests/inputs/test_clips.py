"""Clips: which frames are taken, in which order, their geometry, and broken folders."""

import numpy as np
import pytest
import torch
from PIL import Image

from fovea import inputs
from fovea.errors import ImageError, UsageError
from fovea.inputs.clips import ClipPreprocess, evenly, frames_in

KIND = inputs.kind("clips")


def way(**changes):
    return ClipPreprocess(**{"frames": 3, "size": (4, 4), "channels": 1, "mean": (0.5,), "std": (0.25,), **changes})


@pytest.fixture
def folder(tmp_path):
    """Return a clip whose frames hold their numbers, 1 to 11."""
    for number in range(1, 12):
        Image.fromarray(np.full((4, 4), number, np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    return tmp_path


def test_frames_are_taken_evenly_and_in_the_natural_order(folder):
    assert [path.stem for path in frames_in(folder)][-3:] == ["9", "10", "11"]
    assert way().read(folder)[:, 0, 0, 0].tolist() == [1, 6, 11]
    assert way(frames=22).read(folder)[:, 0, 0, 0].tolist()[:4] == [1, 1, 2, 2]
    assert evenly(5, 1) == [2] and evenly(4, 4) == [0, 1, 2, 3]


def test_an_array_is_a_clip_too():
    clip = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((4, 4), np.uint8)
    assert way().read(clip)[:, 0, 0, 0].tolist() == [0, 2, 4]
    with pytest.raises(UsageError, match="A clip must be uint8"):
        way().read(np.zeros((4, 4), np.uint8))


def test_a_folder_without_frames_and_a_broken_frame_are_named(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="it contains no frames"):
        way().read(tmp_path / "empty")
    (folder / "6.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match="6.png"):
        way().read(folder)


def test_the_network_sees_what_numpy_computes(folder):
    preprocess = way()
    samples = preprocess.read(folder)[None]
    prepare = KIND.network_input(preprocess, torch.device("cpu"))
    assert prepare.arranged(samples).shape == (1, *preprocess.shape) == (1, 1, 3, 4, 4)
    np.testing.assert_allclose(prepare(prepare.arranged(samples)).numpy(), preprocess.normalise(samples), atol=1e-5)
    assert inputs.from_dict(preprocess.to_dict()) == preprocess


def test_a_larger_clip_is_fitted_and_maps_lie_on_its_frames(folder):
    assert way().roomy(1.5).size == (6, 6)
    sample = way().read(folder)
    drawn, laid = KIND.drawn(sample), KIND.laid(np.ones((3, 4, 4), np.float32), sample)
    assert drawn.shape[:2] == laid.shape and laid.max() == 1
    assert KIND.described(sample) == "clip, 3 frames of 4 x 4 pixels, row by row"


@pytest.mark.parametrize(("field", "value"), [("frames", 0), ("size", (0, 4)), ("channels", 2), ("fit", "other")])
def test_a_field_out_of_range_is_refused(field, value):
    with pytest.raises(UsageError, match=f"`{field}`"):
        way(**{field: value})
