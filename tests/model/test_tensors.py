"""A coded model file: the same network to the bit in fewer bytes; what is hostile is refused before it is decoded."""

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from fovea import registry
from fovea.card import Card
from fovea.compression.coding.tensors import DTYPES
from fovea.errors import BundleError, FoveaError
from fovea.jobs.info import info
from fovea.model.bundle import load, save_bundle
from fovea.model.container import read_header
from fovea.model.reading import read_weights

ARGUMENTS = {"classes": 3, "c_in": 3, "size": 4, "widths": [200, 30]}


def sparse_mlp():
    """Weights of nine values, of which nine tenths are zero, and biases as they are."""
    torch.manual_seed(0)
    model = registry.build("mlp", **ARGUMENTS)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            shared = (module.weight * 50).round().clamp(-4, 4) / 50
            module.weight.data = torch.where(torch.rand_like(shared) < 0.1, shared, 0.0)
    return model


@pytest.fixture
def saved(tmp_path, make_card):
    """Return the paths of the same network as it is, and coded."""
    card = Card.from_dict(make_card(arguments=ARGUMENTS), source="x")
    plain, coded = tmp_path / "plain.safetensors", tmp_path / "coded.safetensors"
    save_bundle(plain, sparse_mlp(), card)
    save_bundle(coded, sparse_mlp(), card, coded=True)
    return plain, coded


def written(path, *, card=None, stored=None, tensors=None):
    """Write a coded file anew with another `coding`, other coded bytes, or other tensors."""
    found = load_file(path) if tensors is None else tensors
    values = dict(read_header(path).card)
    values["coding"] = {**values["coding"], **(card or {})}
    if stored is not None:
        found["coded"] = torch.from_numpy(np.frombuffer(stored, np.uint8).copy())
        values["coding"]["crc32"] = zlib.crc32(stored)
    save_file(found, path, metadata={"fovea": json.dumps(values)})
    return path


def refused(path, message):
    with pytest.raises(BundleError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_a_coded_file_is_smaller_and_gives_the_same_network(saved):
    plain, coded = saved
    assert coded.stat().st_size < plain.stat().st_size / 8
    assert read_header(coded).shapes == read_header(plain).shapes
    one, other = load(plain).model.state_dict(), load(coded).model.state_dict()
    assert all(torch.equal(one[name].view(torch.int32), other[name].view(torch.int32)) for name in one)


def test_a_coded_file_says_so_by_its_format_and_in_its_card(saved):
    plain, coded = saved
    assert (read_header(plain).card.format, read_header(coded).card.format) == (1, 3)
    entry = read_header(coded).card["coding"]["tensors"]["stage1.dense.weight"]
    assert (entry["form"], entry["dtype"], entry["shape"]) == ("sparse", "F32", [200, 48])
    assert info(coded).coded.startswith("3 tensors of 62,760 bytes in ") and not info(plain).coded
    assert info(coded).values == info(plain).values


def test_a_network_from_a_coded_file_is_coded_again_unless_told(saved, tmp_path):
    plain, coded = saved
    bundle = load(coded)
    save_bundle(tmp_path / "again", bundle.model, bundle.card)
    save_bundle(tmp_path / "wide", bundle.model, bundle.card, coded=False)
    assert (tmp_path / "again").read_bytes() == coded.read_bytes()
    assert (tmp_path / "wide").read_bytes() == plain.read_bytes()


def test_what_coding_does_not_shorten_is_written_as_it_is(tmp_path, make_card):
    torch.manual_seed(0)
    model, card = registry.build("mlp", **ARGUMENTS), Card.from_dict(make_card(arguments=ARGUMENTS), source="x")
    for name, coded in (("plain", False), ("coded", True)):
        save_bundle(tmp_path / name, model, card, coded=coded)
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "coded").read_bytes()


def test_shared_tensors_and_strange_values_come_back(tmp_path, make_card):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(48, 3, bias=False)
            self.second = nn.Linear(48, 3, bias=False)
            self.second.weight = self.first.weight
            self.register_buffer("coded", torch.tensor([1.0, -0.0, float("-inf")] * 50))
            self.register_buffer("counted", torch.arange(3).repeat(100))
            self.register_buffer("empty", torch.zeros(0, 4))
            self.register_buffer("brain", torch.eye(30, dtype=torch.bfloat16))

        def forward(self, x):
            return self.first(x.flatten(1)) + self.second(x.flatten(1))

    model = Own()
    with torch.no_grad():
        model.first.weight.copy_(torch.ones(3, 48))
    path = tmp_path / "o.safetensors"
    card = Card.from_dict(make_card(architecture="custom", arguments={}), source="x")
    save_bundle(path, model, card, coded=True)
    assert read_header(path).card.coding["stored"] == "coded_"
    back = load(path, model=Own()).model
    assert back.second.weight is back.first.weight
    assert back.brain.dtype == torch.bfloat16
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, back.state_dict()[name])
    assert torch.equal(back.coded.signbit(), model.coded.signbit())


def test_weights_are_read_from_a_coded_file(saved):
    plain, coded = (read_weights(path).tensors for path in saved)
    assert plain.keys() == coded.keys() and all(torch.equal(plain[name], coded[name]) for name in plain)


