"""Public functions of arrays say in their docstrings what code does not: shape, and dtype or range."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import fovea

ROOT = Path(fovea.__file__).parent

ARRAYS = {"Tensor", "NDArray", "ndarray"} | {
    *("Array", "Batch", "Candidates", "Floats", "Hits", "Images", "Labels", "Mixed", "Outputs", "Pixels"),
}
"""The types of arrays, and the project's aliases of them."""

SHAPE = re.compile(
    r"\((?=[^()]*(\b[A-Z]\b|\b[A-Z]_|\*\w))[\w*/ ]+,[\w*/., ]*\)"  # (N, C, H, W), (N,), (C_out, *sizes)
    r"|\(\w+,\)|one number"  # (classes,), a scalar
    r"|\b(any|one|same|its) shape\b|\bshapes? (as|of)\b"
)
KIND = re.compile(
    r"\bu?int(8|16|32|64)\b|\bfloat(16|32|64)?\b|\bbool\b|dtype|number type|integers?\b|indices|logits|probabilit"
    r"|\b0(\.\.| to )(1|255)\b|-1(\.\.| to )1\b|\[0, 1\)"
)
"""What a reader looks for: a shape; a dtype, a range, or a word that implies one."""


class Function(NamedTuple):
    """A public function or method of arrays, and all that its reader is told."""

    where: str
    docs: str
    """Its own docstring, that of its class and that of its module: a sentence there covers all below it."""

    @property
    def says_all(self) -> bool:
        return bool(SHAPE.search(self.docs) and KIND.search(self.docs))


def functions_of(source: str, name: str) -> Iterator[Function]:
    """Yield the public functions of a module, and the public methods of its public classes, that handle arrays."""
    module = ast.parse(source)
    classes = [node for node in module.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    for home in (module, *classes):
        above = [ast.get_docstring(node) or "" for node in dict.fromkeys((module, home))]
        for node in home.body:
            if isinstance(node, ast.FunctionDef) and is_public(node) and handles_arrays(node):
                docs = "\n".join((*above, ast.get_docstring(node) or ""))
                yield Function(f"{name}:{node.lineno} {node.name}", docs)


def is_public(function: ast.FunctionDef) -> bool:
    return not function.name.startswith("_") and function.name != "forward"


def handles_arrays(function: ast.FunctionDef) -> bool:
    arguments = [node.annotation for node in ast.walk(function.args) if isinstance(node, ast.arg)]
    annotations = [function.returns, *arguments]
    return any(ARRAYS.intersection(re.findall(r"\w+", _type_of(node))) for node in annotations if node)


def _type_of(annotation: ast.expr) -> str:
    """Return an annotation without what the command line adds to it, whose help is prose."""
    return re.sub(r"typer\.\w+\(.*\)", "", ast.unparse(annotation))


def all_functions() -> Iterator[Function]:
    for path in sorted(ROOT.rglob("*.py")):
        yield from functions_of(path.read_text(encoding="utf-8"), path.relative_to(ROOT.parent).as_posix())


def offenders_in(source: str) -> list[str]:
    return [function.where for function in functions_of(source, "module.py") if not function.says_all]


def test_shape_and_kind_are_both_wanted():
    source = """
def neither(x: Tensor) -> Tensor:
    "Return it turned."
def shape(x: Tensor) -> Tensor:
    "Return (N, C, H, W) turned."
def kind(x: "NDArray[np.uint8]") -> int:
    "Return how many of uint8 are 255."
def both(x: np.ndarray) -> Array:
    "Return (N, C_out, *sizes), float64, turned."
def undocumented(**options: Pixels): ...
def of_no_array(x: int) -> str: ...
def _private(x: Tensor) -> Tensor: ...
"""
    assert offenders_in(source) == [
        f"module.py:{line}" for line in ("2 neither", "4 shape", "6 kind", "10 undocumented")
    ]


def test_a_sentence_of_the_module_or_the_class_covers_what_is_below_it():
    source = '''
"""Images are (N, H, W, C)."""
def blurred(images: Pixels) -> Pixels:
    "Return uint8 0..255."
class Likeness:
    "Descriptors are float32."
    def between(self, a: Floats) -> Floats: ...
class Scale:
    def between(self, a: Floats) -> Floats: ...
class _Cells:
    def hits(self, a: Floats) -> Floats: ...
'''
    assert offenders_in(source) == ["module.py:9 between"]


@pytest.mark.parametrize(
    "text", ["(variance + eps)", "(Krizhevsky 2009)", "(LeCun, Cortes, Burges 1998)", "f(x), g(y)", "(C / groups)"]
)
def test_not_all_in_brackets_is_a_shape(text):
    assert not SHAPE.search(text)


def test_public_functions_of_arrays_name_shape_and_dtype_or_range():
    offenders = [f.where for f in all_functions() if not f.says_all]
    assert not offenders, "no shape, or neither dtype nor range:\n" + "\n".join(offenders)
