"""Damaged data sets: archives, arrays, tables, published files, through `fovea.check`; nothing is written outside."""

import csv
import gzip
import io
import os
import pickle
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from fovea.jobs.check import check
from tests.campaigns.batches import Finding, Kind, text_fault
from tests.campaigns.images import mutant
from tests.campaigns.mutation import EDGES, damaged
from tests.support.bombs import encoded

TABLE_MB = 48
SETTINGS = {"FOVEA_TABLE_MB": str(TABLE_MB), "FOVEA_IMAGE_MB": str(TABLE_MB)}
CANARY = "canary"
"""What would be written by code that stands in a pickle, or by a member that leads outside."""
NAMES = (
    *(
        "../canary.png",
        "../../canary.png",
        "../../../canary.png",
        "a/../../canary.png",
        "/dev/shm/canary.png",
        "C:x.png",
    ),
    *("a\\b.png", "..\\canary.png", "a/b.png/c.png", "", ".", "a//b.png", "x" * 300 + ".png", "a/" * 200 + "b.png"),
    *("con.png", "A/0.png", "a/0.PNG", "a/é.png", "a/e\u0301.png", "train/0.png", "__MACOSX/a/0.png", ".a/0.png"),
    *("a/0.png", "a/\x1b]0;x\x07.png", "a\0b.png", "a/0.jpg", "labels.csv", "a/\udcff.png"),
)
TEXTS = (
    *(
        "",
        " ",
        "nan",
        "NaN",
        "inf",
        "-1",
        "1e400",
        "0x1",
        "1;2",
        ";",
        "a;a",
        "٣",
        "Ａ",
        '"',
        "'",
        "\0",
        "\ufeff",
        "../a/0.png",
    ),
    *("a/0.png", "/etc/passwd", "a", "x" * 5000, "train", "test", "1" * 400, "1,5", "true", "None", "\x1b[31m"),
)
TASKS = ("labels", "grade", "number")


def small(value: int, side: int = 8) -> bytes:
    return encoded(Image.new("L", (side, side), value), "PNG")


def listing() -> list[tuple[str, bytes]]:
    """Return name and content of the images of two classes."""
    return [(f"set/{'ab'[n % 2]}/{n}.png", small(30 * n)) for n in range(6)]


def changed_listing(chance: Random) -> list[tuple[str, bytes]]:
    """Return the images with a hostile name, a damaged image, or one of them twice."""
    found = listing()
    for _ in range(chance.randint(0, 2)):
        index = chance.randrange(len(found))
        name, content = found[index]
        act = chance.randrange(3)
        if act == 0:
            found[index] = chance.choice(NAMES), content
        elif act == 1:
            found[index] = name, mutant(chance)[1]
        else:
            found.insert(chance.randrange(len(found)), found[index])
    return found


def make_zip(chance: Random, _: Path, folder: Path) -> Path:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in changed_listing(chance):
            info = zipfile.ZipInfo(name.replace("\0", "") if chance.random() < 0.5 else name)
            info.filename = info.filename.encode(errors="replace").decode()
            others = (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
            info.compress_type = chance.choice(others) if chance.random() < 0.1 else zipfile.ZIP_DEFLATED
            hostile = chance.random() < 0.05
            info.external_attr = (chance.choice((0o120777, 0o060644, 0o40755)) if hostile else 0o100644) << 16
            with warnings.catch_warnings(action="ignore"):  # of a name that stands there twice
                archive.writestr(info, content)
    return _written(folder / "set.zip", stream.getvalue(), chance)


def make_tar(chance: Random, _: Path, folder: Path) -> Path:
    suffix = chance.choice((".tar", ".tar", ".tar.gz", ".tar.xz", ".tar.bz2"))
    stream = io.BytesIO()
    form = chance.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT))
    mode = {".tar": "w", ".tar.gz": "w:gz", ".tar.xz": "w:xz", ".tar.bz2": "w:bz2"}[suffix]
    with tarfile.open(fileobj=stream, mode=mode, format=form, errors="surrogateescape") as archive:
        for name, content in changed_listing(chance):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if chance.random() < 0.04:
                info.type = chance.choice(
                    (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE)
                )
                info.linkname = chance.choice(("/etc/passwd", "set/a/0.png", "../canary", ""))
            if form == tarfile.PAX_FORMAT and chance.random() < 0.1:
                info.pax_headers = {
                    chance.choice(("path", "size", "mtime", "GNU.sparse.map", "x")): chance.choice(TEXTS)
                }
            try:
                archive.addfile(info, io.BytesIO(content))
            except ValueError:  # a name that the format cannot hold
                continue
    return _written(folder / f"set{suffix}", stream.getvalue(), chance, near=600)


