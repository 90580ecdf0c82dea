"""Pictures beside results: the right pixels at the right place."""

import numpy as np
import pytest
import torch
from PIL import Image

from fovea.errors import StorageError
from fovea.jobs.pictures import contact_sheet, sweep_picture
from fovea.training.tuning import Sweep

SWEEP = Sweep([1e-3, 1e-2, 1e-1], [2.0, 1.0, 3.0], 1e-3)


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
    assert sheet.shape == (152, 8 * 142, 3)
    assert np.array_equal(sheet[:150, 142:282], pixels[1].permute(1, 2, 0).numpy())


def test_a_sweep_is_drawn(tmp_path):
    picture = np.asarray(Image.open(sweep_picture(SWEEP, tmp_path / "sweep.png")).convert("RGB"))
    assert picture.shape == (600, 1050, 3)
    assert (picture == (255, 127, 14)).all(2).any(), "the suggested rate is an orange line"


def test_a_place_that_takes_no_picture_is_a_storage_error(tmp_path):
    for write in (
        lambda path: contact_sheet(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), path),
        lambda path: sweep_picture(SWEEP, path),
    ):
        with pytest.raises(StorageError, match=r"picture.png` cannot be written \(No such file or directory\)"):
            write(tmp_path / "none" / "picture.png")
