"""`fovea check`: what is planted in a folder is found, and what is not there is not."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import fovea
from fovea.cli import run
from fovea.errors import DataError, StorageError


def picture(seed, size=(80, 60)):
    """Return a photograph-like picture: coarse noise enlarged."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def kinds(result):
    return {finding.what: finding.found for finding in result.findings if finding.found}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder of train and test, with 12 + 4 different images of cats and dogs."""
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    for seed in range(16):
        place = tmp_path / "pets" / ("test" if seed % 4 == 3 else "train") / ("cat", "dog")[seed % 2]
        place.mkdir(parents=True, exist_ok=True)
        picture(seed).save(place / f"{seed}.png")
    return tmp_path / "pets"


@pytest.fixture
def faulty(folder):
    """Return the folder with one of each fault."""
    (folder / "train" / "cat" / "broken.jpg").write_bytes(b"\xff\xd8 no image")
    (folder / "train" / "notes.txt").write_text("to do")
    picture(2).save(folder / "train" / "cat" / "copy.bmp")
    picture(4).resize((50, 50)).save(folder / "test" / "dog" / "leak and conflict.jpg")
    picture(50, size=(400, 60)).save(folder / "train" / "dog" / "banner.png")
    Image.new("L", (80, 60), 200).save(folder / "train" / "dog" / "blank.png")
    return folder


def test_a_clean_folder_has_no_findings(folder):
    (folder / "test" / "dog").mkdir(exist_ok=True)
    result = fovea.check(folder)
    assert kinds(result) == {} and result.faults == 0
    assert result.images == {"train": 12, "test": 4}
    assert result.classes == {"cat": {"train": 8, "test": 0}, "dog": {"train": 4, "test": 4}}
    assert result.sizes.smallest == result.sizes.largest == (80, 60)


def test_every_planted_fault_is_found(faulty):
    result = fovea.check(faulty)
    assert kinds(result) == {
        "files that cannot be read": 1,
        "label conflicts": 1,
        "leaks between splits": 1,
        "exact duplicates": 1,
        "near duplicates": 1,
        "blank images": 1,
        "odd sizes": 1,
        "stray files": 1,
    }
    assert result.faults == 3, "the bad file and two groups"
    examples = {finding.what: finding.example for finding in result.findings}
    assert examples["files that cannot be read"].startswith("train/cat/broken.jpg (")
    assert examples["label conflicts"] == ("train/cat/4.png (train, cat) = test/dog/leak and conflict.jpg (test, dog)")
    assert examples["exact duplicates"] == "train/cat/2.png (train, cat) = train/cat/copy.bmp (train, cat)"
    assert examples["blank images"] == "train/dog/blank.png (train)"
    assert examples["odd sizes"] == "train/dog/banner.png (train)"
    assert examples["stray files"] == "train/notes.txt"


def test_a_result_is_json_without_absolute_paths(faulty, tmp_path):
    text = json.dumps(fovea.check(faulty).to_dict())
    assert str(tmp_path) not in text
    values = json.loads(text)
    (conflict,) = [group for group in values["groups"] if group["conflict"]]
    assert [image["part"] for image in conflict["images"]] == ["train", "test"]
    assert conflict["leak"] and not conflict["exact"] and conflict["similarity"] >= 0.9


def test_imbalance_and_empty_classes_are_told(folder):
    for seed in range(100, 140):
        picture(seed).save(folder / "train" / "cat" / f"{seed}.png")
    (folder / "train" / "bird").mkdir()
    result = fovea.check(folder)
    assert kinds(result) == {"imbalance": 12, "classes without training images": 1}
    assert result.findings[-1].example == "48 of cat, 4 of dog"


def test_numbers_as_labels_have_no_classes(folder, tmp_path):
    rows = "".join(f"pets/train/cat/{seed}.png,{seed}\n" for seed in (0, 2, 4, 6))
    (tmp_path / "ages.csv").write_text(f"path,label\n{rows}")
    result = fovea.check(tmp_path / "ages.csv", task="number")
    assert result.classes == {} and kinds(result) == {}
    assert "classes" not in result.summary()[0]


def test_a_part_that_cannot_be_read_at_all_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bad" / "cat").mkdir(parents=True)
    (tmp_path / "bad" / "cat" / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match="The train split of `bad` has no image that can be decoded"):
        fovea.check(tmp_path / "bad")


def test_the_command_prints_a_table_and_json_alone(faulty, capsys):
    assert run(["check", str(faulty)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("pets: 15 train, 5 test images, 2 classes\n")
    assert re.search(r"^test: mean( 0\.\d{3}){3}, standard deviation( 0\.\d{3}){3} of thumbnails", out, re.M)
    assert re.search(r"^ *! +label conflicts +1 +train/cat/4.png", out, re.M)
    assert re.search(r"^ +stray files +1 ", out, re.M) and "error" not in err
    assert run(["check", str(faulty), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["faults"] == 3


def test_strict_fails_on_faults_only(folder, capsys):
    (folder / "stray.txt").touch()
    assert run(["check", str(folder), "--strict"]) == 0
    picture(0).save(folder / "train" / "cat" / "again.png")
    capsys.readouterr()
    assert run(["check", str(folder), "--strict"]) == 1
    assert capsys.readouterr().err.endswith("error: --strict allows no faults, and pets has 1\n")


def test_a_page_is_written_or_the_place_is_named(faulty, tmp_path, capsys):
    assert run(["check", str(faulty), "--html", str(tmp_path / "page.html")]) == 0
    assert "leak and conflict.jpg" in (tmp_path / "page.html").read_text()
    with pytest.raises(StorageError, match="absent/page.html` cannot be written"):
        fovea.check(faulty, html=tmp_path / "absent" / "page.html")


@pytest.fixture
def several(folder, tmp_path):
    """Return a manifest with two columns of labels, a copy with other labels, and a row of which nothing is known."""
    picture(0).save(folder / "train" / "cat" / "copy.png")
    rows = ["train/cat/0.png,1,0,train", "train/cat/copy.png,1,1,train", "train/cat/2.png,,0,train"]
    rows += ["train/cat/4.png,,,train", "test/dog/3.png,1,1,test"]
    (tmp_path / "several.csv").write_text("path,hat,scarf,split\n" + "".join(f"pets/{row}\n" for row in rows))
    return tmp_path / "several.csv"


def test_of_several_labels_each_is_counted_and_copies_must_agree(several, tmp_path):
    page = tmp_path / "page.html"
    result = fovea.check(several, task="labels", label_columns=["hat", "scarf"], html=page)
    assert result.classes == {"hat": {"train": 2, "test": 1}, "scarf": {"train": 1, "test": 1}}
    assert kinds(result) == {"files that cannot be read": 1, "label conflicts": 1, "exact duplicates": 1}
    examples = {finding.what: finding.example for finding in result.findings}
    assert examples["label conflicts"] == (
        "pets/train/cat/0.png (train, hat) = pets/train/cat/copy.png (train, hat, scarf)"
    )
    assert examples["files that cannot be read"] == "pets/train/cat/4.png (no label (line 5 of several.csv))"
    assert result.notes[0] == "1 of 8 labels are unknown; loss and scores ignore them"
    text = page.read_text()
    assert '<span class="label">hat, scarf</span>' in text and result.notes[0] in text
    assert re.search(r"<td>scarf</td><td class=\"number\">1</td><td class=\"number\">1</td>", text)


def test_labels_that_no_image_has_are_empty_and_their_page_is_written(several, tmp_path):
    text = several.read_text().replace(",1,0,", ",0,0,").replace(",1,1,", ",0,0,")
    several.write_text(text)
    result = fovea.check(several, task="labels", label_columns="hat,scarf", html=tmp_path / "page.html")
    assert result.empty_classes == ["hat", "scarf"] and result.conflicts == []
    assert '<span class="label">none</span>' in (tmp_path / "page.html").read_text()


def test_grades_are_counted_in_their_order(folder, capsys):
    assert run(["check", str(folder), "--task", "grade", "--order", "dog,sheep,cat", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["classes"]) == ["dog", "sheep", "cat"]
    assert found["classes"]["dog"] == {"train": 4, "test": 4}
    assert [row["example"] for row in found["findings"] if row["what"].startswith("classes")] == ["sheep"]


def test_the_command_takes_labels_from_columns(several, capsys):
    assert run(["check", str(several), "--task", "labels", "--label-columns", "hat,scarf"]) == 0
    assert capsys.readouterr().out.startswith("several: 3 train, 1 test images, 2 classes\n")
    assert run(["check", str(several), "--label-columns", "hat,scarf"]) == 2
    assert "`--label-columns` works with `--task labels`, not `--task classes`" in capsys.readouterr().err


def test_values_of_12_bits_in_files_of_16_are_nearly_black(tmp_path):
    for index in range(4):
        values = np.random.default_rng(index).integers(0, 4096, (20, 20)).astype(np.uint16)
        (tmp_path / "xy"[index % 2]).mkdir(exist_ok=True)
        Image.fromarray(values).save(tmp_path / "xy"[index % 2] / f"{index}.png")
    result = fovea.check(tmp_path)
    found = next(finding for finding in result.findings if finding.what == "nearly black images")
    assert (
        found.found == 4
        and "12-bit values stored in a 16-bit file look like this: multiply them by 16" in found.example
    )
    assert not found.fault and result.to_dict()["dark"][0] == ("x/0.png", "train")


def test_what_training_would_set_aside_is_said_before_it_does(tmp_path):
    for seed in range(4):
        (tmp_path / "xy"[seed % 2]).mkdir(exist_ok=True)
        picture(seed).save(tmp_path / "xy"[seed % 2] / f"{seed}.png")
    said = "validation: 10 % was requested and 50 % taken, 2 of 4 images, as each class gives at least one"
    assert fovea.check(tmp_path).notes == (said,)


def test_photographs_that_are_not_read_are_files_that_cannot_be_read_and_no_strays(folder):
    (folder / "train" / "cat" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    result = fovea.check(folder)
    assert [bad.name for bad in result.bad_files] == ["train/cat/IMG_1.HEIC"] and result.strays == []
