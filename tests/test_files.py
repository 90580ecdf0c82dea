"""Nothing waits for what is no file: every place where a person names one, and a pipe, a device or a socket stands."""

import os
import signal
import socket
from contextlib import contextmanager

import pytest
from PIL import Image

import fovea
from fovea.data.signals import read_signal
from fovea.data.sources.class_names import read_class_names
from fovea.errors import FoveaError, StorageError
from fovea.files import check_regular, irregular, no_file, open_regular, open_text
from fovea.jobs.predict import predict

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")


@contextmanager
def at_once(seconds=20):
    """Fail where the body waits for what never comes."""

    def late(*_):
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def pipe(tmp_path):
    def made(name):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(tmp_path / name)
        return tmp_path / name

    return made


def test_what_is_no_file_is_named(tmp_path, pipe):
    (tmp_path / "a.txt").write_text("a")
    assert irregular(tmp_path / "a.txt") == irregular(tmp_path / "gone") == no_file(tmp_path / "a.txt") == ""
    assert irregular(pipe("p")) == "a named pipe" and irregular("/dev/zero") == "a device"
    assert irregular(tmp_path) == "a folder" and no_file(tmp_path / "gone") == "no such file"
    assert no_file(tmp_path / "p") == "a named pipe, not a file"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        assert irregular(tmp_path / "s") == "a socket"


def test_files_are_opened_and_nothing_else(tmp_path, pipe):
    (tmp_path / "a.txt").write_bytes(b"a\r\nb")
    with open_regular(tmp_path / "a.txt") as stream, open_text(tmp_path / "a.txt") as text:
        assert stream.read() == b"a\r\nb" and text.read() == "a\r\nb"
    with at_once(), pytest.raises(StorageError, match=r"p` is a named pipe; give a file\.$"):
        open_regular(pipe("p"))
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "gone")


def test_a_pipe_that_takes_the_place_of_a_file_is_noticed(tmp_path, pipe, monkeypatch):
    monkeypatch.setattr("fovea.files.irregular", lambda path: "")
    with at_once(), pytest.raises(StorageError, match="is a named pipe; give a file"):
        open_regular(pipe("p"))


@pytest.mark.parametrize("name", ["m.safetensors", "x.csv", "x.parquet", "x.npz", "x.zip", "x.tar.gz", "x"])
def test_data_that_is_a_pipe_is_refused(pipe, name):
    with at_once(), pytest.raises(FoveaError, match="is a named pipe"):
        fovea.find(pipe(name))


def test_images_that_are_pipes_are_bad_files(tmp_path, pipe):
    for index in range(30):
        place = tmp_path / "data" / "ab"[index % 2] / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 8 * index).save(place)
    pipe("data/a/pipe.png")
    (tmp_path / "data" / "b" / "zero.png").symlink_to("/dev/zero")
    with at_once():
        found = fovea.check(tmp_path / "data")
    assert sorted(found.bad_files) == [
        ("a/pipe.png", "this is a named pipe, and only files are supported"),
        ("b/zero.png", "this is a device, and only files are supported"),
    ]


def test_rows_of_a_manifest_that_are_pipes_are_bad_files(tmp_path, pipe):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    pipe("p.png")
    (tmp_path / "list.csv").write_text("path,label\na.png,x\np.png,y\n")
    with at_once():
        assert fovea.find(tmp_path / "list.csv").bad_files == (
            ("p.png", "a named pipe, not a file (line 3 of list.csv)"),
        )


def test_a_folder_whose_manifest_is_a_pipe_is_refused(tmp_path, pipe):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    pipe("list.csv")
    with at_once(), pytest.raises(FoveaError, match="list.csv` is a named pipe"):
        fovea.find(tmp_path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".h5", ""])
def test_models_and_weights_that_are_pipes_are_refused(tmp_path, pipe, suffix):
    place = pipe(f"m{suffix}")
    with at_once():
        for use in (
            lambda: fovea.load(place),
            lambda: fovea.info(place),
            lambda: list(predict(place, [tmp_path / "a.png"])),
            lambda: fovea.evaluate(place, "digits"),
            lambda: fovea.build_file("lenet5", out=tmp_path / "o.safetensors", weights=place),
            lambda: fovea.train("digits", model="lenet5", start=str(place), epochs=1, out=tmp_path / "run"),
        ):
            with pytest.raises(FoveaError, match="is a named pipe"):
                use()


def test_other_files_that_are_pipes_are_refused(pipe):
    place = pipe("names.txt")
    with at_once():
        for read in (read_class_names, read_signal, check_regular):
            with pytest.raises(FoveaError, match="is a named pipe"):
                read(place)


def test_an_image_to_predict_that_is_a_pipe_has_its_reason(pipe, make_bundle):
    with at_once():
        (answer,) = predict(make_bundle(), [pipe("p.png")])
    assert answer.error == "this is a named pipe, and only files are supported."


@pytest.mark.parametrize("name", ["recipe.toml", "last.safetensors", "model.safetensors", "lock"])
def test_a_run_with_a_pipe_for_a_file_is_refused(tmp_path, pipe, name):
    run = tmp_path / "run"
    fovea.train("digits", model="lenet1", epochs=2, threads=1, precision="float32", out=run)
    (run / name).unlink()
    pipe(f"run/{name}")
    with at_once(), pytest.raises(FoveaError, match=rf"{name}` (is|cannot)"):
        fovea.train(resume=run)


@pytest.mark.parametrize("name", ["a\0b.png", "a\ud800.png"])
def test_a_name_that_no_file_can_have_is_refused(name, make_bundle):
    assert irregular(name) == "a name that is not valid for a file"
    with pytest.raises(StorageError, match="is a name that is not valid for a file"):
        open_regular(name)
    (found,) = predict(make_bundle(), [name])
    assert found.error == "this is a name that is not valid for a file, and only files are supported."
