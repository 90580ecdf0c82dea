"""The floors of the package, and what it may not use, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fovea

ROOT = Path(fovea.__file__).parent

FLOORS = (
    (
        "errors",
        "budget",
        "files",
        "shapes",
        "storage",
        "texts",
        "notebook",
        "fields",
        "signatures",
        "commands",
        "decoding",
        "course",
    ),
    (
        "layers",
        "wiring",
        "registry",
        "hooks",
        "reference",
        "preprocess",
        "metrics",
        "devices",
        "custom",
        "display",
        "drift",
        "instances",
    ),
    ("inputs", "tasks"),
    ("card",),
    ("runtime", "tensor_file"),
    ("zoo", "measurement", "data"),
    ("training", "retrieval"),
    ("explanation", "compression"),
    ("model",),
    ("evaluation",),
    ("plans", "exporting", "report", "drawing"),
    ("runs", "serving"),
    ("jobs",),
    ("studio",),
    ("cli",),
    ("__main__",),
)
"""Each module imports from floors before its own only. Siblings inside one package are one unit."""

FAILING = ("budget", "files", "notebook", "shapes", "storage", "texts")
SAME_FLOOR = {(unit, "errors") for unit in FAILING} | {("wiring", "layers"), ("notebook", "texts")}
"""Pairs (from, to) of one floor that are allowed: all may fail, wiring is of layers, and a notebook shows text."""

WITHOUT_ZOO = ("training", "retrieval", "explanation", "compression")
"""Tools that take any network, and so know none."""

FORBIDDEN = {"torchvision", "timm", "fastai", "captum", "torchcodec", "ultralytics"}
ONLY = {
    "errors": set(),
    "budget": set(),
    "files": set(),
    "shapes": set(),
    "storage": set(),
    "fields": set(),
    "texts": set(),
    "notebook": {"pandas"},  # late, where a data frame is asked for
    "signatures": set(),
    "commands": set(),
    "course": set(),
    "card": set(),
    "decoding": {"numpy"},
    "reference": {"numpy", "scipy"},
    "preprocess": {"numpy", "PIL", "tifffile"},  # tifffile for large images alone, late
    "drift": {"numpy"},
    "instances": {"numpy", "scipy"},
    "runtime": {"numpy", "PIL", "onnxruntime", "torch"},  # PyTorch for figures alone, late
}
"""Units that work without the engine: the libraries beside the standard one that they may import."""

LATE = {"inputs", "tasks", "runtime"}
"""Units whose kinds are asked before there is an engine: they import `ENGINES` where they need them only."""
ENGINES = {"torch", "scipy", "sklearn"}
LOSSES = {f"tasks/criteria/{path.name}" for path in (ROOT / "tasks/criteria").glob("*.py")}
AT_ONCE = {"inputs/normaliser.py", "tasks/imitation.py", "tasks/temperature.py", *LOSSES}
"""Modules of these units that are imported late themselves."""

STANDARD = sys.stdlib_module_names
FLOOR_OF = {unit: floor for floor, units in enumerate(FLOORS) for unit in units}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def unit_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """Yield the dotted names that a module imports, wherever in it; `from a import b` gives `a.b`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_import(tree):
    """Yield the nodes of a module that run when it is imported: no bodies of functions, nothing for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from at_import(node)


def engines_at_import(source):
    """Return the `ENGINES` that a module's import brings in."""
    found = set()
    for node in at_import(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return sorted(found & ENGINES)


def faults(source, unit, names):
    """Yield what is wrong with the imports `names` of a module of `unit`."""
    for name in names:
        top, _, rest = name.partition(".")
        if top in FORBIDDEN:
            yield f"{source} imports {top}, which the package does without"
        elif top == "fovea" and rest:
            yield from _fovea_faults(source, unit, rest.partition(".")[0])
        elif top != "fovea" and unit in ONLY and top not in STANDARD and top not in ONLY[unit]:
            yield f"{source} imports {top}; {unit} may import {sorted(ONLY[unit])}"


def _fovea_faults(source, unit, target):
    if target == unit or (unit, target) in SAME_FLOOR:
        return
    if target not in FLOOR_OF:
        yield f"{source} imports fovea.{target}, which stands on no floor"
    elif FLOOR_OF[target] >= FLOOR_OF[unit]:
        yield f"{source} (floor {FLOOR_OF[unit]}) imports fovea.{target} (floor {FLOOR_OF[target]})"
    elif target == "zoo" and unit in WITHOUT_ZOO:
        yield f"{source} imports the zoo, but takes any network"
    elif unit == "reference":
        yield f"{source} imports fovea.{target}, but is the oracle"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_from_lower_floors_only(path):
    assert unit_of(path) in FLOOR_OF, f"{path.name} stands on no floor; add it to FLOORS"
    assert list(faults(path.relative_to(ROOT), unit_of(path), imported(path))) == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_facade_serves_modules_with_its_version_only(path):
    tree = ast.parse(path.read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fovea"
    }
    assert used <= {"__version__"}


@pytest.mark.parametrize(
    ("unit", "name", "fault"),
    [
        ("training", "fovea.jobs.train", "floor 12"),
        ("training", "fovea.zoo", "takes any network"),
        ("training", "fovea.retrieval", "floor 6"),
        ("training", "fovea.training.optim", None),
        ("training", "fovea.data.cache.decoded", None),
        ("zoo", "torchvision.models", "does without"),
        ("preprocess", "torch.nn", "may import ['PIL', 'numpy'"),
        ("preprocess", "pathlib.Path", None),
        ("jobs", "fovea.utils", "no floor"),
        ("evaluation", "fovea.model.predictor", None),
        ("model", "fovea.evaluation.outcome", "floor 9"),
        ("card", "torch", "may import []"),
    ],
)
def test_the_rules_catch_what_they_are_for(unit, name, fault):
    found = list(faults("x", unit, [name]))
    assert len(found) == (fault is not None)
    assert fault is None or fault in found[0]


def test_cards_tasks_and_inputs_are_read_without_the_engine():
    modules = "card, model.container, tasks.classes, tasks.number, inputs.images, inputs.views".split(", ")
    code = f"import sys; {'; '.join(f'import fovea.{module}' for module in modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("path", [path for path in MODULES if unit_of(path) in LATE], ids=name_of)
def test_kinds_can_be_asked_without_the_engine(path):
    assert name_of(path) in AT_ONCE or engines_at_import(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import torch", ["torch"]),
        ("from scipy.optimize import brent", ["scipy"]),
        ("try:\n    import sklearn\nexcept ImportError: ...", ["sklearn"]),
        ("class Kind:\n    import torch", ["torch"]),
        ("import numpy", []),
        ("def late():\n    import torch", []),
        ("if TYPE_CHECKING:\n    from torch import Tensor", []),
        ("class Kind:\n    def late(self):\n        from torch import Tensor", []),
    ],
)
def test_an_engine_is_found_where_importing_brings_it_in(source, found):
    assert engines_at_import(source) == found


