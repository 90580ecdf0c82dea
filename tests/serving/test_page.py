"""The upload page in a browser: it shows what `predict` says, and asks no other host."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from live_server import live
from onnx import TensorProto, helper, numpy_helper
from onnx_files import card_values, nodes, tensors, value, write_onnx

from fovea.runtime import load
from fovea.serving.page import POLICY, page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TOKEN = "0123456789abcdef-secret"


def test_the_page_names_no_other_host_and_its_policy_allows_none():
    assert re.findall(r"(?:https?:)?//[\w.]+", page()) == []
    assert "default-src 'none'" in POLICY and "http" not in POLICY


def test_the_policy_comes_with_the_page(client):
    said = client.get("/")
    assert said.headers["content-security-policy"] == POLICY
    assert said.headers["content-type"].startswith("text/html")


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with sync.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def visit(browser):
    """Return a function that opens the page of a server; what the page asks for, and complains of, is kept."""
    contexts = []

    def opened(server, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        tab = context.new_page()
        tab.asked, tab.complaints = [], []
        tab.on("request", lambda request: tab.asked.append(request.url))
        tab.on("console", lambda message: tab.complaints.append(message.text))
        tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.goto(server.origin)
        return tab

    yield opened
    for context in contexts:
        context.close()


def upload(tab, *files):
    tab.set_input_files(
        "#files", [{"name": name, "mimeType": "image/png", "buffer": content} for name, content in files]
    )


def shown(tab, count):
    """Return the texts of the answers, the newest first, once there are so many."""
    tab.wait_for_selector(f":nth-match(article, {count})")
    return [entry.inner_text() for entry in tab.query_selector_all("article .answer")]


def own(tab, server):
    return [url for url in tab.asked if not url.startswith((server.origin, "blob:", "data:"))]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_what_predict_says_and_asks_no_other_host(visit, shared_server, colours_file, picture, scheme):
    tab = visit(shared_server, color_scheme=scheme)
    tab.wait_for_selector("h1:text-is('colours')")
    colours = ["red", "green", "blue"]
    upload(tab, *((f"{colour}.png", picture(colour)) for colour in colours), ("bad.png", b"no image"))
    texts = shown(tab, 4)
    assert "No answer" in texts[0] and "not a JPEG" in texts[0]
    for text, colour in zip(texts[1:], reversed(colours), strict=True):
        (expected,) = load(colours_file).predict([picture(colour)])
        assert text.splitlines()[0] == expected.label == colour
        for label, probability in expected.scores:
            assert re.search(rf"{label}\s+{100 * probability:.1f} %", text)
    assert own(tab, shared_server) == []
    assert [words for words in tab.complaints if "422" not in words] == []  # the browser notes that status


@pytest.mark.slow
def test_another_model_can_be_chosen(visit, shared_server, picture):
    tab = visit(shared_server)
    tab.wait_for_selector("#models")
    tab.select_option("#models", "other")
    tab.wait_for_selector("h1:text-is('other')")
    upload(tab, ("a.png", picture("blue")))
    assert shown(tab, 1)[0].startswith("blue")
    assert any("/models/other/predict" in url for url in tab.asked)


@pytest.mark.slow
def test_a_server_that_wants_a_token_is_given_it_in_the_page(visit, colours_file, picture):
    with live({"colours": colours_file}, token=TOKEN) as server:
        tab = visit(server)
        tab.wait_for_selector("#token:not([hidden])")
        tab.fill("#secret", TOKEN)
        tab.click("#token button")
        tab.wait_for_selector("h1:text-is('colours')")
        upload(tab, ("a.png", picture("green")))
        assert shown(tab, 1)[0].startswith("green")
        assert TOKEN not in " ".join(tab.asked)


LABELS = card_values(format=2, task="labels", loss="bce", target={"thresholds": [0.75] * 3})
NUMBER = card_values(
    task="number",
    loss="mse",
    classes=[],
    outputs=1,
    target={"mean": 30.0, "std": 5.0},
    arguments={"classes": 1, "c_in": 3, "size": 4, "widths": [3]},
)


@pytest.mark.slow
def test_several_labels_are_shown_with_those_that_are_present_first(visit, tmp_path, picture):
    path = write_onnx(
        tmp_path / "labels.onnx",
        card=LABELS,
        nodes=[
            *nodes()[:-1],
            helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
            helper.make_node("Greater", ["probabilities", "least"], ["present"]),
        ],
        tensors=[*tensors(), numpy_helper.from_array(np.full(3, 0.75, np.float32), "least")],
        outputs=[
            *(value(name, TensorProto.FLOAT, ["N", 3]) for name in ("probabilities", "logits")),
            value("present", TensorProto.BOOL, ["N", 3]),
        ],
    )
    with live({"labels": path}) as server:
        tab = visit(server)
        tab.wait_for_selector("h1:text-is('labels')")
        upload(tab, ("a.png", picture("red")))
        (text,) = shown(tab, 1)
        (expected,) = load(path).predict([picture("red")])
        assert text.splitlines()[0] == expected.label == "red"
        assert all(f"{100 * probability:.1f} %" in text for _, probability in expected.scores)


@pytest.mark.slow
def test_a_number_is_shown_as_such(visit, tmp_path, picture):
    """30.25 and the highest logit of the colours."""
    path = write_onnx(
        tmp_path / "number.onnx",
        card=NUMBER,
        nodes=[
            *nodes()[:4],
            helper.make_node("Flatten", ["pooled"], ["each"], axis=1),
            helper.make_node("ReduceMax", ["each", "axes"], ["logits"], keepdims=1),
            helper.make_node("Add", ["logits", "mean"], ["numbers"]),
        ],
        tensors=[
            *tensors(),
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
            numpy_helper.from_array(np.float32(30.25), "mean"),
        ],
        outputs=[value(name, TensorProto.FLOAT, ["N", 1]) for name in ("numbers", "logits")],
    )
    with live({"number": path}) as server:
        tab = visit(server)
        tab.wait_for_selector("h1:text-is('number')")
        upload(tab, ("a.png", picture("red")))
        assert shown(tab, 1)[0].strip() == "36.25"


def test_the_page_is_one_file_that_is_part_of_the_package():
    assert (Path(__file__).parents[2] / "fovea" / "serving" / "page.html").is_file()
