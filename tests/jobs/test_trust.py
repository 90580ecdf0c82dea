"""`fovea trust`: what it finds on networks of all kinds, which boxes it takes, and what is refused before any work."""

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image

import fovea
from fovea import registry
from fovea.cli import run
from fovea.data.sources.source import DataSource
from fovea.errors import DataError, ImageError, UsageError
from fovea.jobs.trust import QUICK, stated, trust
from fovea.model.bundle import load

SIDE = 32
FEW = {"images": 3, "steps": 2, "planted": False}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Return the file of a network that learned digits for a few epochs."""
    folder = tmp_path_factory.mktemp("digits")
    return fovea.train("digits", epochs=3, threads=1, out=folder / "run", device="cpu").model


TASKS = {
    "classes": {},
    "labels": {"format": 2, "task": "labels", "loss": "bce", "target": {"thresholds": [0.5] * 3}},
    "grade": {"format": 2, "task": "grade", "loss": "corn", "outputs": 2},
    "number": {"task": "number", "loss": "mse", "classes": [], "outputs": 1, "target": {"mean": 30.0, "std": 5.0}},
}


@pytest.fixture
def make_lenet(make_bundle, make_card):
    """Return a function that writes a small convolutional network of a kind of target, its weights drawn."""

    def write(task="classes", **preprocess):
        given = {"classes": TASKS[task].get("outputs", 3), "c_in": 3, "size": SIDE}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = registry.build("lenet5", **given)
        seen = {**make_card()["preprocess"], "size": [SIDE, SIDE], **preprocess}
        card = {"arguments": given, "preprocess": seen, **TASKS[task]}
        return make_bundle(f"{task}.safetensors", model=model, architecture="lenet5", **card)

    return write


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Return a function that writes images and a manifest of them, its rows as given."""
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))

    def write(*rows, header="path,label", count=4):
        for index in range(count):
            pixels = np.random.default_rng(index).integers(0, 256, (40, 48, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{index}.png")
        (tmp_path / "photos.csv").write_text("\n".join([header, *rows]) + "\n")
        return tmp_path / "photos.csv"

    return write


def test_digits_have_a_table_a_page_and_a_result(digits, tmp_path):
    found = trust(digits, "digits", method="gradcam,cam,saliency", images=10, steps=4, out=tmp_path / "page.html")
    verdicts = found.verdicts
    assert len(set(verdicts.answers)) >= 8  # one image of each digit
    columns, rows = found.table
    assert [row[0] for row in rows] == ["random map", "centre Gaussian", "gradcam", "cam", "saliency"]
    assert {"insertion", "deletion", "sanity", "cue lift", "s/image"} < set(columns) and "pointing" not in columns
    assert rows[3][-1] == "does not apply" and "cam does not apply: CAM needs a network" in found.summary()[0]
    assert found.file == tmp_path / "model-trust.json"
    said = json.loads(found.file.read_text())
    assert said["model"] == {
        "file": "model.safetensors",
        "sha256": hashlib.sha256(digits.read_bytes()).hexdigest(),
    }
    grad_cam = said["methods"]["gradcam"]
    assert set(grad_cam["checks"]) == {"sanity", "insertion", "cue"} and grad_cam["checks"]["cue"] is True
    assert grad_cam["checks"]["sanity"] is grad_cam["sanity"]["passed"]
    assert grad_cam["curves"]["deletion"][0][1] > 0.75 > grad_cam["deletion"]  # it knows them whole, and loses them
    assert said["methods"]["cam"].keys() == {"reason"}
    assert str(tmp_path) not in found.file.read_text()
    page = found.page.read_text()
    assert "Grad-CAM · " in page and "The planted cue" in page and page.count('<figure class="chart">') == 6


@pytest.mark.parametrize("task", TASKS)
def test_every_kind_of_target_can_be_asked(task, make_lenet, photos, tmp_path):
    label = {"classes": "red", "labels": "red;blue", "grade": "green", "number": "31"}[task]
    data = photos(*(f"{index}.png,{label}" for index in range(3)))
    found = trust(make_lenet(task), data, method="gradcam,saliency", out=tmp_path / "page.html", **FEW).verdicts
    assert [row.trust is not None for row in found.rows] == [True, True]
    assert ("probability" in found.followed) is (task != "number")
    areas = found.rows[0].trust.areas
    low, high = (20, 40) if task == "number" else (0, 1)
    assert low < float(areas.came.values.min()) and float(areas.came.values.max()) < high


@pytest.mark.parametrize("task", TASKS)
def test_what_is_followed_is_what_is_predicted(task, make_lenet):
    bundle = load(make_lenet(task))
    outputs = torch.randn(4, bundle.target.outputs)
    answers = torch.from_numpy(bundle.target.answered(outputs))
    expected = [bundle.target.decode(outputs)[row, answer] for row, answer in enumerate(answers)]
    assert stated(bundle.target)(outputs, answers).tolist() == expected


def test_a_network_without_maps_is_tried_with_what_remains(make_number_bundle, photos, tmp_path):
    data = photos("0.png,3", "1.png,4")
    found = trust(make_number_bundle(), data, method="gradcam,saliency", out=tmp_path / "page.html", **FEW).verdicts
    first, second = found.rows
    assert "No layer of this network has a feature map" in first.reason and found.layer == ""
    # it says 40 whatever is hidden, and its maps are 0 with any weights
    assert second.trust.areas.insertion.tolist() == [40, 40] and second.verdict == "fails sanity, random, centre"
    with pytest.raises(UsageError, match="None of the methods works with this network. The first: No layer"):
        trust(make_number_bundle(), data, method="gradcam", out=tmp_path / "other.html", **FEW)
    assert not (tmp_path / "other.html").exists()


def red_square(path, *, turned=False):
    """Write an image 16 wide and 8 high, black, red from (8, 0) to (12, 4); `turned` lies on its side in the file."""
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[0:4, 8:12, 0] = 255
    exif = Image.Exif()
    if turned:
        exif[0x0112] = 6
        pixels = np.rot90(pixels).copy()
    Image.fromarray(pixels).save(path, exif=exif)


@pytest.mark.parametrize("turned", [False, True])
def test_boxes_of_a_manifest_lie_where_the_network_sees_them(make_bundle, photos, tmp_path, turned):
    data = photos("0.png,red,8,0,12,4", "1.png,red,,,,", header="path,label,x0,y0,x1,y1", count=2)
    red_square(tmp_path / "0.png", turned=turned)
    found = trust(make_bundle(), data, method="gradient_x_input", out=tmp_path / "page.html", **FEW).verdicts
    where = found.rows[0].trust.located
    # squashed to 4 x 4 it is one column wide and two rows high
    assert (where.images, where.share) == (1, 2 / 16) and where.energy > 0.6 and where.pointing == 1
    assert "boxes are known for 1 of the 2 images" in found.notes
    assert {"pointing", "energy"} < set(found.table[0])


def test_boxes_outside_of_the_crop_are_left_out_with_a_word(make_lenet, photos, tmp_path):
    data = photos("0.png,red", "1.png,red")
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("path,x0,y0,x1,y1\n0.png,0,0,3,40\n0.png,20,10,30,20\n1.png,0,0,2,2\n")
    network = make_lenet(fit="crop")  # 40 x 48 loses 4 columns on either side
    found = trust(network, data, boxes=boxes, method="gradcam", out=tmp_path / "page.html", **FEW).verdicts
    assert found.boxed == 1
    assert "1 of 2 boxes of 0.png are outside the input of the network" in found.notes
    assert "1 of 1 boxes of 1.png are outside the input of the network" in found.notes


def test_boxes_of_an_image_that_is_too_large_at_its_full_size_are_left_out(make_lenet, photos, tmp_path, monkeypatch):
    data = photos("0.png,red,8,0,12,4", "1.png,red,1,1,30,30", header="path,label,x0,y0,x1,y1", count=2)
    sizes = fovea.jobs.trust.decode

    def refused(file, *, channels):
        if file.name == "0.png":
            raise ImageError(f"`{file}`: decoding it would need 900 MB.")
        return sizes(file, channels=channels)

    monkeypatch.setattr("fovea.jobs.trust.decode", refused)
    found = trust(make_lenet(), data, method="gradcam", out=tmp_path / "page.html", **FEW).verdicts
    assert found.boxed == 1 and "the boxes of 0.png are ignored: decoding it would need 900 MB." in found.notes


def test_only_the_images_that_are_drawn_are_decoded(make_lenet, colour_folder, monkeypatch, tmp_path):
    decoded, decode = [], DataSource.decode

    def counted(source, dataset, *args, **options):
        decoded.extend(name for part in dataset.parts.values() for name in part.names)
        return decode(source, dataset, *args, **options)

    monkeypatch.setattr(DataSource, "decode", counted)
    data = colour_folder("colours", count=9)
    found = trust(make_lenet(), data, method="gradcam", out=tmp_path / "page.html", **FEW).verdicts
    assert sorted(name.partition("/")[0] for name in decoded) == ["blue", "green", "red"]
    assert list(found.images) == decoded


def test_bad_files_are_named_or_refused(make_lenet, colour_folder, tmp_path):
    data = colour_folder("colours", count=1)
    (data / "red" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    given = {"method": "gradcam", "out": tmp_path / "page.html", **FEW}
    with pytest.raises(DataError, match="1 of 3 images cannot be used"):
        trust(make_lenet(), data, **given)
    found = trust(make_lenet(), data, allow_bad=True, **given).verdicts
    assert len(found.images) == 2 and any(note.startswith("skipped: red/0.png: ") for note in found.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "gradcm"}, "Unknown method `gradcm`; did you mean `gradcam`"),
        ({"layer": "stage9"}, "Unknown layer `stage9`"),
        ({"layer": "head"}, r"The output of `head` is \(1, 3\), not a feature map"),
        (
            {"layer": "stage1", "method": "saliency"},
            ("works only for methods that weigh feature maps; saliency explain the input"),
        ),
        ({"split": "tests"}, "Unknown split `tests`"),
        ({"images": 0}, r"`images` \(=0\) must be at least 1"),
        ({"steps": 0}, r"`steps` \(=0\) must be at least 1"),
        ({"out": "page.pdf"}, r"`out` \(=page.pdf\) must end in .html"),
        ({"out": "nowhere/page.html"}, "there is no folder `nowhere`"),
        ({"boxes": "nowhere.csv"}, r"`boxes` \(=nowhere.csv\): no such file"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_images_are_decoded(
    make_lenet, colour_folder, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DataSource, "decode", lambda *_, **__: pytest.fail("images were decoded"))
    with pytest.raises(UsageError, match=message):
        trust(make_lenet(), colour_folder("colours"), **options)
    assert not [*tmp_path.glob("*trust*")]


def test_the_command_prints_a_table_or_json(make_lenet, colour_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["trust", str(make_lenet()), str(colour_folder("colours")), "--method", "gradcam,cam", "--no-planted"]
    assert run([*arguments, "--images", "2", "--steps", "2"]) == 0
    out, error = capsys.readouterr()
    assert "centre Gaussian" in out and "Page     classes-trust.html" in out and "does not apply: CAM needs" in out
    assert "note: insertion says little here" in error  # flat colours are no other when blurred
    assert run([*arguments, "--images", "2", "--steps", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["file"] == "classes-trust.json" and said["methods"]["gradcam"]["checks"].keys() == {
        "sanity",
        "insertion",
    }
    assert run([*arguments, "--boxes", "x.csv"]) == 2
    assert capsys.readouterr().err.startswith("error: `boxes` (=x.csv): no such file")


def test_the_quick_methods_are_methods_and_all_are_all(make_lenet, colour_folder, tmp_path, monkeypatch):
    from fovea.explanation.attribution.methods import METHODS

    assert set(QUICK.split(",")) < set(METHODS)
    monkeypatch.setattr("fovea.jobs.trust.METHODS", {name: METHODS[name] for name in ("hirescam", "saliency")})
    found = trust(make_lenet(), colour_folder("colours"), method="all", out=tmp_path / "page.html", **FEW).verdicts
    assert [row.method.name for row in found.rows] == ["hirescam", "saliency"]


def test_the_command_is_offered_in_python():
    assert fovea.trust is trust