def test_another_network_is_refused_before_anything_is_decoded(saved):
    _, coded = saved
    tensors = dict(read_header(coded).card.coding["tensors"])
    tensors["stage1.dense.weight"] = {**tensors["stage1.dense.weight"], "shape": [48, 200]}
    raw = bytearray(load_file(coded)["coded"].numpy().tobytes())
    refused(
        written(coded, card={"tensors": tensors}, stored=bytes(len(raw))),
        "With a different shape: `stage1.dense.weight`",
    )


def test_a_small_file_cannot_ask_for_much_memory(saved, monkeypatch):
    _, coded = saved
    values = read_header(coded).card
    huge = {"form": "dense", "dtype": "F32", "shape": [40_000, 40_000], "bytes": 9}
    tensors = {**values.coding["tensors"], "huge": huge}
    raw = load_file(coded)["coded"].numpy().tobytes() + bytes.fromhex("010000000000000000")
    written(coded, card={"tensors": tensors}, stored=raw)
    refused(coded, "its coded tensors would need 6,401 MB, more than the 2,000 MB allowed; set `FOVEA_WEIGHTS_MB=6401`")
    monkeypatch.setenv("FOVEA_WEIGHTS_MB", "6401")
    refused(coded, "does not match its network. Unexpected: `huge`")


@pytest.mark.parametrize(
    "change",
    [
        *[{"stored": 1}, {"crc32": "x"}, {"tensors": []}, {"tensors": {"a": 1}}],
        *[{"tensors": {"a": {"form": "zip", "dtype": "F32", "shape": [1], "bytes": 1}}}],
        *[{"tensors": {"a": {"form": "dense", "dtype": "F99", "shape": [1], "bytes": 1}}}],
        *[{"tensors": {"a": {"form": "dense", "dtype": "F32", "shape": shape, "bytes": 1}}} for shape in (1, [-1])],
        *[
            {"tensors": {"a": {"form": "dense", "dtype": "F32", "shape": shape, "bytes": 1}}}
            for shape in ([1.5], [True])
        ],
        *[{"tensors": {"a": {"form": "dense", "dtype": "F32", "shape": [1 << 30] * n, "bytes": 1}}} for n in (2, 9)],
        *[{"tensors": {"a": {"form": "dense", "dtype": "F32", "shape": [1], "bytes": -1}}}],
    ],
)
def test_a_coding_that_is_none_is_refused(saved, change):
    refused(written(saved[1], card=change), "the card's `coding`")


def test_a_coding_that_contradicts_the_file_is_refused(saved, make_card):
    _, coded = saved
    tensors = load_file(coded)
    whole = coded.read_bytes()
    refused(written(coded, card={"stored": "other"}), "has no .* bytes of coded tensors")
    coded.write_bytes(whole)
    refused(
        written(coded, tensors={**tensors, "coded": tensors["coded"].repeat(2)}), "has no .* bytes of coded tensors"
    )
    coded.write_bytes(whole)
    refused(written(coded, tensors={**tensors, "coded": tensors["coded"].view(torch.int8)}), "is damaged: it has no")
    coded.write_bytes(whole)
    twice = {**tensors, "stage1.dense.weight": torch.zeros(200, 48)}
    refused(written(coded, tensors=twice), "both coded and plain: `stage1.dense.weight`")
    with pytest.raises(BundleError, match="has format 2, and `coding` needs format 3"):
        Card.from_dict(make_card(format=2, coding={"stored": "x"}), source="x")


@pytest.mark.parametrize("seed", range(30))
def test_a_changed_byte_anywhere_is_noticed(saved, seed):
    _, coded = saved
    raw = bytearray(coded.read_bytes())
    generator = np.random.default_rng(seed)
    length = load_file(coded)["coded"].numel()
    end = raw.find(load_file(coded)["coded"].numpy().tobytes())
    raw[end + int(generator.integers(length))] ^= int(generator.integers(1, 256))
    coded.write_bytes(raw)
    refused(coded, "`coded.safetensors` is damaged: its coded tensors are damaged .checksum.")


@pytest.mark.parametrize("seed", range(60))
def test_bytes_that_were_changed_on_purpose_never_escape_as_another_error(saved, seed):
    _, coded = saved
    raw = bytearray(load_file(coded)["coded"].numpy().tobytes())
    generator = np.random.default_rng(seed)
    for _ in range(1 + seed % 3):
        raw[int(generator.integers(len(raw) if seed % 2 else 60))] = int(generator.integers(256))
    try:
        load(written(coded, stored=bytes(raw)))
    except FoveaError as error:
        assert isinstance(error, BundleError) and "\n" not in str(error)


def test_a_card_with_a_coding_survives_a_change(saved):
    card = read_header(saved[1]).card
    assert Card.parse(card.text("x"), "x") == card
    assert replace(card, coding={}).coding == {} and card.uncoded().format == 1


def test_each_type_of_safetensors_is_coded_or_left_as_it_is(tmp_path):
    from fovea.compression.coding.tensors import decode, encode

    tensors = {name: torch.zeros(4000, dtype=torch.uint8).view(dtype) for name, dtype in DTYPES.items()}
    tensors["C128"] = torch.zeros(500, dtype=torch.complex128)
    stored, coding = encode(tensors)
    assert set(stored) == {"C128", "coded"} and coding.decoded_bytes == 4000 * len(DTYPES)
    back = decode(stored, coding)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype and torch.equal(back[name].view(torch.uint8), tensor.view(torch.uint8))
