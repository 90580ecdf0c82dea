"""`fovea filter`: what is filtered, where the picture goes, and one line for whatever cannot be."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fovea
from fovea.errors import DataError, ImageError, NotFoundError, UsageError
from fovea.jobs import filter as job
from fovea.jobs.filter import filter
from fovea.reference import filters

DOCS = Path(fovea.__file__).parents[1] / "docs" / "filters"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Be in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def blank(monkeypatch):
    """Write empty pictures: what takes the time."""
    monkeypatch.setattr(job, "save_figure", lambda figure, path: path.write_bytes(b""))


@pytest.fixture
def write_image(here):
    def write(pixels, name="image.png"):
        Image.fromarray(np.array(pixels, np.uint8)).save(name)
        return name

    return write


@pytest.fixture
def write_signal(here):
    def write(*values, name="signal.csv"):
        Path(name).write_text("".join(f"{value}\n" for value in values))
        return name

    return write


def test_the_patch_of_lecture_002_becomes_114(here):
    result = filter(DOCS / "patch.png", "0 -1 0; -1 5 -1; 0 -1 0", mode="zero")
    assert result.input.shape == result.output.shape == (5, 5, 1)
    assert result.output[0, 0, 0] == 114
    assert result.picture == Path("patch-kernel.png") and result.picture.read_bytes().startswith(b"\x89PNG")


def test_a_name_and_its_numbers_are_the_same(blank, write_image):
    source = write_image(np.random.default_rng(0).integers(0, 256, (7, 9)))
    by_name = filter(source, "sobel-x")
    by_numbers = filter(source, " -1, 0, 1 ;-2 0 2; -1 0 1; ")
    assert np.array_equal(by_name.output, by_numbers.output) and by_name.output.any()
    assert [result.picture.name for result in (by_name, by_numbers)] == ["image-sobel-x.png", "image-kernel.png"]


def test_what_keeps_the_brightness_filters_colours_and_the_rest_the_grey(blank, write_image):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3))
    source = write_image(pixels)
    blurred, edges = filter(source, "box", padding="valid"), filter(source, "sobel-y")
    assert (blurred.input.shape, blurred.output.shape) == ((12, 10, 3), (10, 8, 3))
    assert np.isclose(blurred.output[0, 0, 2], pixels[:3, :3, 2].mean())
    assert edges.input.shape == edges.output.shape == (12, 10, 1)


def test_a_grey_image_stays_grey(blank, write_image):
    assert filter(write_image(np.full((4, 4, 3), 9)), "box").output.shape == (4, 4, 1)


def test_stride_padding_and_mode_are_those_of_correlation(blank, write_signal):
    source = write_signal(1, 2, 3, 4, 5)
    assert filter(source, "1 1 1", stride=2).output.tolist() == [4, 9, 14]
    assert filter(source, "1 1 1", padding="valid").output.tolist() == [6, 9, 12]
    assert filter(source, "1 1", padding="full", mode="zero").output.tolist() == [1, 3, 5, 7, 9, 5]
    assert filter(source, "1 1 1", padding=1, mode="circular").output.tolist() == [8, 6, 9, 12, 10]
    assert filter(source, "1 1 1", mode="reflect").output.tolist() == [5, 6, 9, 12, 13]


def test_the_result_as_json_and_in_words(write_signal):
    result = filter(write_signal(4, -2, 4), "box", out="out.svg")
    assert json.loads(json.dumps(result.to_dict())) == {
        "source": "signal.csv",
        "kernel": "box",
        "kernel_shape": [3],
        "input_shape": [3],
        "output_shape": [3],
        "min": 2.0,
        "max": 2.0,
        "picture": "out.svg",
    }
    assert result.summary() == [
        "Input    signal.csv, 3 samples",
        "Kernel   box, 3 samples, sum 1",
        "Output   3 samples, from 2 to 2",
        "Picture  out.svg",
    ]
    assert b"<svg" in Path("out.svg").read_bytes()


@pytest.mark.parametrize(
    ("kernel", "fault"),
    [
        ("sobl-x", r"Unknown kernel `sobl-x`; did you mean `sobel-x` or `sobel-y`\? Known: sobel-x, .* high-pass \("),
        (
            "recent-9",
            (
                "`recent-9` is a kernel for signals; kernels for images are sobel-x, .*, or your own "
                "numbers, for example"
            ),
        ),
        ("sobel-x-5", "Unknown kernel `sobel-x-5`; did you mean `sobel-x`"),
        ("box-4", "The size of `box-4` must be odd"),
        ("box-99999999999999999999", "Unknown kernel `box-9+`"),
        ("", r"`kernel` \(=\) must have rows of equal length, for example \"0 -1 0"),
        (";;", "must have rows of equal length"),
        ("1 2; 3", r"`kernel` \(=1 2; 3\) must have rows of equal length"),
        ("1 x", "must contain only numbers"),
        ("1 -nan", "must contain only numbers from -1e.100 to 1e.100"),
        ("1e200", "must contain only numbers from"),
        ("1 " * 256, "may have at most 255 rows and columns"),
    ],
)
def test_a_bad_kernel_is_a_usage_error(write_image, kernel, fault):
    with pytest.raises(UsageError, match=fault) as caught:
        filter(write_image([[1, 2], [3, 4]]), kernel)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kernel", "fault"),
    [
        ("sobel-x", "`sobel-x` is a kernel for images; kernels for signals are box, .*, dirac-train, or your own"),
        ("1 1; 1 1", "has 2 rows; give one row for a signal, for example"),
    ],
)
def test_a_kernel_of_an_image_does_not_fit_a_signal(write_signal, kernel, fault):
    with pytest.raises(UsageError, match=fault):
        filter(write_signal(1, 2), kernel)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"stride": 0}, "Strides, .* must be at least 1"),
        ({"padding": "some"}, "Unknown padding `some`; use `valid`, `same`, `full` or numbers"),
        ({"padding": -1}, r"`padding` \(=-1\) must be one number >= 0"),
        ({"padding": 10**9}, r"`padding` \(=1000000000\) is too large: it would enlarge the input to [\d,]+ values"),
        ({"mode": "mirror"}, "Unknown `mode` `mirror`; use"),
        ({"kernel": "box-5", "padding": "valid"}, "does not fit into a padded input"),
        ({"out": "image.png"}, r"`out` \(=image.png\) is the source itself"),
        ({"out": "link.png"}, r"`out` \(=link.png\) is the source itself"),
        ({"out": "picture.gif"}, r"`out` \(=picture.gif\) must end in .png, .jpg, .pdf or .svg"),
    ],
)
def test_a_bad_option_is_a_usage_error_that_leaves_all_as_it_was(write_image, options, fault):
    source = write_image([[1, 2], [3, 4]])
    Path("link.png").symlink_to(source)
    before = Path(source).read_bytes()
    with pytest.raises(UsageError, match=fault):
        filter(source, **{"kernel": "box", **options})
    assert Path(source).read_bytes() == before
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["image.png", "link.png"]


def test_what_cannot_be_read_or_written_is_said(write_image, write_signal):
    Path("text.png").write_text("no image")
    with pytest.raises(ImageError, match="`text.png`: not a JPEG"):
        filter("text.png", "box")
    with pytest.raises(NotFoundError, match="There is no file `absent.png`"):
        filter("absent.png", "box")
    with pytest.raises(DataError, match="line 2: `x`"):
        filter(write_signal(1, "x"), "box")
    with pytest.raises(UsageError, match=r"`out` \(=none.out.png\): there is no folder `none`"):
        filter(write_image([[1]]), "box", out="none/out.png")


def test_the_largest_numbers_are_drawn(write_signal):
    result = filter(write_signal(1e100, -1e100, 1e-320), "1e100 1 1")
    assert np.isfinite(result.output).all() and result.picture.exists()


@pytest.mark.parametrize("sizes", [(1, 1), (1, 300), (2500, 3)])
@pytest.mark.parametrize("kernel", ["laplacian", "box"])
def test_images_of_odd_shapes_are_drawn(write_image, sizes, kernel):
    assert filter(write_image(np.random.default_rng(0).integers(0, 256, (*sizes, 3))), kernel).picture.exists()


def test_the_inputs_of_the_page_are_what_its_script_writes():
    script = runpy.run_path(str(DOCS / "inputs.py"))
    for name, made in (
        ("plane", script["plane"]()),
        ("ramp-sine", script["ramp_sine"]()),
        ("pulse", script["pulse"]()),
    ):
        kept = np.loadtxt(DOCS / f"{name}.csv", delimiter=",", skiprows=1)
        np.testing.assert_allclose(kept, made, rtol=1e-3, atol=1e-3)
    assert np.array_equal(np.asarray(Image.open(DOCS / "patch.png")), script["PATCH"])


def test_the_signals_of_the_page_show_what_it_says(blank, here):
    low, high = (filter(DOCS / "ramp-sine.csv", f"{name}-31").output for name in ("low-pass", "high-pass"))
    middle, i = slice(40, 57), np.arange(97)
    np.testing.assert_allclose(low[middle], (3 * i / 96)[middle], atol=2e-3)
    np.testing.assert_allclose(high[middle], np.sin(2 * np.pi * (i - 24) / 16)[middle], atol=2e-3)
    noisy = filter(DOCS / "plane.csv", "recent-9")
    assert np.diff(noisy.output).std() < np.diff(noisy.input).std() / 4
    pulses = filter(DOCS / "pulse.csv", "dirac-train-31", padding="full", mode="zero")
    assert np.array_equal(pulses.output, np.tile(pulses.input, 3))


def test_progress_is_told(blank, write_image, monkeypatch):
    class Counting:
        def counter(self, title):
            return lambda done, total: counts.append((title, done, total))

    counts = []
    monkeypatch.setattr(filters, "BAND_VALUES", 20)
    filter(write_image(np.eye(10)), "box", display=Counting())
    assert counts[-1] == ("filtering", 10, 10) and len(counts) > 2
