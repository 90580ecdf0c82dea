"""Images larger than a network's input, from training on windows of them to what is told of whole ones."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

import fovea
import fovea.runtime
from fovea.cli import run
from fovea.errors import ImageError, UsageError
from fovea.model.bundle import load
from fovea.preprocess.regions import LargeTiff
from fovea.training.engine import Trainer

TRAINING = {
    "masks": {"model": "unet_padded", "width": 4, "batch_norm": True, "dropout": 0.0},
    "boxes": {"model": "centres", "backbone": "cifar_resnet20"},
}


def drawn(folder, kind, sizes=((80, 100), (100, 72), (40, 90), (90, 90)), count=8):
    """Write images of several bright squares each, with masks or boxes; return the folder."""
    generator = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    lines = ["path,split,label,x0,y0,x1,y1"]
    for index in range(count):
        H, W = sizes[index % len(sizes)]
        image, mask = Image.fromarray(generator.integers(0, 60, (H, W), np.uint8)), Image.new("L", (W, H))
        name = f"images/{index:02}.png"
        for _ in range(5):
            x, y, w, h = (int(value) for value in generator.integers([0, 0, 10, 10], [W - 10, H - 10, 20, 20]))
            box = (x, y, min(x + w, W), min(y + h, H))
            for canvas, value in ((image, 220), (mask, 1)):
                ImageDraw.Draw(canvas).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=value)
            lines.append(f"{name},{'test' if index % 4 == 0 else 'train'},square,{','.join(map(str, box))}")
        image.save(folder / name)
        if kind == "masks":
            mask.save(folder / "masks" / f"{index:02}.png")
    if kind == "boxes":
        (folder / "list.csv").write_text("\n".join(lines))
        (folder / "masks").rmdir()
    return folder


def trained_on(data, kind, out, **given):
    settings = {"epochs": 1, "batch": 3, "threads": 1, "precision": "float32", "size": 32, "fit": "tile", "lr": 0.01}
    return fovea.train(data, task=kind, out=out, val_fraction=0.25, **{**settings, **TRAINING[kind], **given})


def _trained(kind, place):
    data = drawn(place / "data", kind)
    return kind, data, trained_on(data, kind, place / "run")


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Return kind, data and the result of a short training on windows of images of several sizes."""
    return _trained("masks", tmp_path_factory.mktemp("masks"))


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    """Return the same of boxes."""
    return _trained("boxes", tmp_path_factory.mktemp("boxes"))


@pytest.fixture(scope="module", params=["masks", "boxes"])
def trained(request):
    """Return the same of each kind of target."""
    return request.getfixturevalue(request.param)


def test_the_card_says_how_images_are_cut_and_counts_images(trained):
    kind, _, result = trained
    card = load(result.model).card
    assert card.preprocess.to_dict() | {"fit": "tile", "overlap": {"masks": 4, "boxes": 8}[kind], "margin": 0} == (
        card.preprocess.to_dict()
    )
    assert sum(card.training.data.images.values()) == 8


def test_evaluation_tells_of_whole_images_as_training_did(trained, tmp_path):
    kind, data, result = trained
    found = fovea.evaluate(result.model, data, split="val", html=tmp_path / "page.html")
    wrote = next(one for one in result.results if one["split"] == "val")
    name = {"masks": "miou", "boxes": "ap50"}[kind]
    assert found.images == wrote["images"] < 3
    assert getattr(found.figures, name) == pytest.approx(wrote[name], abs=1e-9)


def test_what_is_predicted_of_an_image_is_what_is_evaluated(trained, tmp_path):
    kind, data, result = trained
    image = data / "images" / "00.png"
    (said,) = fovea.predict(result.model, image, out=tmp_path / "out")
    if kind == "boxes":
        assert (tmp_path / "out/boxes.json").is_file()
        return
    mask = np.asarray(Image.open(tmp_path / "out/masks/00.png"))
    truth = np.asarray(Image.open(data / "masks/00.png"))
    (alone,) = fovea.predict(result.model, image, tile=32, overlap=4)

    np.testing.assert_array_equal(said.prediction.mask, mask)
    np.testing.assert_array_equal(alone.prediction.mask, mask)
    assert mask.shape == truth.shape and (mask == truth).mean() > 0.5


