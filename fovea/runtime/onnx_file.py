"""What an `.onnx` file holds, read here before onnxruntime sees it: the graph, its tensors, the metadata.

Message and field numbers: onnx.proto of ONNX, IR version 3 to 13. Whatever Fovea does not write is refused while it is
read: graphs within nodes, functions, training, sparse tensors, and tensors that lie in other files. Values of tensors
are arrays of any shape, in their dtype.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.errors import shortened
from fovea.runtime.wire import FIXED32, VARINT, Field, Reader

MAX_NODES, MAX_TENSORS, MAX_VALUES = 10_000, 20_000, 80_000
MAX_AXES = 8
MAX_METADATA, MAX_TEXT_BYTES = 64, 8_000_000
DEFAULT_DOMAIN = "ai.onnx"
"""As good as no domain."""

FLOAT, UINT8, INT8, INT32, INT64, BOOL, FLOAT16 = 1, 2, 3, 6, 7, 9, 10
DTYPES = {
    **{FLOAT: "float32", UINT8: "uint8", INT8: "int8", 4: "uint16", 5: "int16", INT32: "int32", INT64: "int64"},
    **{BOOL: "bool", FLOAT16: "float16", 11: "float64", 12: "uint32", 13: "uint64"},
}
"""NumPy's names of the types of tensors that are read."""
_HELD = {
    "float_data": {"float32"},
    "int32_data": {"int32", "int16", "int8", "uint16", "uint8", "bool", "float16"},
    "int64_data": {"int64"},
    "double_data": {"float64"},
    "uint64_data": {"uint32", "uint64"},
}
"""Which types stand in which field, where they do not stand in `raw_data`."""

_ENTRY = {1: Field("key"), 2: Field("value")}
_OPSET = {1: Field("domain"), 2: Field("version", VARINT)}
_MODEL = {
    **{1: Field("ir_version", VARINT), 2: Field("producer"), 3: Field("producer_version"), 4: Field("domain")},
    **{5: Field("version", VARINT), 6: Field("doc"), 7: Field("graph"), 8: Field("opsets", repeated=True)},
    **{14: Field("metadata", repeated=True), 20: Field("training", repeated=True)},
    **{25: Field("functions", repeated=True)},
}
_GRAPH = {
    **{1: Field("nodes", repeated=True), 2: Field("name"), 5: Field("tensors", repeated=True), 10: Field("doc")},
    **{11: Field("inputs", repeated=True), 12: Field("outputs", repeated=True), 13: Field("infos", repeated=True)},
    **{14: Field("quantisation", repeated=True), 15: Field("sparse", repeated=True)},
    **{16: Field("metadata", repeated=True)},
}
_NODE = {
    **{1: Field("inputs", repeated=True), 2: Field("outputs", repeated=True), 3: Field("name"), 4: Field("operator")},
    **{5: Field("attributes", repeated=True), 6: Field("doc"), 7: Field("domain"), 8: Field("overload")},
    **{9: Field("metadata", repeated=True)},
}
_ATTRIBUTE = {
    **{1: Field("name"), 2: Field("f", FIXED32), 3: Field("i", VARINT), 4: Field("s"), 5: Field("t")},
    **{6: Field("g"), 7: Field("floats", FIXED32, repeated=True, packed=True)},
    **{8: Field("ints", VARINT, repeated=True, packed=True), 11: Field("graphs", repeated=True)},
    **{9: Field("strings", repeated=True), 13: Field("doc"), 20: Field("type", VARINT), 21: Field("reference")},
}
_TENSOR = {
    **{1: Field("dims", VARINT, repeated=True, packed=True), 2: Field("type", VARINT), 4: Field("float_data")},
    **{5: Field("int32_data"), 7: Field("int64_data"), 8: Field("name"), 9: Field("raw_data"), 12: Field("doc")},
    **{10: Field("double_data"), 11: Field("uint64_data"), 13: Field("external", repeated=True)},
    **{14: Field("location", VARINT), 16: Field("metadata", repeated=True)},
}
_VALUE = {1: Field("name"), 2: Field("type"), 3: Field("doc"), 4: Field("metadata", repeated=True)}
_TYPE = {1: Field("tensor"), 6: Field("denotation")}
_TENSOR_TYPE = {1: Field("type", VARINT), 2: Field("shape")}
_SHAPE = {1: Field("dims", repeated=True)}
_DIM = {1: Field("length", VARINT), 2: Field("name"), 3: Field("denotation")}


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """A tensor whose values stand in the file."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    held: memoryview
    """The bytes of its values."""
    place: str
    """The field that holds them."""

    @property
    def size(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    @cached_property
    def values(self) -> NDArray[Any]:
        """The values; of a small tensor, as numbers may be read one by one."""
        if self.place == "raw_data" or self.place in ("float_data", "double_data"):
            return np.frombuffer(self.held, np.dtype(self.dtype).newbyteorder("<")).reshape(self.shape)
        numbers = Reader(self.name).numbers(self.held)
        if self.dtype == "float16":
            return np.array(numbers).astype(np.uint16).view(np.float16).reshape(self.shape)
        return np.array(numbers).astype(self.dtype).reshape(self.shape)


@dataclass(frozen=True, kw_only=True)
class Value:
    """An input or output of the graph."""

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None
    """Lengths, or the names of those that are open (empty if they have none); None if nothing is said."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operation."""

    operator: str
    domain: str
    inputs: tuple[str, ...]
    """Empty names stand for inputs that are left out."""
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    """Whole numbers, floats, texts (as bytes), tuples of them, or a `StoredTensor`."""
    name: str = ""

    @property
    def place(self) -> str:
        """How a message names it."""
        return f"`{self.operator}`" + (f" (`{shortened(self.name)}`)" if self.name else "")


@dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """An `.onnx` file as far as it concerns what onnxruntime would do with it."""

    source: str
    ir_version: int
    opsets: dict[str, int]
    """The version of each domain of operators."""
    metadata: dict[str, str]
    nodes: tuple[Node, ...]
    tensors: dict[str, StoredTensor]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    infos: tuple[Value, ...] = field(default=())
    """What the file says of values between."""

    @property
    def values(self) -> int:
        """Numbers stored in its tensors."""
        return sum(tensor.size for tensor in self.tensors.values())


def read_onnx(content: bytes, source: str) -> OnnxFile:
    """Return what the bytes of an `.onnx` file hold; `source` names the file in messages.

    Raises: BundleError for what is damaged, or holds what Fovea does not write.
    """
    reader = Reader(source)
    return _Parser(reader).model(memoryview(content))


class _Parser:
    """Makes objects of the messages of one file."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def model(self, data: memoryview) -> OnnxFile:
        found = self.reader.message(data, _MODEL, "model")
        for name, what in (("training", "training steps"), ("functions", "functions of its own")):
            if name in found:
                raise self.reader.fault(f"it contains {what}, which Fovea does not write")
        if "graph" not in found or "ir_version" not in found:
            raise self.reader.fault("it has no graph or no version, so it is not an ONNX file")
        graph = self.reader.message(found["graph"], _GRAPH, "graph")
        self._check_graph(graph)
        return OnnxFile(
            source=self.reader.source,
            ir_version=found["ir_version"],
            opsets=self._opsets(found.get("opsets", [])),
            metadata=self._entries(found.get("metadata", []), "metadata"),
            nodes=tuple(self._node(node) for node in graph.get("nodes", [])),
            tensors=self._tensors(graph.get("tensors", [])),
            inputs=self._values(graph.get("inputs", [])),
            outputs=self._values(graph.get("outputs", [])),
            infos=self._values(graph.get("infos", [])),
        )

    def _check_graph(self, graph: dict[str, Any]) -> None:
        for name, what in (("sparse", "sparse tensors"), ("quantisation", "annotations of quantisation")):
            if name in graph:
                raise self.reader.fault(f"it contains {what}, which Fovea does not write")
        for name, most in (("nodes", MAX_NODES), ("tensors", MAX_TENSORS), ("infos", MAX_VALUES)):
            if len(graph.get(name, ())) > most:
                raise self.reader.fault(f"its graph has {len(graph[name]):,} {name}; the limit is {most:,}")

    def _opsets(self, given: list[memoryview]) -> dict[str, int]:
        found: dict[str, int] = {}
        for data in given:
            opset = self.reader.message(data, _OPSET, "list of operator sets")
            domain = _domain(self.reader.text(opset.get("domain")))
            if domain in found:
                raise self.reader.fault(f"it names the operators of `{shortened(domain)}` twice")
            found[domain] = opset.get("version", 0)
        return found

    def _entries(self, given: list[memoryview], what: str) -> dict[str, str]:
        if len(given) > MAX_METADATA:
            raise self.reader.fault(f"its {what} has {len(given):,} entries; the limit is {MAX_METADATA}")
        found: dict[str, str] = {}
        for data in given:
            entry = self.reader.message(data, _ENTRY, what)
            key = self.reader.text(entry.get("key"))
            if key in found:
                raise self.reader.fault(f"its {what} has the key `{shortened(key)}` twice")
            if len(entry.get("value", b"")) > MAX_TEXT_BYTES:
                raise self.reader.fault(f"its {what} has an entry of more than {MAX_TEXT_BYTES:,} bytes")
            found[key] = self.reader.text(entry.get("value"))
        return found

    def _node(self, data: memoryview) -> Node:
        found = self.reader.message(data, _NODE, "node")
        text = self.reader.text
        if "overload" in found and len(found["overload"]):
            raise self.reader.fault("it calls a function of its own, which Fovea does not write")
        attributes: dict[str, Any] = {}
        for given in found.get("attributes", []):
            name, value = self._attribute(given)
            if name in attributes:
                raise self.reader.fault(f"a node has the attribute `{shortened(name)}` twice")
            attributes[name] = value
        return Node(
            operator=text(found.get("operator")),
            domain=_domain(text(found.get("domain"))),
            inputs=tuple(map(text, found.get("inputs", []))),
            outputs=tuple(map(text, found.get("outputs", []))),
            attributes=attributes,
            name=text(found.get("name")),
        )

    def _attribute(self, data: memoryview) -> tuple[str, Any]:
        found = self.reader.message(data, _ATTRIBUTE, "attribute")
        name = self.reader.text(found.pop("name", None))
        if "g" in found or "graphs" in found:
            raise self.reader.fault(
                "a node contains a graph of its own (a loop or a condition), which Fovea does not write"
            )
        kind = found.pop("type", None)
        found.pop("doc", None)
        held = _KINDS.get(kind or 0)
        if held is None or found.keys() - {held}:
            raise self.reader.fault(f"the attribute `{shortened(name)}` of a node is damaged, or of an unknown kind")
        value = found.get(held, _ABSENT[held])
        return name, self._attribute_value(held, value)

    def _attribute_value(self, held: str, value: Any) -> Any:
        if held == "t":
            return self._tensor(value)
        if held == "f":
            return _float(value)
        if held == "floats":
            return tuple(map(_float, value))
        if held == "s":
            return bytes(value)
        if held == "strings":
            return tuple(map(bytes, value))
        return tuple(value) if held == "ints" else value

    def _tensors(self, given: list[memoryview]) -> dict[str, StoredTensor]:
        found: dict[str, StoredTensor] = {}
        for data in given:
            tensor = self._tensor(data)
            if not tensor.name or tensor.name in found:
                raise self.reader.fault(
                    f"two of its tensors have the name `{shortened(tensor.name)}`, or one has no name"
                )
            found[tensor.name] = tensor
        return found

    def _tensor(self, data: memoryview) -> StoredTensor:
        found = self.reader.message(data, _TENSOR, "tensor")
        name = self.reader.text(found.get("name"))
        called = f"its tensor `{shortened(name)}`"
        if "external" in found or found.get("location", 0):
            raise self.reader.fault(f"{called} is stored in another file, and a model must be one file")
        shape, dtype = tuple(found.get("dims", ())), DTYPES.get(found.get("type", 0))
        if dtype is None:
            raise self.reader.fault(f"{called} has an unsupported type (number {found.get('type', 0)})")
        if len(shape) > MAX_AXES or any(length < 0 for length in shape):
            raise self.reader.fault(f"{called} has {len(shape)} axes, or a length below 0")
        places = [place for place in ("raw_data", *_HELD) if place in found]
        if len(places) > 1 or (places and places[0] != "raw_data" and dtype not in _HELD[places[0]]):
            raise self.reader.fault(f"{called} stores its values twice, or in a field of another type")
        place = places[0] if places else "raw_data"
        held = found.get(place, memoryview(b""))
        needed, there = math.prod(shape), _count(held, place, dtype)
        if needed != there:
            raise self.reader.fault(f"{called} declares {needed:,} values but has {there:,}")
        return StoredTensor(name=name, shape=shape, dtype=dtype, held=held, place=place)

    def _values(self, given: list[memoryview]) -> tuple[Value, ...]:
        if len(given) > MAX_VALUES:
            raise self.reader.fault(f"it lists {len(given):,} values; the limit is {MAX_VALUES:,}")
        return tuple(map(self._one_value, given))

    def _one_value(self, data: memoryview) -> Value:
        found = self.reader.message(data, _VALUE, "value")
        kind = self.reader.message(found.get("type", memoryview(b"")), _TYPE, "type of a value")
        tensor = self.reader.message(kind.get("tensor", memoryview(b"")), _TENSOR_TYPE, "type of a value")
        name, dtype = self.reader.text(found.get("name")), DTYPES.get(tensor.get("type", 0))
        if dtype is None:
            raise self.reader.fault(f"its value `{shortened(name)}` is not a tensor, or has an unsupported type")
        if "shape" not in tensor:
            return Value(name=name, dtype=dtype, shape=None)
        shape = self.reader.message(tensor["shape"], _SHAPE, "shape of a value")
        dims = shape.get("dims", [])
        if len(dims) > MAX_AXES:
            raise self.reader.fault(f"its value `{shortened(name)}` has {len(dims)} axes; the limit is {MAX_AXES}")
        return Value(name=name, dtype=dtype, shape=tuple(map(self._dim, dims)))

    def _dim(self, data: memoryview) -> int | str:
        found = self.reader.message(data, _DIM, "shape of a value")
        if "length" in found and "name" in found:
            raise self.reader.fault("a length has both a number and a name")
        if "length" not in found:
            return self.reader.text(found.get("name"))
        length = int(found["length"])
        if length < 0:
            raise self.reader.fault("the shape of a value has a length below 0")
        return length


_KINDS = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
"""The field that holds the value of an attribute, by its type."""
_ABSENT: dict[str, Any] = {
    **{"f": memoryview(bytes(4)), "i": 0, "s": memoryview(b""), "t": memoryview(b"")},
    **{"floats": [], "ints": [], "strings": []},
}


def _domain(name: str) -> str:
    return "" if name == DEFAULT_DOMAIN else name


def _float(data: memoryview) -> float:
    return float(np.frombuffer(data, "<f4")[0])


def _count(held: memoryview, place: str, dtype: str) -> int:
    """Return how many values a field holds; -1 where its bytes end within one."""
    width = {"raw_data": np.dtype(dtype).itemsize, "float_data": 4, "double_data": 8}.get(place)
    if width is not None:
        return len(held) // width if len(held) % width == 0 else -1
    octets = np.frombuffer(held, np.uint8)
    if len(octets) and octets[-1] >= 128:
        return -1
    return int(np.count_nonzero(octets < 128))
