"""Draw docs/images/architecture.png: the floors of the package, what stands on them, and who imports whom.

    python docs/images/architecture.py

The floors are those that tests/test_imports.py enforces; boxes and arrows are read from the source.
"""

import ast
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from fovea.drawing.saving import save_figure
from fovea.drawing.style import BLUE, INK, LINE, SOFT

ROOT = Path(__file__).resolve().parents[2]
PICTURE = Path(__file__).with_suffix(".png")
WIDE, HIGH, ACROSS, DOWN = 1.4, 0.4, 0.2, 0.55
ON_THE_WAY = ("data", "inputs", "tasks", "preprocess", "training", "model", "evaluation")
"""What an image passes between its file and an answer."""


def floors() -> tuple[tuple[str, ...], ...]:
    """Return the units of each floor, the lowest first, those that are not there yet left out."""
    tree = ast.parse((ROOT / "tests" / "test_imports.py").read_text())
    assigned = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    rows = (tuple(unit for unit in row if files_of(unit)) for row in ast.literal_eval(assigned["FLOORS"]))
    return tuple(row for row in rows if row)


def files_of(unit: str) -> list[Path]:
    """Return the modules of a unit: a file or a package."""
    module, package = ROOT / "fovea" / f"{unit}.py", ROOT / "fovea" / unit
    return [module] if module.exists() else sorted(package.rglob("*.py"))


def imports_of(unit: str) -> set[str]:
    """Return the other units that a unit imports."""
    found = set()
    for file in files_of(unit):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "fovea":
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                found |= {name.split(".")[1] for name in names}
    return found - {unit}


def draw(axes: Axes) -> None:
    """Draw the units as boxes, and an arrow from each to every one that it imports."""
    rows, places = floors(), {}
    widest = max(map(len, rows))
    for level, row in enumerate(rows):
        left = (widest - len(row)) * (WIDE + ACROSS) / 2
        places |= {unit: (left + index * (WIDE + ACROSS), level * (HIGH + DOWN)) for index, unit in enumerate(row)}
    for unit, (x, y) in places.items():
        for other in imports_of(unit) & places.keys():
            a, b = places[other]
            marked = unit in ON_THE_WAY and other in ON_THE_WAY
            style = {"color": BLUE, "lw": 1.4} if marked else {"color": LINE, "lw": 0.5}
            ends = ((x + WIDE / 2, y), (a + WIDE / 2, b + HIGH))
            axes.annotate("", ends[1], ends[0], arrowprops={"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, **style})
    for unit, (x, y) in places.items():
        edge = BLUE if unit in ON_THE_WAY else SOFT
        axes.add_patch(
            FancyBboxPatch((x, y), WIDE, HIGH, "round,pad=0,rounding_size=0.08", fc="white", ec=edge, zorder=3)
        )
        axes.text(x + WIDE / 2, y + HIGH / 2, unit, ha="center", va="center", color=INK, fontsize=10, zorder=4)
    axes.set(xlim=(-0.2, widest * (WIDE + ACROSS)), ylim=(-0.2, len(rows) * (HIGH + DOWN) - DOWN + 0.2))
    axes.set_axis_off()


def main() -> None:
    """Write the picture."""
    figure = Figure(figsize=(14, 10), layout="constrained")
    draw(figure.add_subplot())
    save_figure(figure, PICTURE, dpi=75)


if __name__ == "__main__":
    main()