def test_an_image_that_has_the_size_of_a_tile_is_one_tile(trained):
    _, data, result = trained
    predictor, image = load(result.model), np.asarray(Image.open(data / "images/00.png"))[:32, :32]
    Image.fromarray(image).save(data.parent / "small.png")
    (whole,), (tiled,) = predictor.predict(image), fovea.predict(predictor, data.parent / "small.png")

    assert whole.to_dict() == tiled.prediction.to_dict()


def test_a_training_that_goes_on_takes_the_windows_that_it_would_have_taken(masks, tmp_path):
    kind, data, whole = masks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "is_to_stop", lambda self, _: self.clock.total_steps == 1)
        trained_on(data, kind, tmp_path / "parts")
    assert 'fit = "tile"' in (tmp_path / "parts/recipe.toml").read_text()
    result = fovea.train(resume=tmp_path / "parts")
    one, other = (load(path).model.state_dict() for path in (whole.model, result.model))
    assert all((one[name] == other[name]).all() for name in one)


def test_a_tiff_above_the_bound_is_predicted_by_parts(trained, tmp_path, monkeypatch):
    tifffile = pytest.importorskip("tifffile")
    kind, data, result = trained
    whole = np.asarray(Image.open(data / "images/00.png"))
    Image.fromarray(whole).save(tmp_path / "small.png")
    tifffile.imwrite(tmp_path / "large.tif", whole, tile=(16, 16), photometric="minisblack", compression="zlib")
    (small,) = fovea.predict(result.model, tmp_path / "small.png", out=tmp_path / "small")
    for module in ("fovea.preprocess.decoding", "fovea.jobs.tiled", "fovea.jobs.written"):
        monkeypatch.setattr(f"{module}.MAX_PIXELS", 4000)
    monkeypatch.setattr("fovea.jobs.tiled.PREVIEWED", 4000)
    monkeypatch.setattr("fovea.jobs.tiled.PREVIEW_SIDE", 50)
    (large,) = fovea.predict(result.model, tmp_path / "large.tif", out=tmp_path / "out")

    assert large.prediction.to_dict() == small.prediction.to_dict()
    with Image.open(tmp_path / "out/pictures/large.jpg") as picture:
        assert max(picture.size) >= 50
    if kind == "masks":
        written = LargeTiff(tmp_path / "out/masks/large.tif", channels=3)
        assert written.size == whole.shape[:2]
        written.close()
        mask = tifffile.imread(tmp_path / "out/masks/large.tif")
        np.testing.assert_array_equal(mask, np.asarray(Image.open(tmp_path / "small/masks/small.png")))


@pytest.mark.slow
def test_an_exported_file_tiles_as_the_network_does_and_refuses_what_is_not_one_tile(masks, tmp_path):
    pytest.importorskip("onnxruntime")
    _, data, result = masks
    fovea.export(result.model, out=tmp_path / "model.onnx")
    image = data / "images/00.png"
    (own,), (file,) = (fovea.predict(model, image) for model in (result.model, tmp_path / "model.onnx"))
    assert (own.prediction.mask == file.prediction.mask).mean() > 0.999
    for predictor in (load(result.model), fovea.runtime.load(tmp_path / "model.onnx")):
        with pytest.raises(ImageError, match="this model takes tiles of 32 x 32"):
            predictor.predict(image)


def test_the_command_line_takes_tiles(trained, tmp_path, capsys):
    _, data, result = trained
    image = str(data / "images/00.png")
    assert run(["predict", str(result.model), image, "--tile", "48", "--overlap", "16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["image"] == image
    assert run(["predict", str(result.model), image, "--tile", "32", "--overlap", "40"]) == 2
    assert "pixels, the part of a tile that is predicted" in capsys.readouterr().err
    assert run(["predict", str(result.model), image, "--ensemble", str(result.model)]) == 2
    assert "give one model" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_does_not_stop_the_rest(trained, tmp_path):
    _, data, result = trained
    (tmp_path / "bad.png").write_bytes(b"no image")
    found = list(fovea.predict(result.model, [tmp_path / "bad.png", data / "images/00.png"]))

    assert found[0].error and found[1].prediction is not None


def test_disturbing_images_needs_whole_ones(trained):
    _, data, result = trained
    with pytest.raises(UsageError, match="this network takes tiles"):
        fovea.evaluate(result.model, data, robust=True)
