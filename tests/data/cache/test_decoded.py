import errno
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fovea.data.cache import decoding
from fovea.data.cache.decoded import cache_folder, decode_dataset
from fovea.data.dataset import BadFile, Dataset, Part, Rows
from fovea.data.splits import require_trainable
from fovea.errors import DataError, StorageError, UsageError
from fovea.preprocess import Preprocess

PLAN = Preprocess(size=(8, 8), channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)


def write_images(folder, count, *, bad=()):
    """Write `count` PNGs whose grey level is their index, 10 wide and 12 high; those in `bad` are text."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{index:03}.png" for index in range(count)]
    for index, file in enumerate(files):
        if index in bad:
            file.write_text("no image")
        else:
            Image.new("L", (10, 12), index).save(file)
    return tuple(files)


def file_part(folder, count, *, bad=()):
    files = write_images(folder, count, bad=bad)
    return Part(labels=np.arange(count) % 2, names=tuple(f"{folder.name}/{file.name}" for file in files), files=files)


def dataset(**parts):
    return Dataset(name="some images", parts=parts, classes=("even", "odd"), channels=3)


def levels(part):
    """The grey level of each image, which is the index it had before bad files were left out."""
    assert (part.pixels == part.pixels[:, :1, :1, :1]).all()
    return part.pixels[:, 0, 0, 0].tolist()


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


@pytest.fixture
def reads(monkeypatch):
    """Counts the images that are decoded."""
    seen = []
    read = Preprocess.read
    monkeypatch.setattr(Preprocess, "read", lambda self, source: seen.append(source) or read(self, source))
    return seen


def only_entry(store):
    (entry,) = store.iterdir()
    return entry


# what comes back


def test_files_become_read_only_pixels_in_order(tmp_path, store):
    part = file_part(tmp_path / "a", 40)
    decoded = decode_dataset(dataset(train=part), PLAN, workers=3).parts["train"]
    assert levels(decoded) == list(range(40))
    assert decoded.pixels.shape == (40, 8, 8, 3) and decoded.pixels.dtype == np.uint8
    assert isinstance(decoded.pixels, np.memmap) and not decoded.pixels.flags.writeable
    assert decoded.files is None and decoded.names == part.names and np.array_equal(decoded.labels, part.labels)


def test_rows_equal_what_preprocess_reads(tmp_path, store):
    files = []
    for index, (h, w) in enumerate([(20, 30), (30, 20), (9, 9)]):
        files.append(tmp_path / f"{index}.png")
        Image.fromarray(np.random.default_rng(index).integers(0, 256, (h, w, 3), np.uint8)).save(files[-1])
    part = Part(labels=np.array([0, 1, 0]), names=("0", "1", "2"), files=tuple(files))
    for fit in ("crop", "letterbox", "squash"):
        chosen = replace(PLAN, fit=fit)
        pixels = decode_dataset(dataset(train=part), chosen).parts["train"].pixels
        assert np.array_equal(pixels, np.stack([chosen.read(file) for file in files]))


def test_room_enlarges_only_the_train_part(tmp_path, store):
    parts = {name: file_part(tmp_path / name, 4) for name in ("train", "val", "test")}
    decoded = decode_dataset(dataset(**parts), PLAN, room=1.3)
    assert {name: part.pixels.shape[1:3] for name, part in decoded.parts.items()} == {
        "train": (10, 10),
        "val": (8, 8),
        "test": (8, 8),
    }


def test_arrays_of_the_right_shape_pass_through(store):
    part = Part(labels=np.array([0, 1]), names=("0", "1"), pixels=np.zeros((2, 8, 8, 3), np.uint8))
    assert decode_dataset(dataset(train=part), PLAN).parts["train"] is part
    assert not store.exists()


def test_other_arrays_are_resized_and_kept(store, reads):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1), np.uint8)
    part = Part(labels=np.arange(5) % 2, names=tuple("01234"), pixels=pixels)
    first = decode_dataset(dataset(train=part), PLAN).parts["train"].pixels
    assert np.array_equal(first, np.stack([PLAN.read(image) for image in pixels]))
    reads.clear()
    again = decode_dataset(dataset(train=replace(part, pixels=pixels.copy())), PLAN)
    assert np.array_equal(again.parts["train"].pixels, first) and not reads
    changed = pixels.copy()
    changed[4, 15, 15] ^= 1
    decode_dataset(dataset(train=replace(part, pixels=changed)), PLAN)
    assert len(reads) == 5


def test_rows_of_an_array_are_kept_like_the_array_itself(reads):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1), np.uint8)
    part = Part(labels=np.arange(3) % 2, names=tuple("012"), pixels=Rows(pixels, np.array([4, 0, 2])))
    resized = decode_dataset(dataset(train=part), PLAN).parts["train"].pixels
    assert np.array_equal(resized, np.stack([PLAN.read(pixels[index]) for index in (4, 0, 2)]))
    reads.clear()
    again = decode_dataset(dataset(train=replace(part, pixels=pixels[[4, 0, 2]])), PLAN).parts["train"].pixels
    assert np.array_equal(again, resized) and not reads


def test_numbers_as_labels_stay_aligned(tmp_path, store):
    part = file_part(tmp_path / "a", 30, bad={7})
    part = replace(part, labels=np.arange(30, dtype=np.float32) / 2)
    found = replace(dataset(train=part), classes=(), task="number")
    decoded = decode_dataset(found, PLAN).parts["train"]
    assert (decoded.labels * 2).tolist() == levels(decoded)
    assert decoded.labels.dtype == np.float32


def test_progress_counts_all_images(tmp_path, store):
    parts = {"train": file_part(tmp_path / "a", 5), "test": file_part(tmp_path / "b", 3)}
    seen = []
    decode_dataset(dataset(**parts), PLAN, progress=lambda done, total: seen.append((done, total)))
    assert {total for _, total in seen} == {8}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and seen[-1] == (8, 8)


# bad files


def test_bad_files_leave_pixels_labels_and_names_aligned(tmp_path, store):
    part = file_part(tmp_path / "a", 60, bad={0, 31, 59})
    earlier = replace(dataset(train=part), bad_files=(BadFile("x", "outside"),))
    for _ in range(2):  # decoded, then from the cache
        decoded = decode_dataset(earlier, PLAN, allow_bad=True)
        kept = [index for index in range(60) if index not in {0, 31, 59}]
        assert levels(decoded.parts["train"]) == kept
        assert decoded.parts["train"].labels.tolist() == [index % 2 for index in kept]
        assert decoded.parts["train"].names == tuple(part.names[index] for index in kept)
        reason = "not a JPEG, PNG, WebP, BMP, GIF or TIFF image, or its header is damaged"
        assert decoded.bad_files == (
            BadFile("x", "outside"),
            *(BadFile(part.names[index], reason) for index in (0, 31, 59)),
        )


def test_five_percent_bad_files_are_skipped_and_more_are_refused(tmp_path, store):
    five = dataset(train=file_part(tmp_path / "a", 40, bad={3, 4}))
    assert len(decode_dataset(five, PLAN).parts["train"]) == 38
    more = dataset(train=file_part(tmp_path / "b", 40, bad=range(7)))
    with pytest.raises(DataError) as caught:
        decode_dataset(more, PLAN)
    message = str(caught.value)
    assert message.startswith(
        "7 of 40 images cannot be used, which is more than the limit of 5 %: `b/000.png` (not a JPEG"
    )
    assert "`b/004.png`" in message and "`b/005.png`" not in message and message.endswith("`--allow-bad`.")
    assert str(tmp_path) not in message
    assert len(decode_dataset(more, PLAN, allow_bad=True).parts["train"]) == 33


def test_a_class_whose_images_are_all_bad_can_be_evaluated_and_not_trained(tmp_path):
    part = replace(file_part(tmp_path / "a", 30, bad={4}), labels=(np.arange(30) == 4).astype(np.int64))
    require_trainable(dataset(train=part))
    decoded = decode_dataset(dataset(train=part), PLAN)
    with pytest.raises(DataError, match=r"has no image of 1 class\(es\): `odd`\. Add or repair images"):
        require_trainable(decoded)


def test_a_part_without_images_is_refused(tmp_path, store):
    parts = {"train": file_part(tmp_path / "a", 4), "test": file_part(tmp_path / "b", 2, bad={0, 1})}
    with pytest.raises(DataError, match="^The test split of `some images` has no image that can be decoded.$"):
        decode_dataset(dataset(**parts), PLAN, allow_bad=True)


def test_a_missing_file_is_a_bad_file(tmp_path, store):
    part = file_part(tmp_path / "a", 30)
    part.files[5].unlink()
    decoded = decode_dataset(dataset(train=part), PLAN)
    assert decoded.bad_files == (BadFile("a/005.png", "No such file or directory"),)


def test_room_below_one_is_refused(tmp_path):
    with pytest.raises(UsageError, match="^`room` \\(=0.5\\) must be at least 1.$"):
        decode_dataset(dataset(train=file_part(tmp_path / "a", 2)), PLAN, room=0.5)


# found again


def test_the_second_run_decodes_nothing(tmp_path, store, reads):
    found = dataset(train=file_part(tmp_path / "a", 20))
    first = decode_dataset(found, PLAN).parts["train"].pixels
    reads.clear()
    assert np.array_equal(decode_dataset(found, PLAN).parts["train"].pixels, first) and not reads


def test_mean_and_std_are_no_reason_to_decode_again(tmp_path, store, reads):
    found = dataset(train=file_part(tmp_path / "a", 6))
    decode_dataset(found, PLAN)
    reads.clear()
    decode_dataset(found, replace(PLAN, mean=(0.1,) * 3, std=(2.0,) * 3))
    assert not reads


@pytest.mark.parametrize(
    "change", [{"size": (8, 9)}, {"fit": "squash"}, {"channels": 1, "mean": (0.0,), "std": (1.0,)}]
)
def test_other_options_are_another_entry(tmp_path, store, reads, change):
    found = dataset(train=file_part(tmp_path / "a", 6))
    decode_dataset(found, PLAN)
    reads.clear()
    decode_dataset(found, replace(PLAN, **change))
    assert len(reads) == 6 and len(list(store.iterdir())) == 2


@pytest.mark.parametrize("change", ["time", "size"])
def test_a_changed_file_is_decoded_again(tmp_path, store, change):
    found = dataset(train=file_part(tmp_path / "a", 6))
    changed, other = found.parts["train"].files[2:4]
    for file, level in ((changed, 2), (other, 3)):  # uncompressed, so both are of one size
        Image.new("L", (10, 12), level).save(file, "BMP")
    decode_dataset(found, PLAN)
    before = changed.stat()
    changed.write_bytes(other.read_bytes() + b"!" * (change == "size"))
    assert (changed.stat().st_size == before.st_size) == (change == "time")
    os.utime(changed, ns=(0, before.st_mtime_ns + (change == "time")))
    assert levels(decode_dataset(found, PLAN).parts["train"]) == [0, 1, 3, 3, 4, 5]


# killed, damaged, crowded

KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from fovea.data.cache import decoding
from fovea.data.cache.decoded import decode_dataset
from fovea.data.dataset import Dataset, Part
from fovea.preprocess import Preprocess

decoding.CHUNK_FILES = 8
files = tuple(sorted(Path(sys.argv[1]).iterdir()))
part = Part(labels=np.arange(len(files)) % 2, names=tuple(file.name for file in files), files=files)
data = Dataset(name="some images", parts={"train": part}, classes=("even", "odd"), channels=3)
plan = Preprocess(size=(8, 8), channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
kill = lambda done, total: done == 45 and os.kill(os.getpid(), signal.SIGKILL)
decode_dataset(data, plan, workers=2, progress=kill)
"""