def _written(path: Path, content: bytes, chance: Random, *, near=1024) -> Path:
    """Write a container, damaged as a whole or only within."""
    path.write_bytes(damaged(content, chance, near=near) if chance.random() < 0.5 else content)
    return path


def make_npz(chance: Random, _: Path, folder: Path) -> Path:
    kind = "u1" if chance.random() < 0.9 else chance.choice(("f4", "u2", "?", "O", "M8[s]", "U3"))
    shape = chance.choice(((12, 8, 8), (12, 8, 8, 3), (12, 3, 8, 8)))
    if chance.random() < 0.1:
        shape = chance.choice(((12, 8, 8, 4), (0, 8, 8), (12,), (), (12, 0, 8), (13, 8, 8)))
    images = (
        np.zeros(shape, kind) if kind in "OM8[s]U3" else np.random.default_rng(0).integers(0, 2, shape).astype(kind)
    )
    labels = chance.choice(
        (np.arange(12) % 2, np.arange(12.0) % 3, np.array(list("abcabcabcabc")), np.eye(12)[:, :2], np.full(12, np.nan))
    )
    arrays = {"images": images, "labels": labels} if chance.random() < 0.5 else {"x_train": images, "y_train": labels}
    if chance.random() < 0.3:
        arrays["classes"] = chance.choice(
            (np.array(["x", "y", "z"]), np.array(["x", "x"]), np.array(3), np.array([b"x", b"\xff"]))
        )
    if chance.random() < 0.2:
        arrays["x_val"], arrays["y_val"] = images[:3] if images.ndim else images, labels[:3]
    members = {f"{name}.npy": _npy(array, chance) for name, array in arrays.items()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return _written(folder / "set.npz", stream.getvalue(), chance)


def _npy(array: np.ndarray, chance: Random) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    content = stream.getvalue()
    act = chance.random()
    if act < 0.08:
        return damaged(content, chance, near=100)
    if act < 0.16:
        shape = chance.choice(EDGES), chance.choice((1, 8, 2**40))
        text = repr(
            {
                "descr": chance.choice(("|u1", "<f8", "|O", "<U9", ">i4", "|V8", "<M8[s]", "x")),
                "fortran_order": chance.random() < 0.3,
                "shape": shape,
            }
        )
        if chance.random() < 0.2:
            text = chance.choice(("{}", "(" * 400, "{'descr': 'u1'}", "[" * 9 + "]" * 9, text.replace(",", ", ,", 1)))
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n" + content[128:]
    return content


def write_parquet(folder: Path) -> None:
    """Write tables of images with labels of every kind."""
    import pyarrow as pa
    from pyarrow import parquet

    images = [{"bytes": small(20 * n), "path": f"{n}.png"} for n in range(12)]
    for number, (compression, version) in enumerate(
        (("snappy", "1.0"), ("none", "2.0"), ("gzip", "1.0"), ("zstd", "2.0"))
    ):
        label = (
            [n % 2 for n in range(12)],
            list("abcabcabcabc"),
            [n / 7 for n in range(12)],
            [[n % 2, 3] for n in range(12)],
        )
        table = pa.table(
            {"image": images if number % 2 else [image["bytes"] for image in images], "label": label[number]}
        )
        parquet.write_table(
            table, folder / f"{number}.parquet", compression=compression, data_page_version=version, row_group_size=5
        )


def make_parquet(chance: Random, originals: Path, folder: Path) -> Path:
    contents = [file.read_bytes() for file in sorted(originals.glob("*.parquet"))]
    content = damaged(chance.choice(contents), chance, others=contents)
    if chance.random() < 0.3:  # the table of contents alone
        content = chance.choice(contents)
        length = struct.unpack("<I", content[-8:-4])[0]
        footer = damaged(content[-8 - length : -8], chance)
        content = content[: -8 - length] + footer + struct.pack("<I", len(footer)) + b"PAR1"
    (folder / "set.parquet").write_bytes(content)
    return folder / "set.parquet"


def make_csv(chance: Random, _: Path, folder: Path) -> Path:
    rows = [["path", "label", "split"]]
    for name, content in listing():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        rows.append([name.removeprefix("set/"), str(len(rows) % 3), chance.choice(("train", "train", "test"))])
    for _ in range(chance.randint(0, 4)):
        row = chance.choice(rows)
        act = chance.randrange(5)
        if act < 2 and row:
            row[chance.randrange(len(row))] = chance.choice(TEXTS)
        elif act == 2:
            row.append(chance.choice(TEXTS))
        elif act == 3 and row:
            row.pop()
        else:
            rows.insert(chance.randrange(len(rows) + 1), list(row))
    stream = io.StringIO()
    csv.writer(stream, delimiter=chance.choice((",", ",", ",", ";", "\t"))).writerows(rows)
    content = stream.getvalue().encode(chance.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")), "replace")
    if chance.random() < 0.5:
        content = damaged(content, chance, near=60)
    place = folder / "set" / chance.choice(("labels.csv", "metadata.csv"))
    place.write_bytes(content)
    return place if chance.random() < 0.7 else place.parent


def make_idx(chance: Random, _: Path, folder: Path) -> Path:
    place = folder / "set"
    place.mkdir()
    for stem in ("train", "t10k"):
        images = struct.pack(">HBB3I", 0, 8, 3, 6, 8, 8) + bytes(range(256)) + bytes(128)
        labels = struct.pack(">HBBI", 0, 8, 1, 6) + bytes((0, 1, 2, 0, 1, 2))
        for name, content in ((f"{stem}-images-idx3-ubyte", images), (f"{stem}-labels-idx1-ubyte", labels)):
            content = damaged(content, chance, near=16) if chance.random() < 0.4 else content
            zipped = chance.random() < 0.5
            content = gzip.compress(content) if zipped else content
            content = damaged(content, chance, near=16) if chance.random() < 0.1 else content
            (place / f"{name}{'.gz' if zipped else ''}").write_bytes(content)
    return place


class Hostile:
    """Pickles as a call that would write the canary."""

    def __reduce__(self):
        return os.system, (f"touch {CANARY}",)


def make_cifar(chance: Random, _: Path, folder: Path) -> Path:
    place = folder / "cifar-10-batches-py"
    place.mkdir()
    data = np.random.default_rng(0).integers(0, 256, (4, 3072)).astype(np.uint8)
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"):
        held = {b"label_names": [b"a", b"b"]} if name == "batches.meta" else {b"data": data, b"labels": [0, 1, 0, 1]}
        if chance.random() < 0.1:
            key = chance.choice(list(held))
            other = (
                Hostile(),
                data.astype("f4"),
                data[:2],
                data.astype("O"),
                [],
                [[]],
                None,
                {b"x": 1},
                "x",
                2**70,
                [b"\xff"],
            )
            held[key] = chance.choice(other)
        content = pickle.dumps(held, protocol=chance.choice((0, 2, 2, 2, 4)))
        if chance.random() < 0.1:
            content = damaged(content, chance, near=200)
        (place / name).write_bytes(content)
    if chance.random() < 0.3:
        with tarfile.open(folder / "set.tar.gz", "w:gz") as archive:
            archive.add(place, place.name)
        return folder / "set.tar.gz"
    return folder


def use(path: Path, chance: Random) -> None:
    """Check a data set as a task draws; afterwards nothing lies where it should not, nor half written."""
    folder = next(place for place in (path, *path.parents) if place.name.isdigit())  # that of the item
    inside = {file.name for file in folder.iterdir()}
    os.chdir(folder)
    task = "classes" if chance.random() < 0.6 else chance.choice(TASKS)
    try:
        found = check(path, task=task)
        for name, reason in found.bad_files:
            if fault := text_fault(reason):
                raise Finding(f"{name}: {fault}")
    finally:
        os.chdir("/")
        _clean(folder, inside)


def _clean(folder: Path, inside: set[str]) -> None:
    """Raise Finding where something was left that is half written, or lies outside."""
    for outside in (folder, folder.parent, Path("/dev/shm")):
        if found := [str(file) for file in outside.glob(f"{CANARY}*")]:
            raise Finding(f"written outside: {found}")
    if new := {file.name for file in folder.iterdir()} - inside - {"cache"}:
        raise Finding(f"written beside the cache: {new}")
    cache = folder / "cache"
    if cache.exists():
        if strange := {entry.name for entry in cache.iterdir()} - {"archives", "arrays", "decoded"}:
            raise Finding(f"strange in the cache: {strange}")
        if left := [*cache.rglob(".unfinished-*"), *cache.rglob("*.tmp")]:
            raise Finding(f"left in the cache: {left}")


def warm(originals: Path) -> None:
    for name, content in listing():
        (originals / name).parent.mkdir(parents=True, exist_ok=True)
        (originals / name).write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEA_CACHE", str(originals / "cache"))
        for data in (originals / "set", *originals.glob("*.parquet")):
            check(data, task={"2.parquet": "number", "3.parquet": "labels"}.get(data.name, "classes"))


def kind(name: str, make: Callable[[Random, Path, Path], Path], *, prepare=lambda folder: None) -> Kind:
    return Kind(
        name=name, make=make, attempt=use, prepare=prepare, warm=warm, peak_mb=3 * TABLE_MB, settings=SETTINGS, short=30
    )


KINDS = (
    kind("zip", make_zip),
    kind("tar", make_tar),
    kind("npz", make_npz),
    *([kind("parquet", make_parquet, prepare=write_parquet)] if find_spec("pyarrow") else []),
    kind("csv", make_csv),
    kind("idx", make_idx),
    kind("cifar", make_cifar),
)
