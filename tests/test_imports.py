"""The floors of the package, and what it may not use, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fovea

ROOT = Path(fovea.__file__).parent

FLOORS = (
    ("errors", "shapes", "storage", "texts"),
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

SAME_FLOOR = {("shapes", "errors"), ("storage", "errors")}
"""Pairs (from, to) of one floor that are allowed: sizes and files may be refused too."""

WITHOUT_ZOO = {"training", "retrieval", "explanation", "compression"}
"""Tools that take any network, and so know none."""

FORBIDDEN = {"torchvision", "timm", "fastai", "captum", "torchcodec", "ultralytics"}
ONLY = {
    "errors": set(),
    "shapes": set(),
    "storage": set(),
    "texts": set(),
    "card": set(),
    "reference": {"numpy", "scipy"},
    "preprocess": {"numpy", "PIL"},
    "metrics": {"numpy", "scipy", "sklearn"},
    "runtime": {"numpy", "PIL", "onnxruntime"},
}
"""Units that work without the engine: the libraries beside the standard one that they may import."""

ENGINE_LATE = ("fovea.tasks.classes", "fovea.tasks.number", "fovea.inputs.images", "fovea.card")
"""What a card says can be known without the engine."""
WITH_ENGINE = {"tasks/temperature.py", "inputs/normaliser.py"}
"""Modules of `tasks` and `inputs` that need it as they are imported; their siblings import them inside functions."""

STANDARD = sys.stdlib_module_names
FLOOR_OF = {unit: floor for floor, units in enumerate(FLOORS) for unit in units}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def unit_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """Yield the dotted names that a module imports, wherever in it; `from a import b` gives `a.b`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert getattr(node, "level", 0) == 0, f"{path}: relative import"
            yield from names_of(node)


def names_of(node):
    """Return the dotted names of one import."""
    prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    return [prefix + alias.name for alias in node.names]


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
        ("training", "fovea.data.cache", None),
        ("zoo", "torchvision.models", "does without"),
        ("preprocess", "torch.nn", "may import ['PIL', 'numpy']"),
        ("preprocess", "pathlib.Path", None),
        ("card", "numpy", "may import []"),
        ("card", "fovea.tasks", None),
        ("tasks", "fovea.inputs", "floor 2"),
        ("tasks", "fovea.card", "floor 3"),
        ("jobs", "fovea.utils", "no floor"),
        ("jobs", "fovea.runs.session", None),
        ("runs", "fovea.jobs.train", "floor 12"),
        ("storage", "fovea.errors", None),
        ("errors", "fovea.storage", "floor 0"),
    ],
)
def test_the_rules_catch_what_they_are_for(unit, name, fault):
    found = list(faults("x", unit, [name]))
    assert len(found) == (fault is not None)
    assert fault is None or fault in found[0]


def at_import(tree):
    """Yield the nodes of a module that run, or are looked up, as it is imported: not those in functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from at_import(node)


@pytest.mark.parametrize("unit", ["tasks", "inputs"])
def test_kinds_of_target_and_input_import_the_engine_inside_functions(unit):
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / unit).glob("*.py")
        for node in at_import(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        and any(name.partition(".")[0] == "torch" for name in names_of(node))
    }
    assert found == {name for name in WITH_ENGINE if name.startswith(unit)}


@pytest.mark.parametrize("module", ENGINE_LATE)
def test_the_engine_is_not_needed_to_know_what_a_card_says(module):
    code = f"import sys, {module}; from fovea import inputs, tasks; tasks.names(), inputs.kind('images'); "
    ended = subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"], check=False)
    assert ended.returncode == 0


# whatever depends on what is learned is asked of the task


def is_called(node, name):
    """Return whether a node is a variable or an attribute of that name."""
    return getattr(node, "id", None) == name or getattr(node, "attr", None) == name


def switches(tree):
    """Yield (line, what) of each place that looks at what is learned by itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            if any(is_called(side, "task") for side in (node.left, *node.comparators)):
                yield node.lineno, "a comparison with the name of a task"
        elif isinstance(node, ast.Constant) and node.value == "number":
            yield node.lineno, "the name of a task"
        elif isinstance(node, ast.Attribute) and node.attr == "is_floating_point":
            yield node.lineno, "the type of labels"
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and is_called(node.operand, "classes"):
            yield node.lineno, "that there are no classes"


ALLOWED = {
    "measurement": "the type of labels",  # weights, which may be integers
    "jobs/train.py": "a comparison with the name of a task",  # whether the option was given, which --resume excludes
}
OUTSIDE = [path for path in MODULES if unit_of(path) != "tasks"]


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_depends_on_the_task_is_asked_of_it(path):
    name = path.relative_to(ROOT).as_posix()
    allowed = {what for prefix, what in ALLOWED.items() if name.startswith(prefix)}
    assert [found for found in switches(ast.parse(path.read_text())) if found[1] not in allowed] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("bundle.task == 'classes'", 1),
        ("if 'number' != task: pass", 2),
        ("{'number': 1}", 1),
        ("labels.is_floating_point()", 1),
        ("x = 1 if not self.classes else 2", 1),
        ("if not classes: pass", 1),
        ("target.has_classes and not target.follows and task in names and 'numbers'", 0),
    ],
)
def test_the_rule_catches_what_it_is_for(source, found):
    assert len(list(switches(ast.parse(source)))) == found
