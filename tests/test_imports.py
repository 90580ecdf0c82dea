"""The floors of the package, and what it may not use, read from the source."""

import ast
import sys
from pathlib import Path

import pytest

import fovea

ROOT = Path(fovea.__file__).parent

FLOORS = (
    ("errors", "shapes", "storage", "texts"),
    ("layers", "registry", "hooks", "reference", "preprocess", "header", "runtime"),
    ("zoo", "measurement", "data", "keras"),
    ("training", "explanation", "compression", "retrieval"),
    ("recipes", "planning", "bundle", "weights", "report", "drawing"),
    ("serving", "exporting"),
    ("jobs", "studio"),
    ("cli",),
    ("__main__",),
)
"""Each module imports from floors before its own only. Siblings inside one package are one unit."""

SAME_FLOOR = {("shapes", "errors"), ("storage", "errors"), ("planning", "recipes")}
"""Pairs (from, to) of one floor that are allowed: all may fail, and planning chooses among recipes."""

WITHOUT_ZOO = FLOORS[3]
"""Tools that take any network, and so know none."""

FORBIDDEN = {"torchvision", "timm", "fastai", "captum", "torchcodec", "ultralytics"}
ONLY = {
    "errors": set(),
    "shapes": set(),
    "storage": set(),
    "texts": set(),
    "header": set(),
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
        ("training", "fovea.jobs.train", "floor 6"),
        ("training", "fovea.zoo", "takes any network"),
        ("training", "fovea.retrieval", "floor 3"),
        ("training", "fovea.training.optim", None),
        ("training", "fovea.data.cache.decoded", None),
        ("zoo", "torchvision.models", "does without"),
        ("preprocess", "torch.nn", "may import ['PIL', 'numpy']"),
        ("preprocess", "pathlib.Path", None),
        ("jobs", "fovea.utils", "no floor"),
        ("planning", "fovea.plans.named", None),
        ("recipes", "fovea.plans.rules", "floor 4"),
    ],
)
def test_the_rules_catch_what_they_are_for(unit, name, fault):
    found = list(faults("x", unit, [name]))
    assert len(found) == (fault is not None)
    assert fault is None or fault in found[0]
