import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fovea.data.sources.folders import load_folder
from fovea.data.splits import require_trainable
from fovea.errors import DataError, UsageError
from fovea.tasks.wording import Wording


def draw(path: Path, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (3, 2)).save(path)
    return path


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not an image")
    return path


@pytest.fixture
def pets(tmp_path):
    root = tmp_path / "pets"
    for name in ("cat/b.png", "cat/a.png", "dog/deep/er/c.png"):
        draw(root / name)
    return root


def test_sub_folders_are_the_classes_at_any_depth(pets):
    dataset = load_folder(pets)
    train = dataset.parts["train"]
    assert dataset.name == "pets" and dataset.classes == ("cat", "dog") and list(dataset.parts) == ["train"]
    assert train.names == ("cat/a.png", "cat/b.png", "dog/deep/er/c.png")
    assert train.labels.tolist() == [0, 0, 1] and train.labels.dtype == np.int64
    assert train.files == tuple(pets / name for name in train.names)


def test_class_folders_sort_naturally(tmp_path):
    for name in ("10", "9", "1"):
        draw(tmp_path / name / "x.png")
    assert load_folder(tmp_path).classes == ("1", "9", "10")


def test_parts_on_top_are_recognised_by_any_of_their_names(tmp_path):
    for name in ("Training/a/1.png", "Training/b/2.png", "valid/b/3.png", "TEST/a/4.png", "TEST/a/5.png"):
        draw(tmp_path / name)
    dataset = load_folder(tmp_path)
    assert {part: len(content) for part, content in dataset.parts.items()} == {"train": 2, "val": 1, "test": 2}
    assert list(dataset.parts) == ["train", "val", "test"]
    assert dataset.parts["val"].names == ("valid/b/3.png",) and dataset.parts["val"].labels.tolist() == [1]


def test_a_class_may_be_called_train(tmp_path):
    for name in ("train/1.png", "car/2.png"):
        draw(tmp_path / name)
    assert load_folder(tmp_path).classes == ("car", "train")


def test_a_test_part_alone_is_enough(tmp_path):
    draw(tmp_path / "test/a/1.png")
    draw(tmp_path / "test/b/2.png")
    assert list(load_folder(tmp_path).parts) == ["test"]


def test_labels_come_from_file_names(tmp_path):
    for name in ("cat.0.jpg", "dog.1.jpg", "below/cat.2.JPEG"):
        draw(tmp_path / name)
    dataset = load_folder(tmp_path, label_from=r"^(\w+?)\.")
    assert dataset.classes == ("cat", "dog")
    assert dict(zip(dataset.parts["train"].names, dataset.parts["train"].labels.tolist(), strict=True)) == {
        "below/cat.2.JPEG": 0,
        "cat.0.jpg": 0,
        "dog.1.jpg": 1,
    }


def test_labels_come_from_file_names_within_parts_too(tmp_path):
    for name in ("train/cat.0.png", "train/dog.1.png", "test/dog.2.png"):
        draw(tmp_path / name)
    dataset = load_folder(tmp_path, label_from=r"^(\w+?)\.")
    assert dataset.parts["train"].labels.tolist() == [0, 1] and dataset.parts["test"].labels.tolist() == [1]


def test_file_names_give_numbers(tmp_path):
    for name in ("age_23.png", "age_4.5.png"):
        draw(tmp_path / name)
    dataset = load_folder(tmp_path, label_from=r"_([\d.]+)\.png", task="number")
    assert dataset.task == "number" and dataset.classes == ()
    assert dataset.parts["train"].labels.tolist() == [23, 4.5]


def test_hidden_files_and_those_of_systems_are_ignored_in_silence(pets):
    for name in (".hidden/x.png", "cat/.x.png", "__MACOSX/cat/a.png", "cat/Thumbs.db"):
        touch(pets / name)
    dataset = load_folder(pets)
    assert len(dataset.parts["train"]) == 3 and dataset.notes == ()


