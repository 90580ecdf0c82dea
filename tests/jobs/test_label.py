"""What to label next: a list that is filled in, trained from, and gone on with."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import fovea
from fovea.cli import run
from fovea.display import Display
from fovea.errors import DataError, StorageError, UsageError


def mixed(share):
    """Return an image between red and green."""
    return Image.fromarray(np.full((6, 6, 3), (round(255 * share), round(255 * (1 - share)), 0), np.uint8))


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """Return a folder of images between red and green, in no folder per class: 0.50 is the least sure."""
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    for share in (0.0, 0.1, 0.3, 0.5, 0.6, 0.9, 1.0):
        folder = tmp_path / "pool" / ("deep" if share > 0.4 else "")
        folder.mkdir(parents=True, exist_ok=True)
        mixed(share).save(folder / f"{share:.2f}.png")
    return tmp_path / "pool"


def rows_of(file):
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def filled(file, label_of):
    rows = rows_of(file)
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows({**row, "label": label_of.get(row["path"], row["label"])} for row in rows)


@pytest.mark.parametrize("by", ["margin", "entropy"])
def test_what_the_model_is_least_sure_of_comes_first(make_bundle, pool, by):
    out = pool.parent / "todo.csv"
    result = fovea.label(make_bundle(), pool, out=out, count=3, by=by)
    assert [row["path"] for row in rows_of(out)] == ["pool/deep/0.50.png", "pool/deep/0.60.png", "pool/0.30.png"]
    assert [row["label"] for row in rows_of(out)] == ["", "", ""]
    assert {row["prediction"] for row in rows_of(out)} <= {"red", "green"}
    assert result.looked_at == 7
    doubts = [float(row["doubt"]) for row in rows_of(out)]
    assert doubts == sorted(doubts, reverse=True)


def test_a_filled_list_is_trained_from_and_gone_on_with(make_bundle, pool):
    out = pool.parent / "todo.csv"
    fovea.label(make_bundle(), pool, out=out, count=4)
    labels = {"pool/deep/0.50.png": "ripe", "pool/deep/0.60.png": "ripe", "pool/0.30.png": "green"}
    filled(out, labels)
    data = fovea.find(out)
    assert data.classes == ("green", "ripe") and len(data.parts["train"]) == 3
    result = fovea.label(make_bundle(), pool, out=out, count=2)
    rows = rows_of(out)
    assert {row["path"]: row["label"] for row in rows[:3]} == labels
    assert len(rows) == 5 and not {row["path"] for row in rows[3:]} & labels.keys()
    assert (result.kept, result.looked_at) == (3, 4)


def test_a_list_in_the_folder_or_elsewhere_names_the_same_images(make_bundle, pool, tmp_path):
    for place in (pool, tmp_path, tmp_path / "elsewhere" / "deeper"):
        place.mkdir(parents=True, exist_ok=True)
        fovea.label(make_bundle(), pool, out=place / "list.csv", count=7)
        assert all((place / row["path"]).is_file() for row in rows_of(place / "list.csv"))
        filled(place / "list.csv", {row["path"]: "a" for row in rows_of(place / "list.csv")})
        with pytest.raises(DataError, match="already has a label in"):
            fovea.label(make_bundle(), pool, out=place / "list.csv")


def test_the_core_set_is_what_lies_farthest_from_what_is_labelled(make_bundle, pool):
    out = pool.parent / "todo.csv"
    out.write_text("path,label\npool/0.00.png,green\n")
    fovea.label(make_bundle(), pool, out=out, count=2, by="core-set")
    assert [row["path"] for row in rows_of(out)] == ["pool/0.00.png", "pool/deep/1.00.png", "pool/deep/0.50.png"]


def test_what_an_index_knows_is_not_asked_for(make_bundle, pool, colour_folder):
    model, known = make_bundle(), colour_folder("known", red="red", blue="blue")
    index = pool.parent / "known.fovea-index"
    fovea.index(model, known, out=index)
    out = pool.parent / "todo.csv"
    fovea.label(model, pool, out=out, count=1, by="core-set", index=index)
    assert [row["path"] for row in rows_of(out)] == ["pool/0.00.png"]
    other = make_bundle("other.safetensors", order=(2, 1, 0))
    with pytest.raises(UsageError):
        fovea.label(other, pool, out=out, by="core-set", index=index)


def test_further_columns_and_parts_of_a_list_stay(make_bundle, pool):
    out = pool.parent / "todo.csv"
    out.write_text('path,label,split,camera\npool/0.00.png,green,val,"a, b"\npool/0.10.png,,train,c\n')
    fovea.label(make_bundle(), pool, out=out, count=1)
    first, second = rows_of(out)
    assert (first["label"], first["split"], first["camera"], first["doubt"]) == ("green", "val", "a, b", "")
    assert (second["path"], second["split"], second["camera"]) == ("pool/deep/0.50.png", "train", "")


def test_a_name_that_is_a_formula_is_computed_by_no_program(make_bundle, pool):
    mixed(0.5).save(pool / "=cmd.png")
    fovea.label(make_bundle(), pool, out=pool / "todo.csv", count=1, display=Display(quiet=True))
    (row,) = rows_of(pool / "todo.csv")
    assert row["path"] == "./=cmd.png" and (pool / row["path"]).is_file()


def test_a_damaged_image_is_left_out_and_said(make_bundle, pool):
    (pool / "broken.png").write_bytes(b"\x89PNG nothing")
    result = fovea.label(make_bundle(), pool, out=pool.parent / "todo.csv", count=20)
    assert len(result.proposals) == 7 and "broken.png" in result.notes[0]


def test_the_command_writes_list_and_page_and_says_how_to_go_on(make_bundle, pool, capsys, monkeypatch):
    monkeypatch.chdir(pool.parent)
    arguments = ["label", str(make_bundle()), "pool", "--out", "todo.csv", "-n", "2", "--html", "todo.html"]
    assert run(arguments) == 0
    said = capsys.readouterr().out
    assert "todo.csv: 2 of 7 images of pool by margin" in said
    assert "fovea train todo.csv" in said and "pool/deep/0.50.png" in said
    assert (pool.parent / "todo.html").read_text().count("<figure") == 2
    assert run([*arguments, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert [image["file"] for image in values["images"]] == ["pool/deep/0.50.png", "pool/deep/0.60.png"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"by": "luck"}, UsageError, "`margin`, `entropy` or `core-set`"),
        ({"count": 0}, UsageError, "at least 1"),
        ({"layer": "head"}, UsageError, "work only with `--by core-set`"),
        ({"out": "todo.txt"}, UsageError, "must end in .csv"),
        ({"data": "pool/0.00.png"}, UsageError, "is of another form; expected a folder of files, a zip"),
        ({"data": "cifar10"}, UsageError, "already has a label for every image"),
        ({"data": "nowhere"}, UsageError, "is not there"),
    ],
)
def test_what_cannot_be_asked_is_refused(make_bundle, pool, monkeypatch, options, error, message):
    monkeypatch.chdir(pool.parent)
    given = {"data": "pool", "out": "todo.csv", **options}
    with pytest.raises(error, match=message):
        fovea.label(make_bundle(), given.pop("data"), **given)


def test_a_list_of_something_else_is_not_written_over(make_bundle, pool):
    out = pool.parent / "results.csv"
    out.write_text("name,score\na,1\n")
    with pytest.raises(DataError, match="no column `path`"):
        fovea.label(make_bundle(), pool, out=out)
    assert out.read_text() == "name,score\na,1\n"


def test_numbers_have_no_margin_but_a_core_set(make_number_bundle, pool):
    out = pool.parent / "todo.csv"
    with pytest.raises(UsageError, match="needs class probabilities, and this model predicts a number"):
        fovea.label(make_number_bundle(), pool, out=out)
    fovea.label(make_number_bundle(), pool, out=out, by="core-set", count=2)
    assert [row["prediction"] for row in rows_of(out)] == ["40", "40"]


def test_images_of_an_archive_are_copied_beside_the_list_and_gone_on_with(make_bundle, pool):
    archive = shutil.make_archive(str(pool.parent / "photos"), "zip", pool)
    shutil.rmtree(pool)
    out = pool.parent / "todo.csv"
    for kept in (0, 2):
        result = fovea.label(make_bundle(), archive, out=out, count=2)
        assert (result.kept, result.data) == (kept, "photos")
        filled(out, {row["path"]: "ripe" for row in rows_of(out)})
    paths = [row["path"] for row in rows_of(out)]
    assert paths[:3] == ["todo/deep/0.50.png", "todo/deep/0.60.png", "todo/0.30.png"] and len(set(paths)) == 4
    assert len(fovea.find(out).parts["train"]) == 4
    assert sorted(file.name for file in (pool.parent / "todo").rglob("*.*")) == sorted(p[-8:] for p in paths)


def test_a_file_that_is_in_the_way_of_a_copy_stays(make_bundle, pool):
    archive = shutil.make_archive(str(pool.parent / "photos"), "tar", pool)
    (pool.parent / "todo" / "deep").mkdir(parents=True)
    (pool.parent / "todo" / "deep" / "0.50.png").write_text("mine")
    with pytest.raises(StorageError, match="exists and is not a list of labels"):
        fovea.label(make_bundle(), archive, out=pool.parent / "todo.csv", count=1)
    assert (pool.parent / "todo" / "deep" / "0.50.png").read_text() == "mine"
    assert not (pool.parent / "todo.csv").exists()


def test_of_a_manifest_only_images_without_a_label_are_asked_for(make_bundle, pool):
    listed = pool.parent / "photos.csv"
    listed.write_text("file,kind\npool/deep/0.50.png,ripe\npool/0.30.png,\npool/0.10.png,\npool/gone.png,\n")
    out = pool.parent / "todo.csv"
    given = {"path_column": "file", "label_column": "kind"}
    result = fovea.label(make_bundle(), listed, out=out, count=5, **given)
    assert [row["path"] for row in rows_of(out)] == ["pool/0.30.png", "pool/0.10.png"]
    assert result.looked_at == 2 and "gone.png (no such file (line 5" in result.notes[0]
    listed.write_text("path\npool/deep/0.50.png\n")  # of paths alone
    fovea.label(make_bundle(), listed, out=out, count=5)
    assert [row["path"] for row in rows_of(out)] == ["pool/deep/0.50.png"]


def test_a_manifest_that_is_the_list_loses_no_row(make_bundle, pool):
    out = pool.parent / "photos.csv"
    out.write_text(
        "path,camera,label,doubt\npool/0.10.png,a,,9\npool/0.30.png,b,,\npool/gone.png,c,,\npool/0.00.png,d,x,"
    )
    result = fovea.label(make_bundle(), out, out=out, count=1)
    rows = [(row["path"], row["camera"], row["label"]) for row in rows_of(out)]
    assert rows[:2] == [("pool/0.00.png", "d", "x"), ("pool/0.30.png", "b", "")] and result.kept == 1
    assert rows[2:] == [("pool/0.10.png", "a", ""), ("pool/gone.png", "c", "")]
    assert rows_of(out)[1]["prediction"] and not rows_of(out)[2]["doubt"]
