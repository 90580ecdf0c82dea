import base64
import gzip
import io
import json
import os
import re
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browsers import Visit, agreement, chromium, served
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo
from seeded_bundles import TASKS, exported, seeded_bundle

import fovea
from fovea.errors import MissingDependencyError, NotFoundError, UsageError
from fovea.exporting.folders import write_folder
from fovea.exporting.targets.web.page import MODULES, PARTS, Page, bundled
from fovea.exporting.targets.web.runtime_files import ARCHIVE, MODULE, NAME, SCRIPT, VERSION, RuntimeFiles
from fovea.exporting.targets.web.runtime_files import runtime_files as found
from fovea.jobs.export import export
from fovea.storage import cache_root

RUNTIME = cache_root() / "downloads" / NAME / ARCHIVE
"""Looked for before tests get a cache of their own; nothing is fetched for a test."""

needs_runtime = pytest.mark.skipif(not RUNTIME.is_file(), reason=f"{ARCHIVE} is not in the cache")
DATA = os.environ.get("FOVEA_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="FOVEA_DATA is not set")


def archive(folder, *, version=VERSION, script=b"let a=1;export{a as InferenceSession,a as env};\n", leave_out=()):
    """Write a package in the form of the real one, with next to nothing in it."""
    path = folder / "runtime.tgz"
    parts = {"package.json": json.dumps({"version": version}).encode(), SCRIPT: script, MODULE: b"\0asm"}
    with tarfile.open(path, "w:gz") as file:
        for name in parts.keys() - set(leave_out):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(parts[name])
            file.addfile(member, io.BytesIO(parts[name]))
    return path


@pytest.fixture
def pictures(tmp_path):
    """Return PNG files of odd sizes, in grey, colour and with transparency."""
    generator = np.random.default_rng(0)
    shapes = [(5, 9, 3), (33, 20, 3), (4, 4, 3), (61, 47, 4), (12, 90, 3), (7, 7, 1)]
    files = []
    for number, (h, w, channels) in enumerate(shapes):
        pixels = generator.integers(0, 256, (h, w, channels), np.uint8)
        # one colour prevails, so that answers differ
        pixels[..., number % channels] = np.maximum(pixels[..., number % channels], 150 + 10 * number)
        if channels == 4:
            pixels[..., 3] = np.where(pixels[..., 0] > 60, 255, 0)
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels.squeeze()).save(files[-1])
    return files


