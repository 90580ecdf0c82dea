"""A figure becomes a file whole or not at all, in the format of its suffix."""

import pytest
from matplotlib.figure import Figure
from PIL import Image

from fovea.drawing.saving import save_figure
from fovea.errors import StorageError


@pytest.mark.parametrize(("suffix", "format"), [(".png", "PNG"), (".JPG", "JPEG")])
def test_the_suffix_chooses_the_format(suffix, format, tmp_path):
    path = save_figure(Figure(figsize=(3, 2)), tmp_path / f"figure{suffix}", dpi=100)
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == (format, (300, 200))


@pytest.mark.parametrize(("suffix", "beginning"), [(".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_drawings_are_files_too(suffix, beginning, tmp_path):
    assert save_figure(Figure(), tmp_path / f"figure{suffix}").read_bytes().startswith(beginning)


def test_a_place_that_takes_no_picture_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match=r"figure.png` cannot be written \(No such file or directory\)"):
        save_figure(Figure(), tmp_path / "none" / "figure.png")
