"""The wire format of Protocol Buffers, read strictly: fields that are not expected here are refused.

A parser that is more lenient may see another message in the same bytes; what is refused here never reaches it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fovea.errors import BundleError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_FIELDS = 500_000
"""Of one file; a network of a thousand layers has about fifty thousand."""
MAX_REPEATED = 100_000
"""Of one kind in one message."""
LARGEST = 2**64 - 1


class Field(NamedTuple):
    """One field of a message that is known."""

    name: str
    wire: int = BYTES
    repeated: bool = False
    packed: bool = False
    """Whether it holds numbers, which may stand one by one or several in one piece."""


Spec = Mapping[int, Field]
"""The fields of a message by their numbers."""


class Reader:
    """Reads the messages of one file, and counts what it has read."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._left = MAX_FIELDS

    def fault(self, reason: str) -> BundleError:
        """Return the error of a file that is not as it should be."""
        return BundleError(f"`{self.source}` cannot be used: {reason}.")

    def message(self, data: memoryview, spec: Spec, what: str) -> dict[str, Any]:
        """Return the fields of a message by name: whole numbers, or memoryviews; lists of them where they repeat.

        Raises: BundleError for a field that `spec` does not know, or that stands twice where it may not.
        """
        found: dict[str, Any] = {}
        position, end = 0, len(data)
        while position < end:
            self._left -= 1
            if self._left < 0:
                raise self.fault(f"it has more than {MAX_FIELDS:,} fields")
            tag, position = self._varint(data, position)
            field = spec.get(tag >> 3)
            wire = tag & 7
            if field is None or (wire != field.wire and not (field.packed and wire in (VARINT, BYTES, FIXED32))):
                raise self.fault(f"its {what} has a field that is not known here (number {tag >> 3}, kind {wire})")
            value, position = self._value(data, position, wire, what)
            if field.repeated:
                values = found.setdefault(field.name, [])
                values.extend(self._unpacked(value, field)) if field.packed and wire == BYTES else values.append(value)
                if len(values) > MAX_REPEATED:
                    raise self.fault(f"its {what} has more than {MAX_REPEATED:,} `{field.name}`")
            elif field.name in found:
                raise self.fault(f"its {what} has the field `{field.name}` twice")
            else:
                found[field.name] = value
        return found

    def text(self, data: memoryview | None) -> str:
        """Return a field as text, empty if it is not there; BundleError if it is no UTF-8."""
        try:
            return "" if data is None else str(data, "utf-8")
        except UnicodeDecodeError:
            raise self.fault("it has a name that is not text") from None

    def numbers(self, data: memoryview) -> list[int]:
        """Return the whole numbers that stand in one piece; negative ones as two's complement of 64 bits."""
        found, position = [], 0
        self._left -= len(data) // 4
        if self._left < 0:
            raise self.fault(f"it has more than {MAX_FIELDS:,} fields")
        while position < len(data):
            value, position = self._varint(data, position)
            found.append(signed(value))
        return found

    def _unpacked(self, data: memoryview, field: Field) -> list[Any]:
        if field.wire == VARINT:
            return self.numbers(data)
        if len(data) % 4:
            raise self.fault(f"its field `{field.name}` is damaged")
        self._left -= len(data) // 4
        if self._left < 0:
            raise self.fault(f"it has more than {MAX_FIELDS:,} fields")
        return [data[first : first + 4] for first in range(0, len(data), 4)]

    def _value(self, data: memoryview, position: int, wire: int, what: str) -> tuple[Any, int]:
        if wire == VARINT:
            value, position = self._varint(data, position)
            return signed(value), position
        length = {FIXED64: 8, FIXED32: 4}.get(wire, -1)
        if length < 0:
            length, position = self._varint(data, position)
        if position + length > len(data):
            raise self.fault(f"it is truncated or damaged (in its {what})")
        return data[position : position + length], position + length

    def _varint(self, data: memoryview, position: int) -> tuple[int, int]:
        value = shift = 0
        try:
            while True:
                byte = data[position]
                position += 1
                value |= (byte & 127) << shift
                if byte < 128:
                    break
                shift += 7
                if shift > 63:
                    raise self.fault("it is damaged: it has a number of more than 64 bits")
        except IndexError:
            raise self.fault("it is truncated or damaged") from None
        if value > LARGEST:
            raise self.fault("it is damaged: it has a number of more than 64 bits")
        return value, position


def signed(value: int) -> int:
    """Return an unsigned number of 64 bits as the signed one of the same bits."""
    return value - 2**64 if value >> 63 else value