@pytest.mark.parametrize(("mode", "directional"), [("L", True), ("RGB", False)])
def test_grey_digits_are_not_to_be_mirrored(tmp_path, mode, directional):
    for digit in range(10):
        draw(tmp_path / f"{digit}/1.png", mode)
    touch(tmp_path / "readme.txt")
    dataset = load_folder(tmp_path)
    assert dataset.directional is directional
    assert ("the classes are digits or letters, so images are not mirrored" in dataset.notes) is directional
    assert "files that are not images, ignored: 1" in dataset.notes


def test_stray_files_are_counted(pets):
    touch(pets / "readme.txt")
    touch(pets / "cat/labels.json")
    draw(pets / "cover.png")
    dataset = load_folder(pets)
    assert dataset.notes == (
        "files that are not images, ignored: 2",
        "files outside the class folders, ignored: 1",
    )
    assert len(dataset.parts["train"]) == 3


def test_links_are_followed_but_not_in_circles(pets, tmp_path):
    draw(tmp_path / "elsewhere/d.png")
    (pets / "dog/linked").symlink_to(tmp_path / "elsewhere")
    (pets / "dog/loop").symlink_to(pets)
    assert load_folder(pets).parts["train"].names[2:] == ("dog/deep/er/c.png", "dog/linked/d.png")


@pytest.mark.parametrize("leads_to", ["nowhere.png", "c.png"])
def test_a_link_that_leads_nowhere_or_to_itself_is_left_to_decoding(pets, leads_to):
    (pets / "cat/c.png").symlink_to(leads_to)
    assert "cat/c.png" in load_folder(pets).parts["train"].names


@pytest.mark.parametrize(("modes", "channels"), [(["L", "1", "I;16"], 1), (["L", "RGB"], 3), (["P"], 3)])
def test_grey_files_alone_make_one_channel(tmp_path, modes, channels):
    for index, mode in enumerate(modes):
        draw(tmp_path / f"a/{index}.png", mode)
        draw(tmp_path / f"b/{index}.png", mode)
    assert load_folder(tmp_path).channels == channels


def test_a_size_that_all_files_share_is_known(pets):
    assert load_folder(pets).native_size == (2, 3)
    Image.new("RGB", (3, 4)).save(pets / "cat/c.png")
    assert load_folder(pets).native_size is None


def test_files_that_are_no_images_inside_leave_three_channels(tmp_path):
    touch(tmp_path / "a/1.png")
    touch(tmp_path / "b/1.png")
    assert load_folder(tmp_path).channels == 3


def test_the_fingerprint_is_of_content_not_of_place(pets, tmp_path):
    before = load_folder(pets).fingerprint
    moved = pets.rename(tmp_path / "moved")
    assert load_folder(moved).fingerprint == before and len(before) == 64
    (moved / "cat/a.png").rename(moved / "dog/a.png")
    relabelled = load_folder(moved).fingerprint
    assert relabelled != before
    with (moved / "cat/b.png").open("ab") as file:
        file.write(b"\0")
    assert load_folder(moved).fingerprint not in (before, relabelled)


def test_a_name_that_is_not_utf8_is_no_obstacle(tmp_path):
    draw(tmp_path / "a/1.png")
    draw(tmp_path / "b/1.png")
    try:
        os.rename(tmp_path / "b/1.png", os.fsencode(tmp_path / "b") + b"/\xff.png")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    assert len(load_folder(tmp_path).fingerprint) == 64


def test_a_folder_without_images_is_refused(tmp_path):
    touch(tmp_path / "a/readme.txt")
    with pytest.raises(DataError, match=r"No images in `.*`; supported are \.bmp, .*\.webp"):
        load_folder(tmp_path)


def test_images_without_class_folders_are_refused(tmp_path):
    draw(tmp_path / "cat.0.png")
    with pytest.raises(DataError, match=r"no sub-folder per class.*`--label-from REGEX`.*CSV manifest"):
        load_folder(tmp_path)