def test_a_killed_first_pass_goes_on_where_it_was(tmp_path, store, reads):
    part = file_part(tmp_path / "a", 100, bad={3, 50})
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a")])
    assert killed.returncode == -signal.SIGKILL
    with (only_entry(store) / decoding.ROWS).open("ab") as rows:
        rows.write(b"rows that no journal line vouches for")
    seen = []
    decoded = decode_dataset(dataset(train=part), PLAN, progress=lambda done, total: seen.append(done))
    assert seen[0] == 40 and len(reads) == 60  # five chunks of eight were finished at image 45
    assert levels(decoded.parts["train"]) == [index for index in range(100) if index not in {3, 50}]
    assert [bad.name for bad in decoded.bad_files] == ["a/003.png", "a/050.png"]


def test_an_interrupt_ends_at_once_and_keeps_what_was_done(tmp_path, reads, monkeypatch):
    threads = threading.active_count()
    monkeypatch.setattr(decoding, "CHUNK_FILES", 8)
    found = dataset(train=file_part(tmp_path / "a", 100))

    def interrupt(done, total):
        if done == 45:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode_dataset(found, PLAN, workers=2, progress=interrupt)
    assert threading.active_count() == threads and len(reads) < 70
    reads.clear()
    assert levels(decode_dataset(found, PLAN).parts["train"]) == list(range(100))
    assert len(reads) == 60


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)


