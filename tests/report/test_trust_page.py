"""The page of trust: what it holds, that names stay text, and that boxes are drawn where they lie."""

import base64
import io
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from fovea.explanation.attribution.methods import METHODS
from fovea.explanation.attribution.registry import Attribution
from fovea.explanation.objective import Objective
from fovea.explanation.trust.planted import find_cue, planted
from fovea.explanation.trust.result import Row, Verdicts
from fovea.explanation.trust.sanity import DEPARTURES
from fovea.explanation.trust.table import Bench, Checks
from fovea.report.trust import BOX, outlined, trust_page
from tests.report.test_pages import ACT, HOSTILE, Elements, headings


def verdicts(**changes):
    test = planted()
    checks = Checks(steps=3, sanity_steps=2, sanity_images=2)
    bench = Bench(test.model, test.x[:3], Objective(answers=test.labels[:3]), checks=checks, boxes=test.cues[:3])
    flat = METHODS["saliency"]._replace(
        name="flat", title="Flat", explain=lambda model, x, objective: Attribution(values=torch.ones(len(x), 28, 28))
    )
    rows = [Row(method=m, trust=bench.row(m), cue=find_cue(m)) for m in (METHODS["gradcam"], flat)]
    return Verdicts(
        **{
            "model": "net.safetensors",
            "sha256": "00",
            "data": "noise",
            "split": "test",
            "images": ["a", "b", "c"],
            "answers": ["0", "1", "0"],
            "followed": "the probability",
            "layer": "3",
            "rows": [*rows, Row(method=METHODS["cam"], reason="no pooled head")],
            "rivals": {"random": (bench.random, bench.located_random), "centre": (bench.centre, bench.located_centre)},
            "accuracy": test.accuracy,
            "notes": ["mind this"],
            **changes,
        }
    )


PICTURES = [(np.zeros((28, 28, 1), np.uint8), torch.tensor([[2, 3, 10, 12]]))] * 3


def test_it_holds_every_check():
    page = trust_page(verdicts(), PICTURES)
    text = Elements(page).text
    assert headings(page) == [
        "All methods",
        "What the columns say",
        "Method by method",
        "The planted cue",
        "The images",
    ]
    assert "net.safetensors, on 3 images of noise (test)" in text and "mind this" in text
    assert "Grad-CAM · pass" in text and "Flat · fails sanity" in text and "cam does not apply: no pooled head" in text
    assert all(departure in text for departure in DEPARTURES)
    assert "energy The share of the map that lies in the boxes. high" in text and "boxes are green" in text
    assert page.count('class="mark"') == 2  # the threshold in the chart of each sanity check
    assert "random from 0 on: " in text


def test_what_was_not_asked_for_is_left_out():
    rows = [replace(row, cue=None) for row in verdicts().rows]
    page = trust_page(verdicts(rows=rows, accuracy=None), PICTURES)
    assert "The planted cue" not in headings(page) and "cue lift" not in Elements(page).text


def test_names_stay_text():
    hostile = verdicts(
        model=HOSTILE, data=HOSTILE, split=HOSTILE, images=[HOSTILE] * 3, answers=[HOSTILE] * 3, layer=HOSTILE,
        followed=HOSTILE, notes=[HOSTILE], rows=[*verdicts().rows, Row(method=METHODS["cam"], reason=HOSTILE)],
    )  # fmt: skip
    page = Elements(trust_page(hostile, PICTURES))
    found = page.found
    assert not [
        tag for tag, attributes in found if tag == "script" or any(name.startswith("on") for name in attributes)
    ]
    assert all(attributes["src"].startswith("data:image/") for tag, attributes in found if tag == "img")
    assert ACT in page.text


def test_boxes_are_outlined_where_they_lie():
    address = outlined(np.full((10, 20, 1), 7, np.uint8), [(torch.tensor([[5, 2, 15, 8]]), BOX)])
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
        pixels = np.asarray(image.convert("RGB"))
    zoom = pixels.shape[0] // 10
    drawn = (pixels == BOX).all(2)
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == (5 * zoom, 2 * zoom, 15 * zoom, 8 * zoom)
    assert not drawn[5 * zoom, 10 * zoom] and (pixels[~drawn] == 7).all()


def test_a_cue_that_was_not_learned_is_said():
    rows = [replace(row, cue=None) for row in verdicts().rows]
    assert "did not learn the cue well enough" in Elements(trust_page(verdicts(rows=rows, accuracy=0.6), PICTURES)).text
