"""`fovea index`: only what is new or changed is embedded, what is gone is dropped, and a kill leaves what is whole."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fovea.cli import run
from fovea.display import Display
from fovea.errors import BundleError, DataError, StorageError, UsageError
from fovea.jobs.index import index
from fovea.retrieval import samples, update
from fovea.retrieval.index_file import read_index

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def write(path, colour, size=6):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size, size, 3), colour, np.uint8)).save(path)


@pytest.fixture
def images(colour_folder):
    """Return a folder of nine images, each file of another content."""
    folder = colour_folder("images", count=3)
    for file in folder.rglob("*.png"):
        write(file, COLOURS[file.parent.name], size=5 + int(file.stem))
    return folder


@pytest.fixture
def made(tmp_path, make_bundle, images, monkeypatch):
    """Return a function that indexes the images, or other data, and gives the result; a look at a file is trusted."""
    monkeypatch.setattr(samples, "YOUNG_NS", 0)
    model = make_bundle()

    def make(data=images, **options):
        given = {"model": model, "out": tmp_path / "x.fovea-index", "batch": 2, "device": "cpu", **options}
        return index(given.pop("model"), data, **given)

    return make


def content(path):
    """Return all that an index says of each image."""
    found = read_index(path)
    rows = found.rows
    return {
        rows.names[row]: (found.embeddings[row].tolist(), rows.digests[row].tobytes(), found.label_text(row))
        for row in range(len(found))
    }


def counts(result):
    return result.changes[:3]


def test_embeddings_are_what_enters_the_last_layer(made, tmp_path):
    assert counts(made()) == (9, 0, 0)
    found = content(tmp_path / "x.fovea-index")
    assert [found[f"{name}/0.png"][0] for name in ("red", "green", "blue")] == [[6, 0, 0], [0, 6, 0], [0, 0, 6]]
    assert found["red/2.png"][2] == "red"
    index = read_index(tmp_path / "x.fovea-index")
    assert index.squares.tolist() == [36] * 9 and index.complete and index.maker.layer == "head.logits"
    assert index.model_file == "model.safetensors" and index.data_place == "images"


def test_a_named_layer_is_embedded_by_what_it_gives(made, tmp_path):
    made(layer="head.logits", half=True, metric="cosine")
    index = read_index(tmp_path / "x.fovea-index")
    assert index.embeddings.dtype == np.float16 and index.metric == "cosine" and not index.maker.entering
    assert index.embeddings[0].tolist() == [0, 0, 6]


def test_nothing_is_done_twice(made, tmp_path, monkeypatch):
    made()
    before = (tmp_path / "x.fovea-index").stat()
    monkeypatch.setattr(samples, "digest_of", None)  # not even looked into
    assert counts(made()) == (0, 9, 0)
    after = (tmp_path / "x.fovea-index").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns), "the file was not written again"


def test_only_new_and_changed_files_are_embedded_and_gone_ones_are_dropped(made, images, tmp_path):
    made()
    write(images / "red" / "new.png", (255, 255, 0))
    write(images / "green" / "1.png", (0, 0, 0), size=7)
    (images / "blue" / "2.png").unlink()
    result = made()
    assert counts(result) == (2, 7, 1) and result.images == 9
    assert list(read_index(tmp_path / "x.fovea-index").rows.names) == sorted(
        path.relative_to(images).as_posix() for path in images.rglob("*.png")
    )
    found = content(tmp_path / "x.fovea-index")
    assert found["red/new.png"][0] == [6, 6, 0] and found["green/1.png"][0] == [0, 0, 0]
    shutil.copytree(images, tmp_path / "again" / "images")
    made(tmp_path / "again" / "images", out=tmp_path / "y.fovea-index")
    assert content(tmp_path / "y.fovea-index") == found


def test_a_file_of_the_same_content_is_not_embedded_again(made, images):
    made()
    os.utime(images / "red" / "0.png")
    (images / "red" / "1.png").rename(images / "red" / "moved.png")
    assert counts(made()) == (0, 9, 1), "a name is no more there"
    assert counts(made()) == (0, 9, 0)


def test_a_change_that_leaves_size_and_time_is_seen_when_it_follows_at_once(made, images, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "YOUNG_NS", 60 * 10**9)
    made()
    file = images / "red" / "0.png"
    status = file.stat()
    (images / "green" / "0.png").replace(file)
    write(images / "green" / "0.png", (0, 255, 0), size=9)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    made()
    assert content(tmp_path / "x.fovea-index")["red/0.png"][0] == [0, 6, 0]


def test_names_that_match_are_dropped(made):
    made()
    result = made(drop=["red/*", "*/0.png"])
    assert counts(result) == (0, 4, 5) and result.images == 4
    with pytest.raises(UsageError, match="`--drop` excludes all of `images`"):
        made(drop="*")


def test_what_was_dropped_stays_dropped_until_it_is_taken_back(made, images):
    before = content(made(drop="red/*").path)
    write(images / "red" / "9.png", COLOURS["red"], size=9)
    again = made(drop="*/0.png")
    assert counts(again) == (0, 4, 2) and again.patterns == ("red/*", "*/0.png")
    assert "excluded by `*/0.png`, `red/*`; `--restore PATTERN` includes images again" in again.summary()
    assert content(again.path).items() <= before.items()
    back = made(restore="red/*")
    assert (counts(back), back.patterns) == ((3, 4, 0), ("*/0.png",))
    with pytest.raises(
        UsageError,
        match=(
            r"`--restore red/\*` is not an excluded pattern; excluded patterns are "
            r"`\*/0.png`"
        ),
    ):
        made(restore="red/*")
    with pytest.raises(UsageError, match="both `--drop` and `--restore`; give it"):
        made(drop="*/0.png", restore="*/0.png")


def test_an_index_is_shown_and_changed_by_itself(made, images, capsys):
    whole = made(metric="cosine")
    before = content(whole.path)
    shutil.move(images, images.with_name("away"))
    assert run(["index", str(whole.path)]) == 0
    assert "9 images, 3 dimensions" in capsys.readouterr().out
    assert run(["index", str(whole.path), "--drop", "red/*", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["images"], said["dropped"], said["kept"], said["patterns"]) == (6, 3, 6, ["red/*"])
    assert content(whole.path) == {name: value for name, value in before.items() if not name.startswith("red")}
    assert [file.name for file in whole.path.parent.iterdir() if file.name.startswith(".")] == []
    shown = index(whole.path, restore="red/*")
    assert (shown.images, shown.patterns, shown.complete, shown.metric) == (6, (), False, "cosine")
    shutil.move(images.with_name("away"), images)
    done = made()
    assert counts(done) == (3, 6, 0) and content(done.path) == before
    assert (done.complete, done.metric) == (True, "cosine")


def test_an_index_alone_takes_what_applies_to_it(made, tmp_path):
    path = made().path
    assert index(path, metric="cosine").metric == "cosine"
    with pytest.raises(UsageError, match="excludes all of `images`"):
        index(path, drop="*")
    with pytest.raises(UsageError, match="`layer` needs a model and data"):
        index(path, layer="head")
    with pytest.raises(UsageError, match="`DATA` is missing: `fovea index MODEL DATA --out"):
        index(tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="`--out` is missing"):
        index(tmp_path / "model.safetensors", tmp_path)
    assert counts(index(path)) == (0, 9, 0)


def test_a_full_disk_leaves_an_index_that_was_to_be_changed_as_it_was(made, monkeypatch):
    path = made().path
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fovea.storage.os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        index(path, drop="red/*")
    assert path.read_bytes() == before and not [*path.parent.glob(".x*")]


def test_arrays_are_told_by_their_values(made, tmp_path):
    colours = np.zeros((3, 4, 4, 3), np.uint8)
    colours[np.arange(3), :, :, np.arange(3)] = 255
    np.savez(tmp_path / "a.npz", x_train=colours, y_train=np.arange(3))
    result = made(tmp_path / "a.npz")
    assert counts(result) == (3, 0, 0)
    assert counts(made(tmp_path / "a.npz")) == (0, 3, 0)


def test_a_folder_without_classes_has_no_labels(made, images, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, file in enumerate(sorted(images.rglob("*.png"))):
        shutil.copy(file, flat / f"{number}.png")
    made(flat)
    assert {label for _, _, label in content(tmp_path / "x.fovea-index").values()} == {""}
    write(images / "above.png", (1, 2, 3))
    assert made(images).images == 9 and made(images, unlabelled=True).images == 10
    assert not read_index(tmp_path / "x.fovea-index").labelled
    with pytest.raises(UsageError, match="`--unlabelled` works for a folder"):
        made("digits", unlabelled=True)


def test_a_part_can_be_indexed_alone(made, colour_folder, tmp_path):
    for part in ("train", "test"):
        colour_folder(f"parts/{part}")
    result = made(tmp_path / "parts")
    rows = read_index(tmp_path / "x.fovea-index").rows
    assert [rows.key(row) for row in (0, 11)] == [("train", "train/blue/0.png"), ("test", "test/red/1.png")]
    assert counts(result) == (12, 0, 0) and counts(made(tmp_path / "parts", split="test"))[1:] == (6, 6)


def test_another_network_or_precision_begins_anew(made, make_bundle, capsys):
    made()
    other = make_bundle("other.safetensors", order=(2, 1, 0))
    said = Display()
    assert counts(made(model=other, display=said)) == (9, 0, 0)
    assert counts(made(model=other, half=True, display=said)) == (9, 0, 0)
    assert counts(made(model=other, half=True, layer="stage1", display=said)) == (9, 0, 0)
    text = capsys.readouterr().err
    assert text.count("made with another model or layer; all images are embedded again") == 2
    assert "another precision" in text


def test_bad_files_are_named_and_tried_again(made, images):
    (images / "red" / "bad.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1 of 10 images cannot be used"):
        made()
    result = made(allow_bad=True)
    assert counts(result) == (0, 9, 0) and [bad.name for bad in result.changes.bad_files] == ["red/bad.png"]
    assert any(line.startswith("could not read: red/bad.png") for line in result.summary())
    write(images / "red" / "bad.png", (255, 0, 0), size=9)
    assert counts(made()) == (1, 9, 0)


def test_a_metric_can_be_changed_without_embedding(made, tmp_path):
    made()
    assert counts(made(metric="cosine")) == (0, 9, 0)
    assert read_index(tmp_path / "x.fovea-index").metric == "cosine"


# what ends it


@pytest.mark.parametrize("saves", [1, 3])
def test_ctrl_c_leaves_what_is_done_and_the_next_run_goes_on(made, tmp_path, saves, monkeypatch):
    made(out=tmp_path / "whole.fovea-index")
    done = []

    def embed(self, waiting):
        if waiting:
            done.append(waiting)
        if len(done) > saves:
            raise KeyboardInterrupt
        before(self, waiting)

    before = update.Update._embed_all
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(samples, "GROUP", 1)
        patch.setattr(update.Update, "_embed_all", embed)
        made()
    assert not read_index(tmp_path / "x.fovea-index").complete
    assert counts(made()) == (9 - 2 * saves, 2 * saves, 0)
    assert (tmp_path / "x.fovea-index").read_bytes() == (tmp_path / "whole.fovea-index").read_bytes()


KILLED = """
import os, signal, sys
from fovea.jobs.index import index
from fovea.retrieval import samples, update
samples.GROUP, update.UNSAVED_S, update.SAVING_SHARE, samples.YOUNG_NS = 1, -1, 1e9, 0
replace, calls = os.replace, []
def dying(*given):
    calls.append(given)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*given)