def test_parts_without_class_folders_are_not_taken_for_classes(tmp_path):
    draw(tmp_path / "train/cat.0.png")
    draw(tmp_path / "test/1.png")
    with pytest.raises(DataError, match=r"test` contains images but no sub-folder per class; .*`--label-from REGEX`"):
        load_folder(tmp_path)


@pytest.mark.parametrize("root", ["", "train/"])
def test_an_empty_class_folder_is_a_class_that_cannot_be_trained(tmp_path, root):
    draw(tmp_path / root / "a/1.png")
    draw(tmp_path / root / "b/1.png")
    (tmp_path / root / "c").mkdir()
    dataset = load_folder(tmp_path)
    assert dataset.classes == ("a", "b", "c")
    with pytest.raises(
        DataError, match=r"has no image of 1 class\(es\): `c`\. Add or repair images, or remove the class"
    ):
        require_trainable(dataset)


def test_one_class_only_cannot_be_trained(tmp_path):
    draw(tmp_path / "pets/photos/1.png")
    dataset = load_folder(tmp_path / "pets")
    assert dataset.classes == ("photos",) and len(dataset.parts["train"]) == 1
    with pytest.raises(DataError, match="`pets` has only one class, `photos`, .* folders inside it, give that folder"):
        require_trainable(dataset)


def test_a_class_that_train_lacks_cannot_be_trained(tmp_path):
    for name in ("train/a/1.png", "train/b/1.png", "test/c/1.png"):
        draw(tmp_path / name)
    dataset = load_folder(tmp_path)
    assert dataset.parts["test"].labels.tolist() == [2]
    with pytest.raises(DataError, match=r"has no image of 1 class\(es\): `c`"):
        require_trainable(dataset)


def test_an_unknown_folder_beside_the_parts_is_refused(tmp_path):
    for name in ("train/a/1.png", "train/b/1.png", "tset/a/1.png"):
        draw(tmp_path / name)
    with pytest.raises(DataError, match="Unknown split folder `tset` beside `train`; allowed are train, .*testing"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    ("regex", "error", "message"),
    [
        ("(", UsageError, r"`--label-from` `\(` is not a regular expression: missing \)"),
        ("cat", UsageError, "`--label-from` `cat` needs a group around the label"),
        ("(bird)", DataError, r"`--label-from` `\(bird\)` matches none of 2 file names \(not `cat.0.png`\)"),
        ("(cat)", DataError, r"`--label-from` `\(cat\)` matches all but 1 of 2 file names \(not `dog.1.png`\)"),
    ],
)
def test_a_regex_that_does_not_work_is_explained(tmp_path, regex, error, message):
    draw(tmp_path / "cat.0.png")
    draw(tmp_path / "dog.1.png")
    with pytest.raises(error, match=message):
        load_folder(tmp_path, label_from=regex)


