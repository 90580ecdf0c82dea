"""The floors of the package, and what it may not use, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fovea

ROOT = Path(fovea.__file__).parent

FLOORS = (
    ("errors", "shapes", "storage", "texts", "signatures", "commands"),
    ("layers", "registry", "hooks", "reference", "preprocess", "metrics", "devices", "custom", "display"),
    ("inputs", "tasks"),
    ("card",),
    ("runtime",),
    ("zoo", "measurement", "data"),
    ("training", "retrieval"),
    ("explanation", "compression"),
    ("model",),
    ("evaluation",),
    ("plans", "exporting", "report", "drawing"),
    ("runs", "serving"),
    ("jobs",),
    ("cli", "studio"),
    ("__main__",),
)
"""Each module imports from floors before its own only. Siblings inside one package are one unit."""

SAME_FLOOR = {("shapes", "errors"), ("storage", "errors"), ("texts", "errors")}
"""Pairs (from, to) of one floor that are allowed: all may fail."""

WITHOUT_ZOO = ("training", "retrieval", "explanation", "compression")
"""Tools that take any network, and so know none."""

FORBIDDEN = {"torchvision", "timm", "fastai", "captum", "torchcodec", "ultralytics"}
ONLY = {
    "errors": set(),
    "shapes": set(),
    "storage": set(),
    "texts": set(),
    "signatures": set(),
    "commands": set(),
    "card": set(),
    "reference": {"numpy", "scipy"},
    "preprocess": {"numpy", "PIL"},
    "runtime": {"numpy", "PIL", "onnxruntime"},
}
"""Units that work without the engine: the libraries beside the standard one that they may import."""

STANDARD = sys.stdlib_module_names
FLOOR_OF = {unit: floor for floor, units in enumerate(FLOORS) for unit in units}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_from_lower_floors_only(path):
    assert unit_of(path) in FLOOR_OF, f"{path.name} stands on no floor; add it to FLOORS"
    assert list(faults(path.relative_to(ROOT), unit_of(path), imported(path))) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
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
        ("preprocess", "torch.nn", "may import ['PIL', 'numpy']"),
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


def switches(tree, *, weights=False):
    """Yield the lines in which a syntax tree asks which kind of target it has, instead of asking the task.

    `weights`: `is_floating_point` may be asked, since it is asked of weights.
    """
    for node in ast.walk(tree):
        names = {getattr(part, "id", getattr(part, "attr", None)) for part in ast.walk(node)}
        if isinstance(node, ast.Constant) and node.value == "number":
            yield node.lineno
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            yield from [node.lineno] * any(_named(side, "task") for side in (node.left, *node.comparators))
        elif isinstance(node, ast.Call) and "is_floating_point" in names and not weights:
            yield from [node.lineno] * _named(node.func, "is_floating_point")
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield from [node.lineno] * _named(node.operand, "classes")
        elif isinstance(node, ast.If | ast.IfExp):
            yield from [node.lineno] * (isinstance(node.test, ast.Attribute) and _named(node.test, "classes"))


def _named(node, name):
    return getattr(node, "id", getattr(node, "attr", None)) == name


ASKING = [path for path in MODULES if unit_of(path) != "tasks"]


@pytest.mark.parametrize("path", ASKING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_which_kind_of_target_there_is_is_asked_of_the_task(path):
    found = set(switches(ast.parse(path.read_text()), weights=unit_of(path) == "measurement"))
    assert found == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("if dataset.task == 'classes': pass", True),
        ("x = task != other", True),
        ("kind = 'number'", True),
        ("labels.is_floating_point()", True),
        ("if not classes: pass", True),
        ("x = 1 if outcome.classes else 2", True),
        ("x = kind(dataset.task).metric", False),
        ("'a number of images'", False),
    ],
)
def test_the_rule_catches_each_of_the_five_dialects(source, found):
    assert bool(set(switches(ast.parse(source)))) is found
