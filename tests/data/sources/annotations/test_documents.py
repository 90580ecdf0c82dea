"""Documents of strangers: what is read of them, and what is refused before it costs anything."""

import pytest

from fovea.data.sources.annotations import documents
from fovea.data.sources.annotations.documents import read_json, read_text, read_xml, yaml_names
from fovea.errors import DataError

BOMB = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'


def put(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_xml_is_read(tmp_path):
    root = read_xml(put(tmp_path, "<a x='1'><b>t\u00e9</b><b/></a>"))
    assert (root.tag, [each.text for each in root]) == ("a", ["t\u00e9", None])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, "declares a document type, which is not supported"),
        ('<!DOCTYPE a SYSTEM "http://a.org/b.dtd"><a/>', "declares a document type"),
        ("<a>" * 40 + "</a>" * 40, "nested deeper than 32 levels or has more than 200,000 elements"),
        ("<a>" + "<b/>" * 200_000 + "</a>", "nested deeper than 32 levels or has more than 200,000 elements"),
        ("<a><b></a>", "is not valid XML: mismatched tag"),
        ("", "is not valid XML: no element found"),
        ('<?xml version="1.0" encoding="no-such"?><a/>', "is not valid XML: unknown encoding"),
    ],
)
def test_xml_is_bounded(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_xml(put(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "is nested too deeply"),
        ("{", "is not valid JSON: Expecting property name"),
        ("[NaN]", "is not valid JSON: NaN is not a number"),
        ("[Infinity]", "is not valid JSON: Infinity is not a number"),
        ("[" + "1" * 5000 + "]", "is not valid JSON: Exceeds the limit"),
        (b"\xff\xfe\x00", "is not valid JSON"),
    ],
)
def test_json_is_bounded(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_json(put(tmp_path, content))


def test_a_large_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "LARGEST_XML", 1 << 20)
    with pytest.raises(DataError, match="is larger than the limit of 1 MiB; split it"):
        read_xml(put(tmp_path, " " * (2 << 20)))
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_xml(tmp_path / "none")
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read_text(put(tmp_path, b"\xff"))


@pytest.mark.parametrize(
    "content",
    [
        "train: ../a\nnames: ['red cell', \"b\", c] # three\nnc: 3\n",
        "names: [red cell,\n  b,\n  c]\n",
        "nc: 3\nnames:\n  - red cell\n  - 'b'\n  - c\nval: x\n",
        "names:\n- red cell\n- b\n- c\n",
        "names:\n  0: red cell\n  1: b\n  2: c\n",
        "names: {0: red cell, 1: b, 2: c}\n",
    ],
)
def test_names_in_yaml(tmp_path, content):
    assert yaml_names(put(tmp_path, content)) == ["red cell", "b", "c"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nc: 2\n", "has no `names`; list the classes there"),
        ("names: [a, b\n", "the list of `names` does not end"),
        ("names:\n  1: a\n  0: b\n", "must be a list, or a mapping with the indices 0, 1, 2"),
        ("names: []\n", r"`names` \(\) must contain at least one name"),
        ("names: [a, a]\n", r"`names` \(a, a\) must contain at least one name"),
    ],
)
def test_names_that_are_none(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        yaml_names(put(tmp_path, content))
