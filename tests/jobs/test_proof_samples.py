import numpy as np
import pytest
from PIL import Image

from fovea.display import Display
from fovea.errors import DataError, FoveaError
from fovea.exporting.samples import FEWEST, GENERATED
from fovea.jobs.proof_samples import samples_for
from fovea.model.bundle import load

QUIET = Display(quiet=True)


def training_on(name):
    return {"training": {"data": {"name": name}}}


@pytest.fixture
def digits(make_bundle):
    return load(make_bundle(**training_on("digits")))


def test_without_any_data_they_are_generated_and_that_is_said(make_bundle, capsys):
    samples = samples_for(load(make_bundle()), None, display=Display())
    assert samples.source == GENERATED
    assert "No images are available" in capsys.readouterr().err


def test_the_data_on_the_card_is_taken_where_it_is_at_hand(digits):
    samples = samples_for(digits, None, display=QUIET)
    assert samples.source == "images of digits, split test"
    assert samples.stored.shape == (64, 4, 4, 3)


def test_data_that_is_not_at_hand_is_not_downloaded(make_bundle, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("FOVEA_DATA", str(tmp_path))
    samples = samples_for(load(make_bundle(**training_on("cifar10"))), None, display=Display())
    assert samples.source == GENERATED
    assert "cifar10 is not available" in capsys.readouterr().err


def test_a_folder_that_has_the_name_of_published_data_on_the_card_is_not_looked_for(make_bundle):
    assert samples_for(load(make_bundle(**training_on("pets"))), None, display=QUIET).source == GENERATED


def test_a_data_set_may_be_named(make_bundle):
    assert samples_for(load(make_bundle()), "digits", display=QUIET).source == "images of digits, split test"


def test_one_image_is_completed_with_generated_ones(make_bundle, tmp_path):
    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
    samples = samples_for(load(make_bundle()), tmp_path / "red.png", display=QUIET)
    assert len(samples.stored) == FEWEST
    assert samples.source == "images of red.png (1) and generated samples"
    assert (samples.stored[0] == (255, 0, 0)).all()


def test_images_are_spread_over_a_folder(make_bundle, tmp_path):
    for index in range(130):
        Image.fromarray(np.full((4, 4, 3), index, np.uint8)).save(tmp_path / f"{index}.png")
    samples = samples_for(load(make_bundle()), tmp_path, display=QUIET)
    assert len(samples.stored) == 64
    assert (samples.stored[0].max(), samples.stored[-1].max()) == (0, 129)


def test_a_folder_of_broken_images_is_said(make_bundle, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="None of the images of"):
        samples_for(load(make_bundle()), tmp_path, display=QUIET)


def test_an_empty_folder_is_said(make_bundle, tmp_path):
    with pytest.raises(FoveaError, match="No images in the folder"):
        samples_for(load(make_bundle()), tmp_path, display=QUIET)
