"""The page of `fovea check`: all is shown, all is text, nothing is fetched, nothing runs."""

import re
from pathlib import Path

import numpy as np
import pytest

from fovea.report.check import SHOWN_DOUBTS, SHOWN_GROUPS, SHOWN_IMAGES, check_page

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">'\"&{{7*7}}"


def group(*members, **facts):
    images = [{"part": part, "name": name, "label": label} for part, name, label in members]
    facts = {"exact": False, "mirrored": False, "cropped": False, "similarity": 0.93, **facts}
    leak, conflict = (len({image[key] for image in images}) > 1 for key in ("part", "label"))
    return {"images": images, "leak": leak, "conflict": conflict, **facts}


def report(*groups, name="photos", **changes):
    return {
        "data": name,
        "nouns": "images",
        "images": {"train": 1200, "test": 3},
        "classes": {"cat": {"train": 1000, "test": 1}, "dog": {"train": 200, "test": 2}},
        "bad_files": [],
        "groups": list(groups),
        "sizes": {"smallest": (8, 6), "median": (9, 7), "largest": (90, 70), "modes": {"RGB": 1203}, "odd": []},
        "channels": {"train": {"mean": (0.5,), "std": (0.25,)}},
        "blank": [],
        "strays": [],
        "lengths": None,
        "label_faults": None,
        "notes": (),
        "findings": [{"what": "near duplicates", "found": len(groups), "example": "", "fault": True}],
        **changes,
    }


def page_of(content, *, side=8):
    return check_page(content, pixels=lambda member: np.full((side, side, 3), 77, np.uint8))


def doubted(*names, label="cat"):
    """Return what a report says of labels that may be wrong."""
    fault = {"part": "train", "label": label, "likely": "dog", "probability": 0.004, "likely_probability": 0.991}
    return {"lines": ["the network has seen nothing"], "faults": [{"name": name, **fault} for name in names]}


def test_labels_that_look_wrong_stand_with_what_they_look_like_and_how_sure_that_is():
    page = page_of(report(label_faults=doubted("a.png", "b.png")))
    assert page.index("Labels that may be wrong") < page.index("a.png") < page.index("b.png")
    assert page.count("<br>may be") == 2 and "0.4 %" in page and "99.1 %" in page
    assert "the network has seen nothing" in page
    assert "Labels that may be wrong" not in page_of(report())


def test_counts_of_copies_add_up():
    pair = ("train", "a.png", "cat"), ("test", "b.png", "dog")
    same = ("train", "c.png", "cat"), ("train", "d.png", "cat")
    page = page_of(report(group(*pair), group(*same, exact=True), group(*same)))
    assert (
        "3 groups of copies (1 exact, 2 near): 1 with different labels, 1 of these in several splits; "
        "0 more in several splits; 2 within one split."
    ) in page
    assert "of copies (" not in page_of(report())


def test_words_in_backticks_are_set_as_code_and_stay_text():
    bad = {"name": "a.png", "reason": "see `b.png`"}
    page = page_of(report(notes=["features of `head.logits`", "`<b>`"], bad_files=[bad]))
    assert "<code>head.logits</code>" in page and "<code>&lt;b&gt;</code>" in page and "<code>b.png</code>" in page
    assert "`" not in page


def test_so_many_doubted_labels_are_shown_and_the_rest_counted():
    page = page_of(report(label_faults=doubted(*(f"{index}.png" for index in range(SHOWN_DOUBTS + 1500)))))
    assert page.count("<br>may be") == SHOWN_DOUBTS and "1,500 more are not shown" in page


def test_names_of_doubted_images_are_text():
    page = page_of(report(label_faults=doubted(HOSTILE, label=HOSTILE)))
    assert "<script" not in page and "onerror=&#34;" in page.replace("&quot;", "&#34;")


def test_groups_stand_under_the_most_serious_heading_that_fits():
    page = page_of(
        report(
            group(("train", "a.png", "cat"), ("test", "b.png", "dog")),
            group(("train", "c.png", "cat"), ("test", "d.png", "cat"), mirrored=True, cropped=True),
            group(("train", "e.png", "cat"), ("train", "f.png", "cat"), exact=True),
        )
    )
    places = [page.index(mark) for mark in ("Label conflicts", "a.png", "Leaks between", "c.png", "Duplicates within")]
    assert places == sorted(places) and page.index("Duplicates within") < page.index("e.png")
    assert (
        page.count("labels differ")
        == page.count("same pixels")
        == page.count(">mirrored<")
        == page.count(">cropped<")
        == 1
    )
    assert page.count("data:image/png;base64,") == 6


def test_what_is_not_there_has_no_heading():
    page = page_of(report())
    assert not re.search(r"Label conflicts|Leaks between|Duplicates within|cannot be read|Stray|Odd|Blank", page)
    assert "1,200 train, 3 test images, 2 classes" in page


def test_listings_show_names_and_reasons():
    page = page_of(
        report(
            bad_files=[{"name": "x.jpg", "reason": "the file is empty"}],
            strays=["notes.txt"],
            blank=[("white.png", "train")],
        )
    )
    for text in ("x.jpg", "the file is empty", "notes.txt", "white.png"):
        assert f">{text}</td>" in page


def test_a_page_shows_so_much_and_says_what_it_leaves_out():
    large = group(*(("train", f"{index}.png", "cat") for index in range(SHOWN_IMAGES + 3)), ("test", "late.png", "cat"))
    many = [
        group(("train", f"{index}", "cat"), ("train", f"{index} again", "cat")) for index in range(SHOWN_GROUPS + 5)
    ]
    page = page_of(report(large, *many))
    assert "4 more not shown" in page and "late.png" in page, "of every part at least one is shown"
    assert "5 more groups are not shown" in page


def test_large_images_are_reduced_and_small_ones_enlarged_pixel_by_pixel():
    pair = group(("train", "a", "cat"), ("train", "b", "cat"))
    assert 'class="pixels"' in page_of(report(pair), side=32)
    large = page_of(report(pair), side=500)
    assert 'class="pixels"' not in large and "data:image/jpeg" in large


def hostile_page():
    pair = group(("train", HOSTILE, HOSTILE), ("test", f"{HOSTILE}2", "dog"))
    return page_of(
        report(
            pair,
            name=HOSTILE,
            classes={HOSTILE: {"train": 1, "test": 1}},
            bad_files=[{"name": HOSTILE, "reason": HOSTILE}],
            strays=[HOSTILE],
            blank=[(HOSTILE, "train")],
            notes=(HOSTILE,),
        )
    )


def test_names_are_escaped():
    page = hostile_page()
    assert "<script" not in page and "<img src=x" not in page and "{{7*7}}" in page
    assert set(re.findall(r"<img src=\"([^\"]{11})", page)) == {"data:image/"}


def test_a_page_asks_no_other_host():
    addresses = re.findall(
        r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')\s>]+)", page_of(report(group(*[("train", "a", "b")] * 2)))
    )
    assert all(address.startswith(("data:", "#")) for address in addresses)


def test_in_a_browser_hostile_names_run_no_script(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    without_policy = re.sub(r"<meta http-equiv[^>]*>", "", hostile_page())
    (tmp_path / "page.html").write_text(without_policy, encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page()
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        title, scripts, images = page.title(), page.locator("script").count(), page.locator("img").count()
        shown = page.locator("h1").inner_text()
        browser.close()
    assert title != "ran" and (scripts, images) == (0, 2)
    assert shown == HOSTILE
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