os.replace = dying
index(sys.argv[1], sys.argv[2], out=sys.argv[3], batch=2, device="cpu")
"""


@pytest.mark.slow
def test_killed_while_it_writes_what_was_written_before_is_whole(made, make_bundle, images, tmp_path):
    made(out=tmp_path / "whole.fovea-index")
    path = tmp_path / "x.fovea-index"
    command = [sys.executable, "-c", KILLED, make_bundle(), images, path]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(read_index(path)) == 4 and not read_index(path).complete
    assert list(tmp_path.glob(".x.fovea-index.*.tmp")), "the file that was being written"
    assert counts(made()) == (5, 4, 0)
    assert path.read_bytes() == (tmp_path / "whole.fovea-index").read_bytes()
    assert not list(tmp_path.glob(".*")), "nothing is left behind"


def test_a_full_disk_leaves_the_old_index(made, images, tmp_path):
    """A limit on the size of files stands for the full disk."""
    made()
    before = (tmp_path / "x.fovea-index").read_bytes()
    write(images / "red" / "new.png", (255, 255, 0))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"x\.fovea-index` cannot be written \(File too large\)"):
            made()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "x.fovea-index").read_bytes() == before
    assert counts(made()) == (1, 9, 0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"out": "x.bin"}, UsageError, r"`out` \(=x.bin\) must end in \.fovea-index"),
        ({"out": "none/x.fovea-index"}, UsageError, "there is no folder `none`"),
        ({"metric": "l1"}, UsageError, "`metric`"),
        ({"layer": "stage9"}, UsageError, "Unknown layer `stage9`; did you mean `stage1`"),
        ({"export": "annoy"}, UsageError, "Unknown form of an index `annoy`"),
        ({"split": "val"}, DataError, "has no split `val`"),
        ({"batch": 0}, UsageError, "`batch`"),
        ({"task": "number"}, DataError, "Label `blue` is not a number"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(made, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        made(**options)
    assert not list(tmp_path.glob("*.fovea-index"))


def test_what_is_there_and_no_index_is_not_overwritten(made, tmp_path):
    (tmp_path / "x.fovea-index").write_bytes(b"my diary, and no index at all")
    with pytest.raises(BundleError, match="x.fovea-index` is not a safetensors file"):
        made()
    assert (tmp_path / "x.fovea-index").read_bytes() == b"my diary, and no index at all"


def test_the_command_says_what_it_did(make_bundle, images, tmp_path, capsys):
    command = ["index", str(make_bundle()), str(images), "--out", str(tmp_path / "x.fovea-index"), "--device", "cpu"]
    assert run(command) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{tmp_path / 'x.fovea-index'}: 9 images, 3 dimensions, ")
    assert second == "9 embedded, 0 kept, 0 dropped; before head.logits, l2"
    assert run([*command, "--json", "--drop", "red/*", "--drop", "blue/*"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["kept"], found["dropped"]) == (3, 3, 6)
