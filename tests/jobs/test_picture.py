"""`fovea explain --show`: what every kind of picture draws of a small trained network, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import fovea
from fovea.cli import run
from fovea.data.sources.source import DataSource
from fovea.display import Display
from fovea.errors import DataError, UsageError
from fovea.explanation.attribution.methods import METHODS
from fovea.jobs.picture import picture
from fovea.jobs.pictures.kinds import KINDS
from fovea.model.bundle import Bundle

real = Bundle.inputs_of
DOCS = Path(__file__).parents[2] / "docs" / "explain.md"
SIDE = 24
CLASSES = ("bars", "rows")
"""Stripes that stand, and stripes that lie."""
FAST = {"maximise": {"steps": 4}, "concepts": {"sets": 3}, "parts": {"count": 2, "most": 6}}


def striped(label, chance):
    """Return an image (24, 24) uint8 of stripes at a random phase, 4 pixels wide, in noise."""
    wave = np.where((np.arange(SIDE) + chance.integers(8)) // 4 % 2, 30, 0)
    stripes = wave[None, :] if label == 0 else wave[:, None]
    return (90 + stripes + chance.integers(0, 120, (SIDE, SIDE))).astype(np.uint8)


@pytest.fixture(scope="module")
def stripes(tmp_path_factory):
    """Return a folder of images of both classes, in parts."""
    folder, chance = tmp_path_factory.mktemp("stripes"), np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 12)):
        for label, name in enumerate(CLASSES):
            (folder / part / name).mkdir(parents=True)
            for index in range(count):
                Image.fromarray(striped(label, chance)).save(folder / part / name / f"{index:02d}.png")
    return folder


@pytest.fixture(scope="module")
def trained(stripes, tmp_path_factory):
    """Return the model file of a network with ReLUs that was trained on them."""
    out = tmp_path_factory.mktemp("run")
    # smoothed labels: what is certain to the last bit has learned from nothing any more
    recipe = {
        "label_smoothing": 0.1,
        "model": "cifar_resnet20",
        "size": SIDE,
        "epochs": 4,
        "batch": 8,
        "lr": 0.02,
        "threads": 1,
        "augment": (),
    }
    fovea.train(stripes, out=out / "run", **recipe)
    assert fovea.evaluate(out / "run" / "model.safetensors", stripes).figures.accuracy > 0.9
    return out / "run" / "model.safetensors"


def layer_of(bundle):
    """Return what the network computes up to `stage1`."""
    return nn.Sequential(bundle.model.stem, bundle.model.stage1)


@pytest.fixture
def asked(stripes, trained, tmp_path, monkeypatch):
    """Return a function that draws a kind with all that it needs, small."""
    monkeypatch.chdir(tmp_path)
    concepts = tmp_path / "concepts"
    for name in CLASSES:
        (concepts / name).mkdir(parents=True)
        for index in range(8):
            image = Image.open(stripes / "train" / name / f"{index:02d}.png")
            image.save(concepts / name / f"{index}.png")

    def draw(show, **options):
        kind = KINDS[show]
        needed = {"images": stripes / "test" / "rows" / "00.png"} if kind.images == "must" else {}
        needed |= {"data": stripes} if kind.data == "must" else {}
        needed |= {"concepts": concepts, "target": "rows"} if show == "concepts" else {}
        needed |= {"target": "rows"} if show == "parts" else {}
        needed |= {"settings": FAST.get(show, {})}
        return picture(trained, show, **{**needed, **options})

    return draw


@pytest.mark.parametrize("show", sorted(KINDS))
def test_every_kind_has_a_page_that_says_what_json_says(show, asked, tmp_path):
    found = asked(show)
    assert str(found.page) == f"model-{show}.html"
    page = found.page.read_text()
    assert page.count("<img") >= 1 and "data:image" in page and "nan" not in page.lower().split()
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert said["page"] == str(found.page) and set(said) > {"page", "files"}
    assert found.lines and all(path.exists() for path in found.files)
    assert {path.name for path in tmp_path.iterdir()} == {found.page.name, *(f.name for f in found.files), "concepts"}


def test_filters_and_how_they_respond(asked, stripes, trained):
    found = asked("filters", data=stripes)
    model = fovea.load(trained).model
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    with np.load(found.page.with_suffix(".npz")) as arrays:
        np.testing.assert_array_equal(arrays["weights"], first.weight.detach().numpy())
        assert arrays["mean"].shape == (len(first.weight),)
    responses = found.figures["responses"]
    assert responses["largest"][0] >= responses["mean"][0] and 0 <= min(responses["in_images"])


def test_maps_are_those_of_the_layer(asked, trained, stripes):
    found = asked("maps", layer="stage1", channel=[1, 0])
    bundle = fovea.load(trained)
    with torch.no_grad():
        expected = layer_of(bundle)(bundle.inputs(stripes / "test" / "rows" / "00.png"))
    with np.load(found.page.with_suffix(".npz")) as arrays:
        np.testing.assert_allclose(arrays["maps0"], expected[0].numpy(), rtol=1e-5, atol=1e-6)


def test_the_strongest_images_are_the_strongest(asked, trained, stripes):
    found = asked("strongest", layer="stage1", channel=1)
    bundle = fovea.load(trained)
    files = sorted(stripes.glob("test/*/*.png"))
    with torch.no_grad():
        peaks = layer_of(bundle)(bundle.inputs(files))[:, 1].amax((1, 2))
    order = peaks.argsort(descending=True, stable=True)[:9]
    (channel,) = found.figures["channels"]
    assert channel["values"] == pytest.approx(peaks[order].tolist(), rel=1e-4)
    assert [name.rpartition("/")[2] for name in channel["images"]] == [files[row].name for row in order]


def test_what_is_maximised_rises(asked, stripes):
    for options in ({}, {"target": "rows"}, {"layer": "stage1", "channel": (0, 1)}):
        found = asked("maximise", settings={"steps": 24}, **options)
        assert all(image["last"] > image["first"] for image in found.figures["images"])
    dream = asked("maximise", images=stripes / "test" / "rows" / "00.png", settings={"octaves": 2, "jitter": 2})
    (image,) = dream.figures["images"]
    assert image["image"].endswith("00.png") and image["last"] > image["first"]


def test_images_of_a_batch_are_found_as_each_alone(asked):
    both = asked("maximise", target=CLASSES, settings={"steps": 12}).figures["images"]
    alone = [asked("maximise", target=name, settings={"steps": 12}).figures["images"][0] for name in CLASSES]
    assert [image["goal"] for image in both] == list(CLASSES) == [image["goal"] for image in alone]
    assert both[0]["last"] == pytest.approx(alone[0]["last"], rel=1e-3)


def test_the_grid_has_answers_as_rows_and_patches_as_columns(asked):
    found = asked("occlusion-grid", target=CLASSES, settings={"patches": "4,8", "fill": "blur"})
    with np.load(found.page.with_suffix(".npz")) as arrays:
        assert arrays["grid0"].shape == (2, 2, SIDE, SIDE)
        # a softmax of two: what one answer loses the other gains, in logits up to the mean of both
        assert np.corrcoef(arrays["grid0"][0, 1].ravel(), arrays["grid0"][1, 1].ravel())[0, 1] < 0
    assert found.figures["images"][0]["patches"] == [4, 8]


def test_an_image_of_the_data_is_its_own_nearest_and_helps_itself(asked, stripes):
    image = stripes / "train" / "rows" / "03.png"
    near = asked("nearest", images=image, split="train").figures["images"][0]
    assert near["nearest"][0]["image"].endswith("rows/03.png") and near["nearest"][0]["distance"] < 1e-2
    assert {one["label"] for one in near["nearest"]} == {"rows"}
    seen = asked("influence", images=image, split="train").figures["images"][0]
    assert seen["question"] == "the truth, rows" and seen["for"] and all("rows/" in name for name in seen["for"])


def test_concepts_that_the_network_knows(asked):
    found = asked("concepts", settings={"sets": 8})
    by_name = {one["concept"]: one for one in found.figures["answers"][0]["concepts"]}
    assert by_name["rows"]["score"] > by_name["bars"]["score"]


@pytest.mark.parametrize(
    ("show", "options", "message"),
    [
        ("filtres", {}, "Unknown kind of picture `filtres`; did you mean `filters`"),
        ("maps", {"images": ()}, "`maps` needs images"),
        ("strongest", {"data": None}, "`strongest` needs data"),
        ("filters", {"images": "a.png"}, "`filters` does not use images"),
        ("maps", {"data": "digits"}, "`maps` does not use data"),
        ("maps", {"layer": "stage9"}, "Unknown layer `stage9`"),
        ("maps", {"channel": 400}, r"`channel` \(=400\) must be from 0"),
        ("maximise", {"settings": {"step": 3}}, "Unknown setting `step`; did you mean `steps`"),
        ("maximise", {"settings": {"steps": "few"}}, r"`steps` \(=few\) must be a whole number"),
        ("maximise", {"settings": {"preset": "nightmare"}}, "Unknown preset `nightmare`"),
        ("maximise", {"settings": {"goal": "cat"}}, "Unknown goal `cat`"),
        ("maximise", {"settings": {"goal": "unit", "place": "1"}}, r"`place` \(=1\) must be a row and a column"),
        ("occlusion-grid", {"settings": {"fill": "glue"}}, r"`fill` \(=glue\) must be one of"),
        ("embedding", {"settings": {"layout": "umap"}}, r"`layout` \(=umap\) must be one of pca, tsne"),
        ("embedding", {"settings": {"perplexity": -1}}, r"`perplexity` \(=-1.0\) must be from 1"),
        ("embedding", {"settings": {"most": -1}}, r"`most` \(=-1\) must be from 3"),
        ("nearest", {"settings": {"count": 0}}, r"`count` \(=0\) must be from 1"),
        ("nearest", {"settings": {"metric": "l3"}}, r"`metric` \(=l3\) must be one of l2, cosine"),
        ("influence", {"settings": {"count": -1}}, r"`count` \(=-1\) must be from 1"),
        ("influence", {"target": CLASSES}, r"`target` \(=bars, rows\): give one answer"),
        ("parts", {"settings": {"most": -1}}, r"`most` \(=-1\) must be from 1"),
        ("parts", {"target": CLASSES}, r"`target` \(=bars, rows\): give one answer"),
        ("concepts", {"settings": {"sets": 0}}, r"`sets` \(=0\) must be from 2"),
        ("occlusion-grid", {"settings": {"patches": ""}}, r"`patches` \(=\) must be from 1"),
        ("occlusion-grid", {"settings": {"patches": "4,400"}}, "400 is more than the 24 pixels"),
        ("maximise", {"settings": {"octaves": 10**8}}, r"`octaves` \(=100000000\) must be from 1"),
        ("maximise", {"settings": {"lr": "nan"}}, r"`lr` \(=nan\) must be a finite number"),
        ("maximise", {"target": "rows", "channel": 1}, "`channel` has no effect with the goal `answer`"),
        ("filters", {"target": "rows"}, "`filters` does not use `target`"),
        ("maps", {"against": "rows"}, "`maps` does not use `against`"),
        ("embedding", {"concepts": "concepts"}, "`embedding` does not use `concepts`"),
        ("occlusion-grid", {"layer": "stage1"}, "`occlusion-grid` does not use `layer`"),
        ("concepts", {"target": ()}, "`target` is missing"),
        ("concepts", {"concepts": None}, "`concepts` is missing"),
        ("concepts", {"concepts": "nowhere"}, r"`concepts` \(=nowhere\) is not a folder"),
        ("parts", {"target": "row"}, "Unknown class `row`; did you mean `rows`"),
        ("filters", {"out": "page.png"}, r"`out` \(=page.png\) must end in .html"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(asked, tmp_path, show, options, message):
    with pytest.raises(UsageError, match=message):
        if show in KINDS:
            asked(show, **options)
        else:
            picture(tmp_path / "none.safetensors", show)
    assert {path.name for path in tmp_path.iterdir()} == {"concepts"}


@pytest.mark.parametrize(
    ("show", "options"),
    [("strongest", {"channel": 400}), ("concepts", {"target": ()}), ("concepts", {"concepts": "few"})],
)
def test_what_cannot_be_drawn_is_refused_before_the_data_is_decoded(asked, stripes, show, options, monkeypatch):
    (few := Path("few") / "one").mkdir(parents=True)
    (few / "0.png").write_bytes((stripes / "test" / "rows" / "00.png").read_bytes())
    monkeypatch.setattr(DataSource, "decode", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(UsageError):
        asked(show, **options)


def test_a_dream_of_a_named_channel_is_of_that_channel(asked, stripes):
    image = stripes / "test" / "rows" / "00.png"
    found = asked("maximise", images=image, layer="stage1", channel=2, settings={"steps": 2, "octaves": 1})
    assert found.figures["images"][0]["goal"] == "stage1, channel 2"


def test_given_images_pass_in_batches(asked, stripes, monkeypatch):
    seen = []
    monkeypatch.setattr(Bundle, "inputs_of", lambda *given: (seen.append(len(given[1])), real(*given))[1])
    for show in ("nearest", "influence"):
        asked(show, images=[*stripes.glob("test/rows/*.png")], batch=5)
    assert max(seen) == 5


def test_images_of_other_colours_are_said(asked, stripes, capsys):
    colour = Path("colour.png")
    Image.open(stripes / "test" / "rows" / "00.png").convert("RGB").save(colour)
    with Display() as display:
        asked("maps", images=colour, display=display)
    assert "converted from colour to grey: colour.png" in capsys.readouterr().err


def test_random_images_must_be_enough(asked, stripes, tmp_path):
    few = tmp_path / "few"
    for name in CLASSES:
        (few / name).mkdir(parents=True)
        (few / name / "0.png").write_bytes((stripes / "test" / name / "00.png").read_bytes())
    with pytest.raises(DataError, match="which has 2 images; at least 16"):
        asked("concepts", data=few)


def test_the_command_line(trained, stripes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["explain", str(trained), "--show", "filters", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["page"] == "model-filters.html"
    arguments = ["explain", str(trained), "--show", "maximise", "--channel", "0,1", "--set", "steps=2"]
    assert run([*arguments, "--layer", "stage1"]) == 0
    assert "channel 1" in capsys.readouterr().out
    for wrong, message in (
        (["--show", "filters", "--method", "gradcam"], "`--method` does not go with `--show`"),
        (["--channel", "3", str(stripes)], "`--channel` is for `--show KIND`"),
        (["--show", "maximise", "--channel", "a"], "`--channel a` must be whole numbers"),
        (["--show", ""], "Unknown kind of picture ``"),
        (["--method", "", str(stripes)], "Unknown method ``"),
        (["--show", "maximise", "--set", "seed=3"], "`seed` has an option of its own"),
    ):
        assert run(["explain", str(trained), *wrong]) == 2
        assert message in capsys.readouterr().err


def test_the_page_of_docs_lists_every_method_and_kind_with_its_settings():
    rows = [line.split(" | ") for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    listed = {re.findall(r"`([^`]+)`", first)[0]: set(re.findall(r"`(\w+)`", last)) for first, *_, last in rows}
    for name, settings in [(each.name, each.settings) for each in (*METHODS.values(), *KINDS.values())]:
        assert set(settings) <= listed[name], name
