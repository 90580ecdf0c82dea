"""Every method explains every kind of target, by networks that have learned images with up to four bright corners."""

import csv

import numpy as np
import pytest

import fovea
from fovea.errors import UsageError
from fovea.explanation.attribution.methods import METHODS
from fovea.jobs.pictures.kinds import KINDS as PICTURES
from fovea.model.bundle import load
from tests.test_every_kind import CORNERS, OPTIONS, READING, SIZE, corners, quiet  # noqa: F401 (a fixture)

KINDS = ("classes", "binary", "labels", "grade", "number")
PLACED = ("occlusion", "gradient_x_input", "integrated_gradients", "deeplift", "lrp")
"""Methods whose maps say of every pixel what it adds."""


@pytest.fixture(scope="module")
def models(corners, tmp_path_factory):  # noqa: F811
    """Return a function that gives the trained model file of a kind; `binary` are two classes told by one unit."""
    found = {}

    def model(kind):
        if kind not in found:
            folder = tmp_path_factory.mktemp(kind)
            data, options = corners, READING.get(kind, {"label_column": "north", "loss": "binary"})
            if kind == "binary":
                data = corners.parent / "north.csv"
                rows = [{**row, "north": "yes" if row["nw"] == "1" else "no"} for row in manifest(corners)]
                with data.open("w", newline="") as file:
                    writer = csv.DictWriter(file, rows[0])
                    writer.writeheader()
                    writer.writerows(rows)
            found[kind] = quiet(data, out=folder / "run", **OPTIONS, **options).model
        return found[kind]

    return model


def manifest(path):
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


@pytest.fixture
def photo(corners):  # noqa: F811
    """Return an image whose only bright corners are the two in the north."""
    return corners.parent / next(row["path"] for row in manifest(corners) if row["corners"] == "ne+nw")


def maps_of(result):
    with np.load(result.written[0].maps) as file:
        names = [str(name) for name in file["names"]]
        return {name: file[f"map{number}"] for number, name in enumerate(names)}


