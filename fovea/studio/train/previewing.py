"""What a training would see, and its plan, worked out in a process of its own: this one stays free for its pages."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fovea.errors import UsageError
from fovea.studio.elements import png_url

LONGEST_S = 300
MOST_BYTES = 1 << 20
"""Of the plan."""
FEW = 12
"""Classes that are named."""


async def preview(data: str, options: Sequence[str], folder: Path) -> dict[str, Any]:
    """Return a picture of the augmented images that a training would see, and its plan in lines.

    Raises: UsageError with what `fovea train --preview` says where it cannot be.
    """
    with TemporaryDirectory() as place:
        picture = Path(place, "preview.png")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fovea", "train", "--preview", "--json", "--out", str(picture)),
            *(*options, "--", data),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, said = await asyncio.wait_for(process.communicate(), LONGEST_S)
        except TimeoutError:
            raise UsageError(f"The preview took more than {LONGEST_S} seconds.") from None
        finally:
            if process.returncode is None:
                process.kill()
        notes = said.decode(errors="replace").strip().splitlines()
        if process.returncode != 0:
            raise UsageError((notes[-1] if notes else "The preview failed.").removeprefix("error: ")[:500])
        plan = json.loads(out[:MOST_BYTES])["plan"]
        return {"picture": png_url(picture.read_bytes()), "plan": plan_lines(plan), "notes": notes[:20]}


def plan_lines(plan: dict[str, Any]) -> list[str]:
    """Return a plan as lines of text."""
    recipe, classes = plan["recipe"], plan["classes"]
    length = f"{recipe['budget_s']:g} s" if recipe["budget_s"] else f"{recipe['epochs']} epochs"
    parts = ", ".join(f"{name} {count:,}" for name, count in plan["images"].items())
    lines = [
        f"network: {plan['model']}, {plan['parameters']:,} parameters, input {plan['size']} ({plan['fit']})",
        f"images: {parts}",
        f"training: {length} in batches of {recipe['batch']}, {recipe['optimiser']}, rate {recipe['lr']:g}, "
        f"{recipe['schedule']}, momentum {recipe['momentum']:g}, decay {recipe['weight_decay']:g}",
        f"augmentation: {', '.join(recipe['augment']) or 'none'}",
    ]
    more = f" and {len(classes) - FEW:,} more" if len(classes) > FEW else ""
    lines.append(f"classes: {', '.join(classes[:FEW]) or 'none'}{more}")
    return [*lines, *plan["reasons"]]
