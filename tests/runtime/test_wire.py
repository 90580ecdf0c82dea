import pytest

from fovea.errors import BundleError
from fovea.runtime import wire
from fovea.runtime.wire import FIXED32, VARINT, Field, Reader

SPEC = {
    1: Field("name"),
    2: Field("count", VARINT),
    3: Field("parts", repeated=True),
    4: Field("lengths", VARINT, repeated=True, packed=True),
    5: Field("share", FIXED32),
}


def read(data):
    return Reader("x.onnx").message(memoryview(data), SPEC, "thing")


def test_a_message_worked_by_hand():
    # field 1, of bytes: 1 << 3 | 2; field 2, a number: 2 << 3; 300 is 0b10_0101100
    found = read(b"\x0a\x03cat\x10\xac\x02")
    assert bytes(found["name"]) == b"cat" and found["count"] == 300


def test_a_number_below_0_has_ten_bytes():
    assert read(b"\x10" + b"\xff" * 9 + b"\x01") == {"count": -1}


def test_numbers_stand_one_by_one_or_in_one_piece():
    assert read(b"\x20\x05\x20\x06") == read(b"\x22\x02\x05\x06") == {"lengths": [5, 6]}


def test_what_repeats_is_a_list():
    assert [bytes(part) for part in read(b"\x1a\x01a\x1a\x00")["parts"]] == [b"a", b""]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x10\x01\x10\x02", "`count` twice"),
        (b"\x0a\x01a\x0a\x01b", "`name` twice"),
        (b"\x32\x00", "not known here \\(number 6, kind 2\\)"),
        (b"\x08\x01", "not known here \\(number 1, kind 0\\)"),
        (b"\x0b\x0c", "kind 3"),
        (b"\x0a\x05cat", "truncated or damaged"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "truncated or damaged"),
        (b"\x10", "truncated or damaged"),
        (b"\x10\x80", "truncated or damaged"),
        (b"\x10" + b"\xff" * 10 + b"\x01", "more than 64 bits"),
        (b"\x10" + b"\xff" * 9 + b"\x02", "more than 64 bits"),
        (b"\x2d\x00\x00", "truncated or damaged"),
        (b"\x00\x00", "not known here"),
    ],
)
def test_another_message_is_refused(data, reason):
    with pytest.raises(BundleError, match=f"`x.onnx` cannot be used: .*{reason}"):
        read(data)


def test_the_number_of_fields_is_bounded(monkeypatch):
    monkeypatch.setattr(wire, "MAX_FIELDS", 10)
    for many in (b"\x1a\x00" * 11, b"\x22\x30" + b"\x01" * 48):
        with pytest.raises(BundleError, match="more than 10 fields"):
            read(many)


def test_what_repeats_is_bounded(monkeypatch):
    monkeypatch.setattr(wire, "MAX_REPEATED", 3)
    for many in (b"\x1a\x00" * 4, b"\x22\x04" + b"\x01" * 4):
        with pytest.raises(BundleError, match="its thing has more than 3 `"):
            read(many)


def test_a_name_must_be_text():
    with pytest.raises(BundleError, match="a name that is not text"):
        Reader("x.onnx").text(memoryview(b"\xff"))
