"""Damaged masks, boxes and points: XML, JSON, texts, tables, masks as pictures, and archives of them.

Each is a small whole data set with one to three things in it changed. It is checked, and decoded for a network.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from fovea.data.sources.source import DataSource
from fovea.jobs.check import check
from fovea.preprocess import Preprocess
from tests.campaigns.batches import Finding, Kind, text_fault
from tests.campaigns.data import SETTINGS, TABLE_MB, _clean
from tests.campaigns.images import mutant
from tests.campaigns.mutation import NOT_JSON, VALUES, altered, damaged
from tests.support.bombs import encoded

SIDE, COUNT = 12, 6
NUMBERS = (
    *("nan", "inf", "-inf", "1e300", "-1e300", "1e999", "1e-320", "-5", "0", "99999999999", "1" * 400, "-0.0", "0x10"),
    *("", " ", "x", "٣", "1,5", "\0", "\x1b[31m", "../a", "None", "1_0"),
)
VALUES_OF_NUMBERS = (*VALUES, *NOT_JSON, -5, 99999999999, "12", [[]], [1e300] * 6, [float("nan")] * 8)
LINES = ("", ",", "\0", '"', "x", "\ufeff", "é", "#", "0 0.5 0.5 9 9", "0 nan nan nan nan", "1 1 1", "-1 .5 .5 .1 .1")
WIDE = 200_000
"""Numbers of a list, characters of a line, elements one in another: more than a reader should follow."""


class Form(NamedTuple):
    """One way to write annotations."""

    task: str
    write: Callable[[Path], None]
    texts: tuple[str, ...]
    """Patterns of its files that are texts."""


def picture(value: int, mode: str = "L", size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    return encoded(Image.new("L", size, value).convert(mode), "PNG")


def write_images(folder: Path, place: str) -> list[str]:
    """Write images into a folder, and return their names without suffix."""
    (folder / place).mkdir(parents=True)
    for index in range(COUNT):
        (folder / place / f"{index}.png").write_bytes(picture(30 * index))
    return [str(index) for index in range(COUNT)]


def write_voc(folder: Path) -> None:
    names = write_images(folder, "JPEGImages")
    (folder / "Annotations").mkdir()
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "ImageSets" / "Main" / "train.txt").write_text("\n".join(names))
    for name in names:
        box = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
        size = f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>1</depth></size>"
        (folder / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.png</filename>{size}"
            f"<object><name>cell</name><difficult>0</difficult>{box}</object></annotation>"
        )


def coco(annotation: dict[str, object], category: dict[str, object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        names = write_images(folder, "images")
        images = [{"id": i, "file_name": f"{n}.png", "width": SIDE, "height": SIDE} for i, n in enumerate(names)]
        each = [{"id": i + 1, "image_id": i, "category_id": 3, **annotation} for i in range(COUNT)]
        content = {"images": images, "annotations": each, "categories": [{"id": 3, "name": "cell", **category}]}
        (folder / "annotations.json").write_text(json.dumps(content))

    return write


def write_yolo(folder: Path) -> None:
    names = write_images(folder, "images")
    (folder / "labels").mkdir()
    (folder / "data.yaml").write_text("nc: 2\nnames: [cell, rim]\n")
    for name in names:
        (folder / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.4 0.4\n1 0.25 0.25 0.2 0.2\n")


def write_box_list(folder: Path) -> None:
    rows = [f"images/{name}.png,cell,2,2,9,8" for name in write_images(folder, "images")]
    (folder / "list.csv").write_text("\n".join(["path,label,x0,y0,x1,y1", *rows]))


def write_point_list(folder: Path) -> None:
    rows = [f"images/{name}.png,2,2,2,9,8,1" for name in write_images(folder, "images")]
    (folder / "list.csv").write_text("\n".join(["path,eye_x,eye_y,eye_v,nose_x,nose_y,nose_v", *rows]))


def write_masks(folder: Path) -> None:
    names = write_images(folder, "images")
    (folder / "masks").mkdir()
    (folder / "classes.csv").write_text("name,index\nground,0\ncell,1\nvoid,255\n")
    for name in names:
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[3:8, 2:9] = 1
        (folder / "masks" / f"{name}.png").write_bytes(encoded(Image.fromarray(mask), "PNG"))


POLYGON = {"segmentation": [[2, 2, 9, 2, 9, 8, 2, 8]], "bbox": [2, 2, 7, 6], "area": 42, "iscrowd": 0}
COUNTS = {"segmentation": {"size": [SIDE, SIDE], "counts": [30, 5, 109]}, "bbox": [2, 6, 1, 5], "iscrowd": 1}
PACKED = {"segmentation": {"size": [SIDE, SIDE], "counts": "n05]3"}, "bbox": [2, 6, 1, 5], "iscrowd": 0}
KEYPOINTS = {"keypoints": [2, 2, 2, 9, 8, 1], "num_keypoints": 2, "bbox": [2, 2, 7, 6], "iscrowd": 0, "area": 42}
FORMS = (
    Form("boxes", write_voc, ("Annotations/*.xml", "ImageSets/*/*.txt")),
    Form("boxes", coco(POLYGON, {}), ("*.json",)),
    Form("masks", coco(POLYGON, {}), ("*.json",)),
    Form("masks", coco(COUNTS, {}), ("*.json",)),
    Form("masks", coco(PACKED, {}), ("*.json",)),
    Form("points", coco(KEYPOINTS, {"keypoints": ["eye", "nose"], "skeleton": [[1, 2]]}), ("*.json",)),
    Form("boxes", write_yolo, ("labels/*.txt", "*.yaml")),
    Form("boxes", write_box_list, ("*.csv",)),
    Form("points", write_point_list, ("*.csv",)),
    Form("masks", write_masks, ("*.csv",)),
)
BOMB = '<!DOCTYPE a [<!ENTITY b "{}">{}]><annotation><filename>&{};</filename></annotation>'


def bombs(chance: Random) -> bytes:
    """Return a text that would grow, lead elsewhere, or lie deeper than a reader should follow."""
    names = "bcdefghijk"
    grown = "".join(f'<!ENTITY {b} "{f"&{a};" * 20}">' for a, b in zip(names, names[1:], strict=False))
    external = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation><filename>&b;</filename></annotation>'
    return chance.choice(
        (
            BOMB.format("x" * 1000, grown, "k"),
            external,
            "<annotation>" * WIDE,
            f"<annotation>{'<object/>' * WIDE}</annotation>",
            f"<annotation {' '.join(f'a{i}=' + chr(34) * 2 for i in range(WIDE // 10))}/>",
            "[" * WIDE,
            '{"a":' * WIDE,
            '{"images": [' + "{}," * WIDE + "{}]}",
            "0 .5 .5 .1 .1\n" * WIDE,
            "x" * 5 * WIDE,
            "names: " + "[" * WIDE,
            "a: &a [x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(50)),
            ",".join("x" * WIDE),
        )
    ).encode()


def long_list(chance: Random) -> list[object]:
    """Return polygons, counts or numbers, more of them or larger than a drawing has."""
    return chance.choice(
        (
            [[chance.uniform(-1e6, 1e6) for _ in range(WIDE)]],
            [[1e300, -1e300] * 50],
            [[2, 2, 9, 2, 9]],
            [[2, 2]],
            [[0, 0, 1e9, 0, 1e9, 1e9]] * 100,
            [1] * WIDE,
            [2**62, 2**62],
            [-5, 200],
            [SIDE * SIDE + 1],
            [0] * WIDE + [SIDE * SIDE],
        )
    )


def of_json(content: bytes, chance: Random) -> bytes:
    values = json.loads(content)
    act = chance.randrange(4)
    if act == 0:
        one = chance.choice(values["annotations"])
        one["segmentation"] = chance.choice(
            (
                long_list(chance),
                {"size": chance.choice(([SIDE, SIDE], [10**9, 10**9], [-1, 5], [], 3)), "counts": long_list(chance)},
                {"size": [SIDE, SIDE], "counts": chance.choice(("", "n05]3" * WIDE, "\x00\xff", "~~~~~~~~~~~~~", "é"))},
            )
        )
    elif act == 1:
        key = chance.choice(("images", "annotations", "categories"))
        values[key] += [chance.choice(values[key])] * chance.choice((1, 1000))
    else:
        values = altered(values, chance, others=VALUES_OF_NUMBERS)
    return json.dumps(values).encode()


def of_text(content: bytes, chance: Random) -> bytes:
    """Change a line, a number, or bytes of a text."""
    text = content.decode()
    lines = text.splitlines()
    act, at = chance.randrange(5), chance.randrange(max(len(lines), 1))
    if act == 0:
        lines[at:at] = [chance.choice((*LINES, *lines))] * chance.choice((1, 2, 1000))
    elif act == 1 and lines:
        del lines[at]
    elif act == 2:
        return damaged(content, chance, near=200)
    else:
        numbers = set("".join(c if c.isalnum() or c in ".-" else " " for c in text).split())
        old = chance.choice(sorted(numbers) or ["x"])
        return text.replace(old, chance.choice(NUMBERS), chance.choice((1, -1))).encode()
    return "\n".join(lines).encode()


def other_mask(chance: Random) -> bytes:
    """Return a picture that is a mask in another mode, of another size, with other values, or none."""
    if chance.random() < 0.3:
        return mutant(chance)[1]
    mode = chance.choice(("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "CMYK"))
    size = chance.choice(((SIDE, SIDE), (SIDE, SIDE), (1, 1), (SIDE, 5), (3000, 3000)))
    image = Image.new("L", size, chance.choice((0, 1, 2, 254, 255)))
    kept = {"I;16": "I;16", "I": "I;16", "CMYK": "RGB"}.get(mode, mode)
    return encoded(image.convert("I").convert(kept) if kept == "I;16" else image.convert(kept), "PNG")


def change(folder: Path, form: Form, chance: Random) -> None:
    """Change one thing of a data set."""
    texts = sorted(path for pattern in form.texts for path in folder.glob(pattern))
    pictures = sorted(path for path in folder.rglob("*.png"))
    act = chance.random()
    path = chance.choice(texts if act < 0.7 and texts else pictures)
    if act < 0.1:
        path.write_bytes(bombs(chance))
    elif act < 0.7 and texts:
        content = path.read_bytes()
        path.write_bytes(of_json(content, chance) if path.suffix == ".json" else of_text(content, chance))
    elif act < 0.85:
        path.write_bytes(other_mask(chance))
    elif act < 0.95:
        path.unlink()
        path.symlink_to(chance.choice(("/etc/passwd", "/dev/zero", "/dev/shm", path.name, "nowhere", pictures[0].name)))
    else:
        path.rename(path.with_name(chance.choice(("x" * 200 + ".png", "é.PNG", "0.jpg", "\x1b[31m.png"))))


def make(chance: Random, _: Path, folder: Path) -> Path:
    """Write a data set of one form with one to three things changed, sometimes as an archive."""
    form = chance.choice(FORMS)
    data = folder / "set"
    data.mkdir()
    form.write(data)
    for _ in range(chance.randint(1, 3)):
        try:
            change(data, form, chance)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, OSError, RecursionError):
            pass  # what was changed before leaves nothing to change so
    (folder / "task").write_text(form.task)
    if chance.random() < 0.15:
        shutil.make_archive(str(folder / "set"), chance.choice(("zip", "tar", "gztar")), folder, "set")
        shutil.rmtree(data)
        return next(path for path in folder.iterdir() if path.name.startswith("set"))
    lists = [*data.glob("list.csv"), *data.glob("annotations.json")]
    return lists[0] if lists and chance.random() < 0.3 else data


def use(path: Path, chance: Random) -> None:
    """Check a data set, and decode it as a network sees it; nothing is left half written."""
    folder = next(place for place in (path, *path.parents) if place.name.isdigit())
    task, inside = (folder / "task").read_text(), {file.name for file in folder.iterdir()}
    os.chdir(folder)
    frame = Preprocess(size=(16, 16), channels=1, fit="letterbox", mean=(0.5,), std=(0.5,))
    try:
        for name, reason in check(path, task=task).bad_files:
            if fault := text_fault(reason):
                raise Finding(f"{name}: {fault}")
        source = DataSource(data=path, task=task, allow_bad=True)
        source.decode(source.find(), frame)
    finally:
        os.chdir("/")
        _clean(folder, inside)


def warm(originals: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEA_CACHE", str(originals / "cache"))
        for number, form in enumerate(FORMS):
            data = originals / str(number) / "set"
            data.mkdir(parents=True)
            form.write(data)
            (data.parent / "task").write_text(form.task)
            use(data, Random(0))


KINDS = (
    Kind(name="annotations", make=make, attempt=use, warm=warm, peak_mb=5 * TABLE_MB, settings=SETTINGS, short=60),
)
