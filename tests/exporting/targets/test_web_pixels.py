"""The page's arithmetic, run by node, against Pillow's and the package's."""

import io
import json
import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fovea.exporting.targets as targets
from fovea.preprocess import Preprocess, decode

PAGE = Path(targets.__file__).parent / "web" / "page"
FITS = ("crop", "letterbox", "squash")
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def run(script, folder, cases):
    """Run JavaScript that has `cases`, the modules of the page, and files of a folder; return what it gives as JSON."""
    head = "".join(
        f'import * as {name} from "{(PAGE / f"{name}.js").as_uri()}";' for name in ("resize", "pixels", "answers")
    )
    head += """
        import { readFileSync, writeFileSync } from "node:fs";
        const source = (name, [height, width, channels]) => {
            const all = new Uint8Array(readFileSync(name));
            const line = width * channels;
            const rows = (top, count) => all.slice(top * line, (top + count) * line);
            return { width, height, channels, rows };
        };
    """
    body = f"const cases = {json.dumps(cases)};\n{script}"
    done = subprocess.run(
        [NODE, "--input-type=module", "-"], input=head + body, capture_output=True, text=True, cwd=folder, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def plan(size, channels, fit, crop=1.0):
    return Preprocess(size=size, channels=channels, fit=fit, crop=crop, mean=(0.5,) * channels, std=(0.5,) * channels)


SIZES = ((1, 1), (1, 7), (9, 2), (28, 28), (31, 33), (97, 64), (375, 500), (501, 333), (40, 900))
TARGETS = ((8, 8), (28, 28), (225, 225), (17, 40), (1, 1))


def test_pixels_are_those_of_pillow_to_the_byte(tmp_path):
    wanted, cases = [], []
    for number, ((h, w), size, fit) in enumerate(product(SIZES, TARGETS, FITS)):
        channels = 1 + 2 * (number % 2)
        crop = 224 / 256 if fit == "crop" and number % 3 else 1.0
        preprocess = plan(size, channels, fit, crop)
        pixels = noise(h, w, channels, seed=number)
        (tmp_path / f"{number}.raw").write_bytes(pixels.tobytes())
        wanted.append(preprocess.fit_stored(pixels))
        cases.append([f"{number}.raw", list(pixels.shape), preprocess.to_dict()])
    run(
        "for (const [name, shape, preprocess] of cases)"
        " writeFileSync(name + '.made', resize.fitted(source(name, shape), preprocess));",
        tmp_path,
        cases,
    )
    for (name, shape, preprocess), expected in zip(cases, wanted, strict=True):
        made = np.frombuffer((tmp_path / f"{name}.made").read_bytes(), np.uint8).reshape(expected.shape)
        assert np.array_equal(made, expected), (shape, preprocess)


def test_every_colour_over_white_is_that_of_pillow(tmp_path):
    values, alphas = (axis.astype(np.uint8) for axis in np.meshgrid(np.arange(256), np.arange(256)))
    pixels = np.stack([values, 255 - values, values[::-1], alphas], axis=-1)
    (tmp_path / "rgba.raw").write_bytes(pixels.tobytes())
    run(
        "for (const channels of cases) writeFileSync(`${channels}.made`,"
        " pixels.opaque(new Uint8Array(readFileSync('rgba.raw')), channels));",
        tmp_path,
        [1, 3],
    )
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    for channels in (1, 3):
        made = np.frombuffer((tmp_path / f"{channels}.made").read_bytes(), np.uint8).reshape(256, 256, channels)
        assert np.array_equal(made, decode(file.getvalue(), channels=channels))


def smooth(h, w):
    """Return a picture without noise, uint8 (h, w, 3): waves of three lengths."""
    rows, columns = np.mgrid[:h, :w]
    waves = (np.sin(rows / 9 + columns / 23), np.cos(rows / 31 - columns / 7), np.sin((rows + columns) / 15))
    return np.stack([(127 + 120 * wave).round() for wave in waves], axis=-1).astype(np.uint8)


def test_large_jpegs_are_reduced_where_pillow_reduces_them_and_by_means_of_squares(tmp_path):
    cases, wanted = [], []
    for number, ((h, w), size) in enumerate(product([(300, 411), (127, 640), (1000, 513)], [8, 28, 64])):
        preprocess = plan((size, size), 3, "crop", 0.875)
        file = io.BytesIO()
        Image.fromarray(smooth(h, w)).save(file, "JPEG", quality=95, subsampling=0)
        draft = Image.open(file)
        side = 2 * -(-size // 0.875)
        draft.draft(None, (side, side))
        wanted.append((round(max(h, w) / max(draft.size)), np.asarray(draft)))
        (tmp_path / f"{number}.raw").write_bytes(np.asarray(Image.open(file)).tobytes())
        cases.append([f"{number}.raw", [h, w, 3], preprocess.to_dict()])
    found = run(
        """const made = cases.map(([name, shape, preprocess]) => {
            const full = source(name, shape);
            const scale = pixels.decodingScale(full.width, full.height, preprocess);
            const small = scale === 1 ? full : pixels.shrunk(full, scale);
            writeFileSync(name + ".made", small.rows(0, small.height));
            return [scale, small.height, small.width];
        });
        console.log(JSON.stringify(made));""",
        tmp_path,
        cases,
    )
    assert {scale for scale, _ in wanted} == {1, 2, 4, 8}
    for (name, *_), (scale, expected), made in zip(cases, wanted, json.loads(found), strict=True):
        assert made == [scale, *expected.shape[:2]], name
        small = np.frombuffer((tmp_path / f"{name}.made").read_bytes(), np.uint8).reshape(expected.shape)
        assert np.abs(small.astype(int) - expected).mean() < 1, name
