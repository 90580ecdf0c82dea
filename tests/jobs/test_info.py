"""The card of a model file, and how much it describes."""

import json

import pytest
from safetensors.torch import load_file, save_file

from fovea.errors import BundleError
from fovea.jobs.info import info
from fovea.model.container import read_card


def test_info_is_the_card_and_two_sizes(make_bundle, make_card):
    path = make_bundle()
    result = info(path)
    assert result.card == make_card()
    assert result.values == 3 * 48 + 3 + 3 * 3 + 3
    assert result.bytes == path.stat().st_size
    assert json.loads(json.dumps(result.to_dict())) == {"card": make_card(), "values": 159, "bytes": result.bytes}


def test_a_custom_network_is_described_without_its_code(make_bundle):
    assert info(make_bundle(architecture="custom")).card["architecture"] == "custom"


def test_what_load_refuses_info_refuses(tmp_path):
    (tmp_path / "x").write_bytes(b"\x80\x04 no model")
    with pytest.raises(BundleError, match="never unpickled"):
        info(tmp_path / "x")


def test_a_card_is_shown_even_where_its_preprocessing_cannot_be_used(make_bundle, make_card):
    path = make_bundle()
    card = make_card(preprocess={"size": [4, 4]})
    save_file(load_file(path), path, metadata={"fovea": json.dumps(card)})
    assert info(path).card == card
    with pytest.raises(BundleError, match="its preprocessing cannot be used"):
        read_card(path)
