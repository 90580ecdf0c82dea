"""Images side by side: the right pixels at the right place."""

import numpy as np
import pytest
import torch
from PIL import Image

from fovea.drawing.contact_sheet import contact_sheet
from fovea.errors import StorageError


def test_a_contact_sheet_has_eight_columns_and_enlarges_small_images(tmp_path):
    pixels = torch.zeros(9, 1, 32, 16, dtype=torch.uint8)
    pixels[8] = 77
    sheet = np.asarray(Image.open(contact_sheet(pixels, tmp_path / "sheet.png")))
    assert sheet.shape == (2 * (128 + 2), 8 * (64 + 2), 3)
    assert (sheet[130 : 130 + 128, :64] == 77).all()
    assert (sheet[:128, :64] == 0).all() and (sheet[130:, 66:] == 255).all()


def test_colours_and_large_images_stay_as_they_are(tmp_path):
    pixels = torch.randint(0, 256, (2, 3, 150, 140), generator=torch.Generator().manual_seed(0)).byte()
    sheet = np.asarray(Image.open(contact_sheet(pixels, tmp_path / "sheet.png")))
    assert sheet.shape == (152, 2 * 142, 3)  # no wider than its images
    assert np.array_equal(sheet[:150, 142:282], pixels[1].permute(1, 2, 0).numpy())


def test_a_place_that_takes_no_picture_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match=r"picture.png` cannot be written \(No such file or directory\)"):
        contact_sheet(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), tmp_path / "none" / "picture.png")