def shares(values):
    """Return how much of the absolute value lies in each corner."""
    total = np.abs(values).sum()
    quarters = {
        name: values[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] for name, (row, column) in CORNERS.items()
    }
    return {name: float(np.abs(part).sum() / total) for name, part in quarters.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_makes_a_map(models, photo, tmp_path, kind):
    names = [name for name in METHODS if name != "cam"]
    settings = {"masks": 200, "n": 8, "most_steps": 64, "fill": "mean"}
    found = fovea.explain(
        models(kind), photo, method=names, out=tmp_path / "page.html", settings=settings, device="cpu"
    )
    maps = maps_of(found)
    assert {name.partition(":")[0] for name in maps} == set(names)
    assert all(np.isfinite(values).all() and values.any() for values in maps.values())
    answers = {place["answer"] for place in found.explanations[0]["explanations"]}
    expected = {"classes": {"two"}, "binary": {"yes"}, "labels": {"nw", "ne"}, "grade": {"two"}, "number": {"a number"}}
    assert answers == expected[kind]
    for place in found.explanations[0]["explanations"]:
        if place["method"] == "counterfactual":
            assert place["flipped"] == 1 and 0 < place["area"] < 0.6


@pytest.mark.parametrize("show", sorted(PICTURES))
@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_goes_with_every_kind_of_target(models, corners, photo, tmp_path, kind, show):  # noqa: F811
    model, wants = models(kind), PICTURES[show]
    options = {name: value for name, value in READING.get(kind, {}).items() if name != "task"}
    data = corners
    if kind == "binary":
        data, options = corners.parent / "north.csv", {"label_column": "north"}
    targets = {"classes": "two", "binary": "yes", "labels": "nw", "grade": "two", "number": ()}
    small = {"maximise": {"steps": 3}, "concepts": {"sets": 3, "most": 8}, "parts": {"count": 2, "most": 4}}
    for name in ("bright", "dark"):
        (tmp_path / "concepts" / name).mkdir(parents=True)
        for index in range(4):
            (tmp_path / "concepts" / name / f"{index}.png").write_bytes(photo.read_bytes())
    found = fovea.picture(
        model,
        show,
        [photo] if wants.images == "must" else (),
        target=targets[kind] if show in ("concepts", "parts", "occlusion-grid") else (),
        data=data if wants.data == "must" else None,
        split="whole",
        concepts=tmp_path / "concepts" if show == "concepts" else None,
        settings=small.get(show),
        out=tmp_path / "page.html",
        device="cpu",
        **(options if wants.data == "must" else {}),
    )
    assert found.page.exists() and found.lines and "data:image" in found.page.read_text()


@pytest.mark.parametrize("method", PLACED)
@pytest.mark.parametrize("label", ["nw", "ne"])
def test_each_label_is_seen_in_its_corner(models, photo, tmp_path, method, label):
    found = fovea.explain(
        models("labels"), photo, method=method, target=label, out=tmp_path / "page.html", device="cpu"
    )
    (values,) = maps_of(found).values()
    inside = shares(values)
    assert max(inside, key=inside.__getitem__) == label and inside[label] > 0.4


@pytest.mark.parametrize("method", PLACED)
def test_a_number_is_seen_where_what_counts_is(models, photo, tmp_path, method):
    found = fovea.explain(models("number"), photo, method=method, out=tmp_path / "page.html", device="cpu")
    (values,) = maps_of(found).values()
    assert values[:8].sum() > 0 > values[8:].sum()  # a dark corner speaks for a lower number


@pytest.mark.parametrize(
    ("kind", "target"), [("labels", "nw"), ("binary", "yes"), ("grade", "two"), ("classes", "two")]
)
def test_hiding_the_minimal_mask_takes_the_answer_away(models, photo, tmp_path, kind, target):
    bundle = load(models(kind), device="cpu")
    found = fovea.explain(
        bundle, photo, method="counterfactual", target=target, settings={"fill": "mean"}, out=tmp_path / "page.html"
    )
    said = found.explanations[0]["explanations"][0]
    (values,) = maps_of(found).values()
    hidden = np.argsort(-values.ravel(), kind="stable")[: round(said["area"] * values.size)]
    x = bundle.inputs(photo)
    before = bundle.model(x)
    x.view(-1)[hidden] = 0
    told = [
        bundle.target.prediction(bundle.target.decode(outputs.detach())[0]).label
        for outputs in (before, bundle.model(x))
    ]
    assert target in told[0].split(", ") and target not in told[1].split(", ")


def test_mistakes_of_several_labels_are_explained_label_by_label(corners, tmp_path):  # noqa: F811
    few = quiet(corners, out=tmp_path / "run", **{**OPTIONS, **READING["labels"], "epochs": 2})
    found = fovea.explain(
        few.model,
        mistakes=corners,
        split="train",
        label_column="corners",
        label_separator="+",
        out=tmp_path / "album",
        device="cpu",
    )
    for said in found.explanations:
        truth = {*said["truth"].replace("none", "").split(", ")} - {""}
        answer = {one["label"] for one in said["predictions"]}
        assert {place["answer"] for place in said["explanations"]} == truth ^ answer


def test_an_answer_is_compared_with_another_where_there_are_several(models, photo, tmp_path):
    for kind, target, against in (("labels", "nw", "se"), ("grade", "two", "four"), ("binary", "yes", "no")):
        found = fovea.explain(
            models(kind),
            photo,
            method="occlusion",
            target=target,
            against=against,
            out=tmp_path / f"{kind}.html",
            device="cpu",
        )
        assert found.explanations[0]["explanations"][0]["against"] == against
    with pytest.raises(UsageError, match="this model predicts a number"):
        fovea.explain(models("number"), photo, against="3")
