"""What does not change on the page, and what its script gets once."""

from typing import Any

from fovea.studio.label.beginning import Asked
from fovea.studio.label.labelling import Labelling
from fovea.tasks.drawn import colours

LETTERS = "123456789abcdefghijklmnopqrstuvwxyz"
"""The keys of the classes, in their order."""

STAGE = """<div class="progress"><progress id="label-progress" max="1" value="0" aria-label="Images with a label">
</progress><span id="label-count"></span></div>
<p id="label-name" class="soft"></p><p id="label-error" class="error" role="alert"></p>
<div id="label-stage"><img id="label-picture" alt="The image to label">
<canvas id="label-proposed" aria-hidden="true"></canvas><canvas id="label-mask" aria-hidden="true"></canvas>
<svg id="label-shapes" role="application" preserveAspectRatio="none"></svg></div>
<div id="label-tools" class="steps"></div><p id="label-said" class="soft" aria-live="polite"></p>"""

KEYS = """<details id="label-help"><summary>Keys</summary><p id="label-keys"></p></details>"""


def setting(labelling: Labelling, asked: Asked, proposes: bool) -> dict[str, Any]:
    """Return what the script gets before the first image, and when there is one more class."""
    return {
        "kind": labelling.name,
        "task": labelling.kind.task,
        "classes": labelling.classes,
        "keys": list(LETTERS[: len(labelling.classes)]),
        "colours": [f"rgb({r},{g},{b})" for r, g, b in colours(labelling.classes)],
        "proposes": proposes,
        "address": asked.address,
    }
