"""Reading a model file's header: what is refused, quickly and with a reason, before anything is built or loaded."""

import json
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from fovea.card import MAX_CARD_LENGTH, Card
from fovea.errors import BundleError, FoveaError, StorageError
from fovea.model.bundle import load
from fovea.model.container import read_card, read_header
from fovea.model.opening import open_model
from fovea.tensor_file import MAX_HEADER_BYTES


def write(path, header, data=b"", *, length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(raw) if length is None else length).to_bytes(8, "little") + raw + data)
    return path


def refused(path, message):
    for read in (read_card, load):
        with pytest.raises(BundleError, match=message):
            read(path)


def with_card(card):
    return {"__metadata__": {"fovea": card if isinstance(card, str) else json.dumps(card)}}


def test_card_and_shapes_are_read(make_bundle, make_card):
    header = read_header(make_bundle())
    assert header.card == make_card()
    assert header.shapes == {
        "stage1.dense.weight": (3, 48),
        "stage1.dense.bias": (3,),
        "head.logits.weight": (3, 3),
        "head.logits.bias": (3,),
    }


def test_reading_a_card_needs_no_engine(make_bundle):
    code = (
        f"import sys; from fovea.model.container import read_card; read_card({str(make_bundle())!r});"
        "sys.exit(any(name in sys.modules for name in ('torch', 'safetensors', 'sklearn', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("tenths", range(10))
def test_truncated_anywhere_is_refused(make_bundle, tenths):
    path = make_bundle()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * tenths // 10])
    refused(path, "truncated")


def test_one_byte_too_few_or_too_many_is_refused(make_bundle):
    path = make_bundle()
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    refused(path, "truncated")
    path.write_bytes(whole + b"\0")
    refused(path, "damaged")


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_refused(tmp_path, seed):
    path = tmp_path / "noise.safetensors"
    path.write_bytes(np.random.default_rng(seed).bytes(5000))
    refused(path, "noise.safetensors")


@pytest.mark.parametrize("seed", range(60))
def test_a_changed_byte_in_the_header_never_escapes_as_another_error(make_bundle, seed):
    path = make_bundle()
    raw = bytearray(path.read_bytes())
    generator = np.random.default_rng(seed)
    raw[generator.integers(8 + int.from_bytes(raw[:8], "little"))] = generator.integers(256)
    path.write_bytes(raw)
    try:
        load(path)
    except FoveaError as error:
        assert isinstance(error, BundleError) and "\n" not in str(error)


def test_an_announced_header_beyond_the_bound_is_not_read(tmp_path):
    refused(
        write(tmp_path / "x", b"{", length=2**60),
        (f"declares a header of {2**60} bytes; the limit is {MAX_HEADER_BYTES}"),
    )


def test_pickles_and_zips_are_refused_with_the_way_out(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"w": torch.zeros(2)}, path)
    refused(path, "never unpickled; convert it to safetensors")
    path.write_bytes(pickle.dumps({"w": [0.0]}, protocol=4))
    refused(path, "never unpickled")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "b")
    refused(path, "never unpickled")


def test_a_safetensors_file_of_others_is_refused(tmp_path):
    entry = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    refused(write(tmp_path / "x", entry, b"\0" * 4), "no `fovea` entry")
    refused(write(tmp_path / "x", {"__metadata__": {"fovea": 1}}), "no `fovea` entry")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, '{"a": NaN}', '{"a": 1' + "0" * 5000 + "}", "[1]", "{'a': 1}", "\x00"]
)
def test_json_that_is_deep_or_invalid_is_refused(tmp_path, text):
    refused(write(tmp_path / "x", with_card(text)), "its card")
    if text.startswith("{"):
        refused(write(tmp_path / "x", text.encode()), "its header is not valid JSON|no `fovea` entry")


def test_nesting_is_bounded(tmp_path, make_card):
    deep = 0
    for _ in range(40):
        deep = [deep]
    refused(write(tmp_path / "x", with_card(make_card(results=deep))), "nested deeper than 32 levels")