# what a target is, only its kind knows


def switches(source):
    """Yield what in a module decides by the kind of target itself, where it should ask the task."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            if "task" in map(last_name, (node.left, *node.comparators)):
                yield f"line {node.lineno} compares a task"
        elif isinstance(node, ast.Constant) and node.value == "number":
            yield f"line {node.lineno} names the kind `number`"
        elif isinstance(node, ast.Call) and last_name(node.func) == "is_floating_point":
            yield f"line {node.lineno} tells labels by their type"
        elif "classes" in map(last_name, conditions(node)):
            yield f"line {conditions(node)[0].lineno} asks whether there are classes"


def conditions(node):
    """Return the expressions of which a node asks whether they are true."""
    match node:
        case ast.If() | ast.IfExp() | ast.While() | ast.Assert():
            return [node.test]
        case ast.BoolOp():
            return node.values
        case ast.UnaryOp(op=ast.Not()):
            return [node.operand]
        case ast.comprehension():
            return node.ifs
        case ast.Call(func=ast.Name(id="bool")):
            return node.args
    return []


def last_name(node):
    """Return `c` of `c` and of `a.b.c`."""
    return getattr(node, "attr", None) or getattr(node, "id", None)


@pytest.mark.parametrize("path", [path for path in MODULES if unit_of(path) != "tasks"], ids=name_of)
def test_which_kind_of_target_there_is_is_asked_of_the_task(path):
    found = switches(path.read_text())
    if unit_of(path) == "measurement":  # weights are told by their type there
        found = (fault for fault in found if "tells labels" not in fault)
    assert list(found) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        *[(f"{test}: ...", "compares a task") for test in ("if task == 'x'", "while 'x' != a.task", "if x.task != y")],
        *[(code, "names the kind") for code in ("f('number')", "def f(x='number'): ...", "{'number': 1}")],
        *[(code, "by their type") for code in ("labels.is_floating_point()", "torch.is_floating_point(x)")],
        *[(f"if {test}: ...", "are classes") for test in ("classes", "data.classes", "(x.classes)")],
        *[(code, "are classes") for code in ("not classes", "not a.b.classes", "1 if classes else 2", "bool(classes)")],
        *[(code, "are classes") for code in ("a and x.classes", "x.classes or a", "[x for x in y if a.classes]")],
        *[
            (code, None)
            for code in ("if task in names(): ...", "task = kind.name", "f(task=task)", "if tasks == 1: ...")
        ],
        *[(code, None) for code in ("if kind.has_classes: ...", "if len(classes) < 2: ...", "for x in classes: ...")],
        *[(code, None) for code in ("'a number'", "number == 1", "x.dtype.is_floating_point_")],
    ],
)
def test_the_rule_catches_each_of_the_five_dialects(source, fault):
    found = list(switches(source))
    assert len(found) == (fault is not None)
    assert fault is None or fault in found[0]
