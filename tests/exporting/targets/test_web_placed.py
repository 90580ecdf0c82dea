"""Masks, boxes and points in the page: its arithmetic run by node, and pages in a browser."""

import json
import re
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from browsers import Visit, chromium
from PIL import Image
from placed_bundles import NAMES, exported_placed, placed_bundle

import fovea
import fovea.exporting.targets as targets
from fovea.card import Card
from fovea.decoding.centres import Centres
from fovea.decoding.peaks import points
from fovea.exporting.targets.web.page import Page, facts
from fovea.exporting.targets.web.runtime_files import ARCHIVE, NAME
from fovea.exporting.targets.web.runtime_files import runtime_files as found
from fovea.preprocess import Preprocess
from fovea.storage import cache_root
from fovea.tasks.box_forms import BOX_FORMS
from fovea.tasks.masks import Masks
from fovea.tasks.point_forms import POINT_FORMS
from fovea.tasks.points import Points

PAGE = Path(targets.__file__).parent / "web" / "page"
RUNTIME = cache_root() / "downloads" / NAME / ARCHIVE
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")
needs_runtime = pytest.mark.skipif(not RUNTIME.is_file(), reason=f"{ARCHIVE} is not in the cache")


def computed(expression, cases):
    """Return what an expression of `one`, each of the cases, gives in JavaScript with the modules of the page."""
    head = "".join(f'import * as {name} from "{(PAGE / f"{name}.js").as_uri()}";' for name in ("decoding", "placed"))
    body = f"const cases = {json.dumps(cases)};\nconsole.log(JSON.stringify(cases.map((one) => {expression})));"
    done = subprocess.run(
        [NODE, "--input-type=module", "-"], input=head + body, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def maps(seed, shape, *, ties):
    """Return random maps float32; with `ties` of few different heights, so that neighbours are often equal."""
    values = np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)
    return np.round(values) if ties else values


def as_case(outputs):
    return {"data": [float(value) for value in outputs.ravel()], "dims": [1, *outputs.shape]}


FORMS = {
    "centres": ("fromCentres", lambda form: (form.classes + 4, 8, 12)),
    "anchors": ("fromAnchors", lambda form: form.output_shape),
    "yolo": ("fromGrid", lambda form: (form.output_shape[0], 4, 6)),
    "yolo2": ("fromPriors", lambda form: (form.output_shape[0], 4, 6)),
    "one": ("oneBox", lambda form: form.output_shape),
}


def test_the_page_knows_every_form():
    assert FORMS.keys() == BOX_FORMS.keys() and POINT_FORMS.keys() == {"heat maps", "coordinates"}


@needs_node
@pytest.mark.parametrize("name", FORMS)
def test_boxes_of_every_form_are_those_of_the_package(name):
    function, shape = FORMS[name]
    form = BOX_FORMS[name](classes=3, size=(64, 96))
    outputs = [maps(seed, shape(form), ties=seed == 1) for seed in range(3)]
    outputs[2] -= 3  # few are sure
    fields = json.dumps(form.decoder_fields())
    made = computed(
        f"decoding.{function}(Float32Array.from(one.data), one.dims, {fields})", list(map(as_case, outputs))
    )
    kept = 0
    for rows, expected in zip(made, form.decoder.decoded(np.stack(outputs)), strict=True):
        values = np.array([[row["index"], *row["box"], row["score"]] for row in rows]).reshape(-1, 6)
        assert values.shape == expected.shape and np.allclose(values, expected, rtol=1e-12, atol=1e-9)
        kept += len(expected)
    assert kept >= (3 if name == "one" else 20)


@needs_node
@pytest.mark.parametrize("shape", [(5, 1, 7), (7, 16, 9), (5, 1, 1)])
def test_centres_at_edges_and_of_equal_height_are_those_of_the_package(shape):
    decoder = Centres(most=5, least=0.4, overlap=0.2, stride=8)
    outputs = [maps(seed, shape, ties=True) for seed in range(4)]
    made = computed(
        f"decoding.fromCentres(Float32Array.from(one.data), one.dims, {json.dumps(asdict(decoder))})",
        list(map(as_case, outputs)),
    )
    for rows, expected in zip(made, decoder.decoded(np.stack(outputs)), strict=True):
        values = np.array([[row["index"], *row["box"], row["score"]] for row in rows]).reshape(-1, 6)
        assert values.shape == expected.shape and np.allclose(values, expected, rtol=1e-12, atol=1e-9)


def test_the_facts_of_a_network_for_points_count_points():
    frame = Preprocess(size=(8, 8), channels=1, mean=(0.5,), std=(0.5,))
    target = Points(names=("a", "b"))
    card = Card(fovea="1", architecture="net", arguments={}, target=target, preprocess=frame)
    assert ("Points", "2") in facts(card, model_bytes=1)