def test_names_of_folders_hold_several_labels(tmp_path):
    for name in ("cat;dog/1.png", "dog/2.png", "cat;owl/3.png"):
        draw(tmp_path / name)
    (tmp_path / "gnu;yak").mkdir()
    dataset = load_folder(tmp_path, task="labels")
    assert dataset.classes == ("cat", "dog", "owl")
    assert dataset.parts["train"].names == ("cat;dog/1.png", "cat;owl/3.png", "dog/2.png")
    assert dataset.parts["train"].labels.tolist() == [[1, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_file_names_hold_several_labels(tmp_path):
    for name in ("cat+dog.1.png", "dog.2.png"):
        draw(tmp_path / name)
    dataset = load_folder(tmp_path, label_from=r"^([a-z+]+)\.", task="labels", wording=Wording(separator="+"))
    assert dataset.classes == ("cat", "dog") and dataset.parts["train"].labels.tolist() == [[1, 1], [0, 1]]


def test_folders_are_grades_in_the_order_that_is_said(pets):
    dataset = load_folder(pets, task="grade", wording=Wording(order=("dog", "cat")))
    assert dataset.classes == ("dog", "cat") and dataset.parts["train"].labels.tolist() == [1, 1, 0]
    assert dataset.fingerprint == load_folder(pets).fingerprint
    with pytest.raises(DataError, match="`--order cat,cow` lacks the grades `dog`; list all"):
        load_folder(pets, task="grade", wording=Wording(order=("cat", "cow")))


def test_class_folders_are_compared_in_one_form(tmp_path):
    for name in ("train/caf\u00e9/1.png", "train/the/1.png", "test/cafe\u0301/1.png", "test/the /1.png"):
        draw(tmp_path / name)
    dataset = load_folder(tmp_path)
    assert dataset.classes == ("caf\u00e9", "the")
    assert dataset.parts["train"].labels.tolist() == [0, 1] and sorted(dataset.parts["test"].labels) == [0, 1]


def test_names_that_differ_in_case_or_blanks_are_said(tmp_path):
    for name in ("Cat/1.png", "cat/1.png", "red fox/1.png", "redfox/1.png", "dog/1.png"):
        draw(tmp_path / name)
    said = "names that differ only in case or spaces are kept as separate classes: `Cat`, `cat`; `red fox`, `redfox`"
    assert said in load_folder(tmp_path).notes


def test_a_class_whose_name_is_not_utf8_is_refused(tmp_path):
    draw(tmp_path / os.fsdecode(b"caf\xe9") / "1.png")
    draw(tmp_path / "the/1.png")
    with pytest.raises(DataError, match=r"class `caf\\xe9` is not UTF-8; rename the folder"):
        load_folder(tmp_path)


def test_a_file_whose_name_is_not_utf8_is_named_safely(pets):
    draw(pets / "cat" / os.fsdecode(b"\xe9.png"))
    dataset = load_folder(pets)
    assert "cat/\\xe9.png" in dataset.parts["train"].names
    json.dumps(dataset.parts["train"].names, ensure_ascii=False).encode()


def test_photographs_that_are_not_read_are_bad_files_unless_they_were_converted(pets):
    for name in ("cat/1.HEIC", "cat/2.cr2", "cat/2.jpg"):
        touch(pets / name)
    draw(pets / "cat/2.jpg")
    dataset = load_folder(pets)
    assert dataset.bad_files == (
        ("cat/1.HEIC", "this is a HEIC photograph, which is not supported; convert it to JPEG or PNG"),
    )


def test_a_folder_of_nothing_but_unread_photographs_says_so(tmp_path):
    for number in range(3):
        touch(tmp_path / f"cat/{number}.heic")
    with pytest.raises(
        DataError, match=("3 of them, for example `cat/0.heic`: this is a HEIC photograph, which is not supported")
    ):
        load_folder(tmp_path)


def test_files_are_named_by_their_content_where_the_suffix_says_nothing(pets):
    draw(pets / "cat/x.png")
    (pets / "cat/x.png").rename(pets / "cat/5f2a")
    touch(pets / "cat/film.mp4")
    notes = " ".join(load_folder(pets).notes)
    assert (
        "1 of them, for example `cat/5f2a`: this is an image with the wrong suffix; rename it to .jpg, .png and so on"
    ) in notes
    assert "1 of them, for example `cat/film.mp4`: this is a video, which is not supported" in notes


def test_a_part_without_images_is_said(tmp_path):
    draw(tmp_path / "train/a/1.png")
    draw(tmp_path / "train/b/1.png")
    (tmp_path / "test" / "a").mkdir(parents=True)
    assert "no image in `test`, so it is not used as a split" in load_folder(tmp_path).notes


def test_lists_beside_class_folders_are_named(pets):
    touch(pets / "labels.csv")
    said = "labels are the folder names. There is `labels.csv`: give that file if it lists the images."
    assert said in load_folder(pets).notes