DAMAGES = {
    "rows flipped": lambda entry: flip(entry / decoding.ROWS, 1000),
    "rows cut short": lambda entry: os.truncate(entry / decoding.ROWS, 1000),
    "rows gone": lambda entry: (entry / decoding.ROWS).unlink(),
    "header flipped": lambda entry: flip(entry / decoding.JOURNAL, 12),
    "checksum flipped": lambda entry: flip(entry / decoding.JOURNAL, 0),
    "bad index flipped": lambda entry: flip(
        entry / decoding.JOURNAL, (entry / decoding.JOURNAL).read_bytes().index(b"[[2") + 2
    ),
    "journal foreign": lambda entry: (entry / decoding.JOURNAL).write_bytes(b"{}\n\xff\xfe\n"),
    "journal empty": lambda entry: (entry / decoding.JOURNAL).write_bytes(b""),
    "journal gone": lambda entry: (entry / decoding.JOURNAL).unlink(),
    "header of another": lambda entry: (entry / decoding.JOURNAL).write_bytes(
        decoding._line(decoding.Header(40, (4, 4, 12))) + (entry / decoding.JOURNAL).read_bytes().split(b"\n", 1)[1]
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_built_anew(tmp_path, store, reads, damage):
    found = dataset(train=file_part(tmp_path / "a", 40, bad={2}))
    decode_dataset(found, PLAN)
    DAMAGES[damage](only_entry(store))
    reads.clear()
    decoded = decode_dataset(found, PLAN).parts["train"]
    assert levels(decoded) == [index for index in range(40) if index != 2] and len(reads) == 40


def test_a_torn_last_line_costs_one_chunk(tmp_path, store, reads, monkeypatch):
    monkeypatch.setattr(decoding, "CHUNK_FILES", 8)
    found = dataset(train=file_part(tmp_path / "a", 40))
    decode_dataset(found, PLAN)
    journal = only_entry(store) / decoding.JOURNAL
    os.truncate(journal, journal.stat().st_size - 3)
    reads.clear()
    for _ in range(2):
        assert levels(decode_dataset(found, PLAN).parts["train"]) == list(range(40))
        assert len(reads) == 8


def test_a_missing_end_is_noticed_even_where_checksums_are_sampled(tmp_path, store, reads, monkeypatch):
    monkeypatch.setattr(decoding, "CHUNK_FILES", 8)
    monkeypatch.setattr(decoding, "CHECKED_CHUNKS", 1)
    found = dataset(train=file_part(tmp_path / "a", 40))
    decode_dataset(found, PLAN)
    os.truncate(only_entry(store) / decoding.ROWS, 40 * 192 - 1)
    assert levels(decode_dataset(found, PLAN).parts["train"]) == list(range(40))
    assert len(reads) == 80


def test_rebuilding_leaves_an_open_map_alone(tmp_path, store):
    found = dataset(train=file_part(tmp_path / "a", 40))
    held = decode_dataset(found, PLAN).parts["train"].pixels
    flip(only_entry(store) / decoding.ROWS, 5)
    rebuilt = decode_dataset(found, PLAN).parts["train"].pixels
    assert (held[0] != rebuilt[0]).sum() == 1


def test_two_at_once_decode_each_image_once(tmp_path, store, reads, monkeypatch):
    monkeypatch.setattr(decoding, "CHUNK_FILES", 8)
    found = dataset(train=file_part(tmp_path / "a", 100))
    results = []
    threads = [threading.Thread(target=lambda: results.append(decode_dataset(found, PLAN))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [levels(result.parts["train"]) for result in results] == [list(range(100))] * 3
    assert len(reads) == 100


def test_too_little_space_is_said_before_decoding(tmp_path, store, reads, monkeypatch):
    found = dataset(train=file_part(tmp_path / "a", 100))  # 100 x 4000 x 4000 x 3 bytes
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda folder: SimpleNamespace(free=4_799_000_000))
    with pytest.raises(
        StorageError, match=r"need 4\.80 GB in `.*` and 4\.80 GB are free\. Clear .*`fovea cache --clear`"
    ):
        decode_dataset(found, PLAN.with_size((4000, 4000)))
    assert not reads


def test_a_full_disk_keeps_what_was_written(tmp_path, store, reads, monkeypatch):
    monkeypatch.setattr(decoding, "CHUNK_FILES", 8)
    found = dataset(train=file_part(tmp_path / "a", 40))
    syncs = iter([None, None, OSError(28, "No space left on device")])

    def full(descriptor):
        if error := next(syncs):
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(decoding.os, "fsync", full)
        with pytest.raises(
            StorageError, match=("No space left on device. Images decoded so far are kept for the next run")
        ):
            decode_dataset(found, PLAN)
    reads.clear()
    assert levels(decode_dataset(found, PLAN).parts["train"]) == list(range(40))
    assert len(reads) == 24


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="Cannot store decoded images in `.*/file/decoded/.*`: Not a directory"):
        decode_dataset(dataset(train=file_part(tmp_path / "a", 2)), PLAN)


def test_memory_does_not_grow_with_the_data(tmp_path, store):
    (file,) = write_images(tmp_path / "a", 1)
    large = PLAN.with_size((256, 256))  # 197 kB an image, 98 MB in all
    part = Part(labels=np.arange(500) % 2, names=("x",) * 500, files=(file,) * 500)
    tracemalloc.start()
    decode_dataset(dataset(train=part), large, workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 7 * decoding.CHUNK_BYTES


def test_a_fast_decoder_waits_for_the_disk(reads):
    outcomes = decoding._outcomes([Path("missing")] * 10_000, 0, preprocess=PLAN, workers=2)
    next(outcomes)
    time.sleep(0.2)
    assert len(reads) <= decoding.CHUNK_FILES + 4
    outcomes.close()


def test_decoded_images_have_their_own_folder_in_the_cache(tmp_path):
    assert cache_folder() == tmp_path / "cache" / "decoded"


@pytest.fixture
def read_only(monkeypatch):
    """Let no file of the cache be opened for writing, as on a disk that is mounted read-only."""
    path_open = Path.open

    def refused(path, mode="r", *arguments, **options):
        if set(mode) & set("wa+x"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return path_open(path, mode, *arguments, **options)

    return lambda: monkeypatch.setattr(Path, "open", refused)


def test_a_read_only_cache_that_holds_everything_is_used(tmp_path, read_only):
    data = dataset(train=file_part(tmp_path / "a", 20, bad=(3,)))
    before = decode_dataset(data, PLAN)
    read_only()
    counted = []
    after = decode_dataset(data, PLAN, progress=lambda done, total: counted.append((done, total)))
    assert np.array_equal(after.parts["train"].pixels, before.parts["train"].pixels)
    assert after.bad_files == before.bad_files and counted[-1] == (20, 20)


@pytest.mark.parametrize("spoil", ["nothing", "rows", "content", "journal"])
def test_a_read_only_cache_that_lacks_something_is_said(tmp_path, store, read_only, spoil):
    data = dataset(train=file_part(tmp_path / "a", 20))
    if spoil == "nothing":
        store.mkdir(parents=True)
    else:
        decode_dataset(data, PLAN)
        (entry,) = store.iterdir()
        rows = (entry / decoding.ROWS).read_bytes()
        if spoil == "journal":
            (entry / decoding.JOURNAL).unlink()
        else:
            (entry / decoding.ROWS).write_bytes(rows[:-9] if spoil == "rows" else b"x" + rows[1:])
    read_only()
    with pytest.raises(StorageError, match="Cannot store decoded images in .*Read-only file system"):
        decode_dataset(data, PLAN)