@needs_node
def test_points_of_every_form_are_those_of_the_package():
    shapes = ((6, 8, 8), (5, 1, 7), (7, 16, 9), (5, 1, 1))
    outputs = [maps(seed, shape, ties=bool(seed % 2)) for seed, shape in enumerate(shapes * 2)]
    made = computed(
        "decoding.fromHeatMaps(Float32Array.from(one.data), one.dims, { stride: 4 })", list(map(as_case, outputs))
    )
    for rows, expected in zip(made, outputs, strict=True):
        assert np.allclose(rows, points(expected, stride=4), rtol=0, atol=1e-12)
    form = POINT_FORMS["coordinates"](points=4, size=(64, 96))
    places = maps(0, form.output_shape, ties=False)
    fields = json.dumps(form.decoder_fields())
    (rows,) = computed(f"decoding.fromCoordinates(Float32Array.from(one.data), one.dims, {fields})", [as_case(places)])
    assert np.allclose(rows, form.found(places[None])[0], rtol=0, atol=1e-12)


@needs_node
@pytest.mark.parametrize("fit", ["letterbox", "squash", "crop"])
def test_shares_of_a_mask_are_those_in_the_image(fit):
    """The maps are smaller than the input, as those of valid convolutions are."""
    frame = Preprocess(size=(12, 16), channels=1, fit=fit, mean=(0.5,), std=(0.5,))
    task = Masks(names=("a", "b", "c"), loss="mask")
    generator = np.random.default_rng(0)
    mask = np.stack([generator.integers(0, 3, (10, 12)), generator.integers(85, 256, (10, 12))]).astype(np.uint8)
    sizes = [(12, 16), (33, 20), (5, 90), (100, 101)]
    config = {"places": task.on_page(), "classes": ["a", "b", "c"], "preprocess": frame.to_dict()}
    cases = [
        {"data": mask.ravel().tolist(), "dims": [1, *mask.shape], "size": {"width": w, "height": h}} for h, w in sizes
    ]
    made = computed(
        f"placed.placed({json.dumps(config)}, "
        "{ mask: { data: Uint8Array.from(one.data), dims: one.dims } }, one.size)",
        cases,
    )
    for size, answer in zip(sizes, made, strict=True):
        expected = task.in_image(task.prediction(mask), frame, size)
        assert [row["name"] for row in answer["rows"]] == [name for name, _ in expected.scores], size
        assert np.allclose([row["probability"] for row in answer["rows"]], [share for _, share in expected.scores])


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


def pictures(folder):
    """Write PNG files of odd sizes with bright spots; return them."""
    generator = np.random.default_rng(0)
    files = []
    for number, (h, w) in enumerate([(40, 61), (90, 33), (32, 32)]):
        pixels = generator.integers(0, 90, (h, w, 3), np.uint8)
        pixels[h // 4 : h // 2, w // 3 : w // 2, number] = 250
        files.append(folder / f"{number}.png")
        Image.fromarray(pixels).save(files[-1])
    return files


def numbers_of(prediction, kind):
    """Return what the page keeps of an answer, of one of the package."""
    if kind == "masks":
        shares = dict(prediction.scores)
        return [shares.get(name, 0.0) for name in NAMES[kind]]
    return (prediction.found if kind == "boxes" else prediction.points).ravel().tolist()


@needs_runtime
@pytest.mark.parametrize("kind", NAMES)
def test_a_page_finds_what_predict_finds_and_draws_it(browser, tmp_path, kind):
    content, _, card = exported_placed(kind)
    page = Page(card=card, model=content, runtime=found(RUNTIME), title=kind)
    (tmp_path / "page.html").write_bytes(page.single_file())
    files, bundle = pictures(tmp_path), placed_bundle(kind)
    visit = Visit(browser, (tmp_path / "page.html").as_uri())
    answers = visit.answers(files)
    compared = 0
    for file, said in zip(files, fovea.predict(bundle, files), strict=True):
        expected, (words, numbers) = numbers_of(said.prediction, kind), answers[file.name]
        assert len(numbers) == len(expected) and np.allclose(numbers, expected, atol=1e-3)
        assert kind != "boxes" or words == said.prediction.label
        compared += np.count_nonzero(expected)
    assert compared >= 3 and (visit.hosts, visit.faults, visit.text("#complaint")) == (set(), [], "")
    alpha = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v, i) => i % 4 === 3 && v > 0)"
    assert visit.page.is_visible("#over-image") and visit.page.eval_on_selector("#over-image", alpha)


@needs_runtime
def test_a_higher_least_score_tells_of_fewer_boxes(browser, tmp_path):
    content, _, card = exported_placed("boxes")
    page = Page(card=card, model=content, runtime=found(RUNTIME), title="boxes")
    (tmp_path / "page.html").write_bytes(page.single_file())
    visit = Visit(browser, (tmp_path / "page.html").as_uri())
    visit.answers(pictures(tmp_path)[:1])
    told = []
    for least in (1, 60, 100):
        visit.page.locator("#least").evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", least)
        told.append(visit.text("#headline"))
        assert visit.text("#least-told") == f"{least} %"
    counts = [sum(map(int, re.findall(r"(\d+) x", text))) for text in told]
    assert counts[0] > counts[1] > counts[2]