def page_of(task="classes", *, runtime=RUNTIME, **changes):
    """Return the page of a task."""
    content, _, card = exported(task, **changes)
    return Page(card=card, model=content, runtime=found(runtime), title=task)


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that opens the page of a task, in one file."""

    def visit(task="classes", **changes):
        path = tmp_path / f"{task}.html"
        path.write_bytes(page_of(task, **changes).single_file())
        return Visit(browser, path.as_uri())

    return visit


@pytest.fixture(scope="module")
def browser():
    with chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as opened:
        yield opened


def policy_of(page):
    return re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")


def test_a_folder_holds_page_network_card_and_the_runtime_with_its_licence(tmp_path):
    given = archive(tmp_path)
    done = export(seeded_bundle(), to="web", out=tmp_path / "page", runtime=given)
    page = done.path.read_text()
    assert done.path == tmp_path / "page" / "index.html"
    assert json.loads((tmp_path / "page" / "card.json").read_text())["export"]["proof"]["changed_decisions"] == 0
    assert (tmp_path / "page" / "model.onnx").stat().st_size > 1000
    assert "Copyright (c) Microsoft Corporation" in (tmp_path / "page" / "onnxruntime" / "LICENSE").read_text()
    assert "default-src 'none'" in policy_of(page) and "unsafe-inline" not in page
    assert not re.search(r"https?://", page)


def test_one_file_holds_everything_and_may_connect_to_nothing(tmp_path):
    page = page_of(runtime=archive(tmp_path)).single_file().decode()
    assert "connect-src" not in policy_of(page) and "'self'" not in policy_of(page)
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "globalThis.ort={InferenceSession:a,env:a};" in page
    packed = re.search(r'id="runtime-bytes">([^<]*)<', page)[1]
    assert gzip.decompress(base64.b64decode(packed)) == b"\0asm"


def test_what_a_card_says_is_text_in_the_page(tmp_path):
    page = page_of(runtime=archive(tmp_path))
    names = ["<script>alert(1)</script>", "</script>", 'green"onload="x']
    page = replace(page, card=seeded_bundle(classes=names).card).single_file().decode()
    assert "<script>alert" not in page and "\\u003c/script>" in page


@pytest.mark.parametrize("options", [{"raw": True}, {"dynamic_size": True}])
def test_settings_that_a_page_cannot_take_are_refused(tmp_path, options):
    with pytest.raises(UsageError, match="cannot be combined with `--to web`"):
        export(seeded_bundle(), to="web", out=tmp_path / "page", **options)


def test_options_of_the_page_are_refused_elsewhere(tmp_path):
    with pytest.raises(UsageError, match="`--single-file` works with `--to web`, not with `--to onnx`"):
        export(seeded_bundle(), out=tmp_path / "m.onnx", single_file=True)


def test_the_package_is_read_from_its_archive_and_from_its_folder(tmp_path):
    given = archive(tmp_path)
    with tarfile.open(given) as file:
        file.extractall(tmp_path, filter="data")
    for place in (given, tmp_path / "package", tmp_path / "package" / "dist"):
        assert found(place).version == VERSION and found(place).module == b"\0asm"


def test_what_is_not_the_package_is_said(tmp_path):
    (tmp_path / "some.tgz").write_bytes(b"no archive")
    for place in (tmp_path / "some.tgz", archive(tmp_path, leave_out=[MODULE])):
        with pytest.raises(UsageError, match=f"is not the npm package {NAME}"):
            found(place)
    with pytest.raises(NotFoundError, match="There is no file `.*none.tgz`"):
        found(tmp_path / "none.tgz")
    with pytest.raises(UsageError, match="has no `package.json`"):
        found(tmp_path)
    with pytest.raises(UsageError, match="has an unexpected end"):
        RuntimeFiles("9", b"exports.ort = 1", b"").as_global  # noqa: B018


def test_without_npm_the_way_to_fetch_the_package_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependencyError, match=f"npm pack {NAME}@{VERSION}.*--runtime {ARCHIVE}"):
        found()


def test_scripts_in_one_file_import_nothing_and_name_nothing_twice():
    text = bundled(MODULES)
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", text, re.MULTILINE)
    assert not re.search(r"^(import|export) ", text, re.MULTILINE)
    assert len(names) == len(set(names)) > 40
    for name in MODULES:
        lines = (PARTS / f"{name}.js").read_text().splitlines()
        assert len(lines) <= 400 and max(map(len, lines)) <= 120


@needs_runtime
@pytest.mark.parametrize("task", TASKS)
def test_a_page_from_a_file_answers_as_predict_does_and_asks_no_host(opened, pictures, task):
    bundle, visit = seeded_bundle(task), opened(task)
    changed, largest = agreement(bundle, visit.answers(pictures), pictures)
    assert (changed, visit.hosts, visit.faults, visit.text("#complaint")) == ([], set(), [], "")
    assert largest < (1e-5 if bundle.classes else 1e-3)


def linear_profile():
    """Return an ICC profile whose values are linear light, which colour management would change much."""
    xyz = {"rXYZ": (0.436, 0.222, 0.014), "gXYZ": (0.385, 0.717, 0.097), "bXYZ": (0.143, 0.061, 0.714)}
    tags = {name: b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * v) for v in xyz[name])) for name in xyz}
    tags["wtpt"] = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags |= dict.fromkeys(("rTRC", "gTRC", "bTRC"), b"curv" + bytes(8))
    tags["cprt"] = b"text" + bytes(4) + b"none\0"
    tags["desc"] = b"desc" + bytes(4) + struct.pack(">I", 7) + b"linear\0" + bytes(78)
    table, body = b"", b""
    for name, content in tags.items():
        table += name.encode() + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(
        ">4x4sI4s4s4s12s4s28x3i48x",
        b"none",
        0x02100000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        bytes(12),
        b"acsp",
        63190,
        65536,
        54061,
    )
    content = head + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(content)) + content[4:]


@needs_runtime
def test_profiles_gamma_orientation_and_transparency_are_read_as_the_package_reads_them(opened, tmp_path):
    bundle, visit = seeded_bundle(), opened()
    pixels = np.random.default_rng(0).integers(0, 256, (11, 17, 4), np.uint8)
    colours = Image.fromarray(pixels[..., :3])
    gamma, turned = PngInfo(), Image.Exif()
    gamma.add(b"gAMA", struct.pack(">I", 100_000))
    turned[ExifTags.Base.Orientation] = 6
    colours.save(tmp_path / "profile.png", icc_profile=linear_profile())
    colours.save(tmp_path / "gamma.png", pnginfo=gamma)
    colours.save(tmp_path / "turned.png", exif=turned)
    colours.quantize(16).save(tmp_path / "palette.png")
    colours.save(tmp_path / "lossless.webp", lossless=True)
    colours.save(tmp_path / "turned.jpg", exif=turned, quality=95, icc_profile=linear_profile())
    for name in ("profile.png", "gamma.png", "turned.png", "palette.png", "lossless.webp"):
        assert np.array_equal(visit.seen(tmp_path / name), bundle.read(tmp_path / name)), name
    found, expected = visit.seen(tmp_path / "turned.jpg"), bundle.read(tmp_path / "turned.jpg")
    assert np.abs(found.astype(int) - expected).max() <= 1
    Image.fromarray(pixels).save(tmp_path / "glass.png")
    found, expected = visit.seen(tmp_path / "glass.png"), bundle.read(tmp_path / "glass.png")
    assert np.abs(found.astype(int) - expected).max() <= 1  # canvases hold colours multiplied by alpha


@needs_runtime
def test_a_folder_on_a_server_shows_bars_and_asks_that_server_only(browser, tmp_path, pictures):
    write_folder(tmp_path / "page", page_of().folder())
    with served(tmp_path / "page") as address:
        visit = Visit(browser, address)
        visit.answers(pictures[:2])
        assert visit.page.locator("#bars li").count() == 3
        assert visit.text("#headline") == visit.text("#bars .chosen .name")
        assert visit.hosts == {address.split("/")[2]} and visit.faults == []


@needs_runtime
def test_camera_paste_drop_and_keys_work(opened, pictures):
    page = opened().page
    page.focus("#tab-image")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # starts the camera
    page.wait_for_selector("#found:not([hidden])")
    assert page.text_content("#image-name") == "camera"
    for way in ("paste", "drop"):
        page.evaluate(GIVE, [way, list(pictures[0].read_bytes())])
        page.wait_for_selector(f'.entry[data-name="{way}.png"]', state="attached")
    assert page.is_hidden("#video")  # the camera stops when another way is taken


GIVE = """async ([way, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], way + ".png", { type: "image/png" }));
    const options = { bubbles: true, clipboardData: data, dataTransfer: data };
    document.dispatchEvent(new (way === "paste" ? ClipboardEvent : DragEvent)(way, options));
}"""


@needs_runtime
def test_a_file_that_is_no_image_is_said_and_the_next_is_answered(opened, tmp_path, pictures):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    page = opened().page
    page.set_input_files("#files", [str(tmp_path / "broken.png"), str(pictures[1])])
    page.wait_for_selector(f'.entry[data-name="{pictures[1].name}"]', state="attached")
    assert page.text_content("#complaint").startswith("broken.png: This browser cannot read it as an image")


@needs_runtime
def test_a_stroke_is_the_same_input_wherever_it_is_drawn(opened):
    page = opened(channels=1).page
    seen = []
    for x, y in ((0.5, 0.3), (0.15, 0.05)):
        box = page.locator("#pad").bounding_box()
        at = [box["x"] + x * box["width"], box["y"] + y * box["height"]]
        page.mouse.move(*at)
        page.mouse.down()
        page.mouse.move(at[0], at[1] + 0.4 * box["height"], steps=5)
        page.mouse.up()
        page.wait_for_selector("#found:not([hidden])")
        page.wait_for_timeout(300)
        seen.append(page.locator("#seen").evaluate("c => [...c.getContext('2d').getImageData(0, 0, 8, 8).data]"))
        page.click("#clear")
    assert max(seen[0][::4]) > 200 and max(abs(a - b) for a, b in zip(*seen, strict=True)) <= 8


@needs_runtime
@needs_data
@pytest.mark.slow
def test_photographs_are_answered_as_predict_does(browser, tmp_path):
    fovea.build_file(
        "mobilenet_v2",
        out=tmp_path / "m.safetensors",
        weights=Path(DATA) / "weights" / "mobilenet_v2-imagenet-dequant.pth",
        classes_from=Path(DATA) / "imagenet-subset" / "imagenet_class_index.json",
        **{"size": 225, "resize": 256, "mean": (0.5,), "std": (0.5,)},
    )
    photographs = sorted((Path(DATA) / "imagenet-subset" / "images").iterdir())[::4]
    export(tmp_path / "m.safetensors", to="web", out=tmp_path / "page", runtime=RUNTIME)
    with served(tmp_path / "page") as address:
        answers = Visit(browser, address).answers(photographs)
    changed, largest = agreement(fovea.load(tmp_path / "m.safetensors"), answers, photographs)
    assert len(photographs) == 25 and changed == [] and largest < 1e-3
