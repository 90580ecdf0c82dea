"""Class names from files, distinct and in the order of the outputs."""

import json

import pytest

from fovea.data.sources.class_names import read_class_names
from fovea.errors import DataError, NotFoundError


@pytest.mark.parametrize("value", [["tench", "crane"], {"1": "crane", "0": "tench"}])
def test_json_gives_names_in_index_order(tmp_path, value):
    (tmp_path / "names.json").write_text(json.dumps(value))
    assert read_class_names(tmp_path / "names.json") == (("tench", "crane"), ())


def test_pairs_give_ids_and_equal_names_are_told_apart_by_them(tmp_path):
    (tmp_path / "names.json").write_text(json.dumps([["n1", "crane"], ["n2", "tench"], ["n3", "crane"]]))
    assert read_class_names(tmp_path / "names.json") == (("crane (n1)", "tench", "crane (n3)"), ("n1", "n2", "n3"))


def test_a_text_file_has_a_name_per_line(tmp_path):
    (tmp_path / "names.txt").write_text("tench\ngreat white shark\ntench\n")
    assert read_class_names(tmp_path / "names.txt").names == ("tench (0)", "great white shark", "tench (2)")


@pytest.mark.parametrize("value", ["[1, 2]", '[["n1", "a", "b"]]', "[]", '{"a": "b"}', "{", "3"])
def test_another_form_is_refused(tmp_path, value):
    (tmp_path / "names.json").write_text(value)
    with pytest.raises(DataError, match="names.json` (must contain names|cannot be read as class names)"):
        read_class_names(tmp_path / "names.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotFoundError, match="There is no file `.*gone.txt`"):
        read_class_names(tmp_path / "gone.txt")