def test_the_card_is_bounded_both_ways(tmp_path, make_card):
    card = make_card(notes="x" * MAX_CARD_LENGTH)
    refused(write(tmp_path / "x", with_card(card)), "the limit is 1000000")
    with pytest.raises(BundleError, match="the limit is 1000000"):
        Card.from_dict(card, source="x").text("x")


@pytest.mark.parametrize(
    "entry",
    [
        1,
        [],
        {"shape": [1]},
        {"shape": [1], "data_offsets": [0]},
        {"shape": 1, "data_offsets": [0, 4]},
        {"shape": ["a"], "data_offsets": [0, 4]},
        {"shape": [1], "data_offsets": [0, 1e999]},
    ],
)
def test_a_damaged_table_of_tensors_is_refused(tmp_path, make_card, entry):
    text = json.dumps({**with_card(make_card()), "w": entry}).replace("Infinity", "1e999")
    refused(write(tmp_path / "x", text.encode(), b"\0" * 4), "table of tensors is damaged")


def test_too_many_tensors_are_refused(tmp_path, make_card):
    header = {**with_card(make_card()), **{str(i): {"shape": [], "data_offsets": [0, 0]} for i in range(20_001)}}
    refused(write(tmp_path / "x", header), "lists 20001 tensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 5}, "has format 5, and this version of Fovea reads up to format 4; upgrade Fovea"),
        ({"format": True}, "`format` is missing or of the wrong type"),
        ({"architecture": None}, "`architecture` is missing or of the wrong type"),
        ({"classes": "abc"}, "`classes` is missing or of the wrong type"),
        ({"classes": ["a", "a", "b"]}, "must be distinct names"),
        ({"classes": ["a", "b", 3]}, "must be distinct names"),
        ({"classes": ["a", "b"]}, "3 outputs and 2 classes contradict"),
        ({"outputs": 4}, "contradict"),
        ({"task": "number"}, "contradict"),
        ({"task": "boxes"}, "task `boxes`"),
        ({"loss": "binary", "outputs": 1}, "contradict"),
        ({"temperature": 0}, "must be from"),
        ({"temperature": 10**400}, "must be from"),
        ({"task": "number", "loss": "mse", "classes": [], "outputs": 1, "arguments": {}}, "`target` must hold"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused_on_both_ways(tmp_path, make_card, changes, message):
    refused(write(tmp_path / "x", with_card(make_card(**changes))), message)
    with pytest.raises(BundleError, match=message):
        Card.from_dict(make_card(**changes), source="x")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_a_card_of_other_than_json_values_is_not_written(make_card, value):
    with pytest.raises(BundleError, match="may contain only JSON values"):
        Card.from_dict(make_card(results=[{"accuracy": value}]), source="x").text("x")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("training", "long"), ("training.data", 5), ("licences", ["MIT"]), ("calibration", None), ("origin", 1)],
        *[("results", {}), ("results", ["good"])],
    ],
)
def test_what_is_for_people_is_of_its_type_too(tmp_path, make_card, field, value):
    change = {"training": {"data": value}} if field == "training.data" else {field: value}
    refused(write(tmp_path / "x", with_card(make_card(**change))), f"the card's `{field}` is of the wrong type")


def test_every_required_field_is_missed(tmp_path, make_card):
    for key in (
        "format",
        "architecture",
        "arguments",
        "task",
        "outputs",
        "loss",
        "preprocess",
        "classes",
        "temperature",
    ):
        card = make_card()
        del card[key]
        refused(write(tmp_path / "x", with_card(card)), f"`{key}` is missing")


def test_a_run_folder_stands_for_its_model_and_another_folder_is_refused(tmp_path, make_bundle):
    file = make_bundle()
    run = file.parent
    assert read_card(run) == read_card(run / "model.safetensors")
    assert load(run).card == read_card(run) and open_model(run, device="cpu").card == read_card(run)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match="is a folder without a `model.safetensors`: give a model file, or a run"):
        read_card(tmp_path / "empty")


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(StorageError, match="There is no file `.*absent`"):
        read_card(tmp_path / "absent")
