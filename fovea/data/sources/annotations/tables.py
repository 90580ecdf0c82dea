"""Which class each value of the masks of a folder stands for: by its `classes.csv`, a convention, or what is found."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fovea.data.masks import distinct, value_text
from fovea.data.sources.annotations.conventions import Named, camvid, cityscapes, named, voc
from fovea.data.sources.archives import Progress
from fovea.data.sources.manifests import open_table
from fovea.errors import DataError, ImageError, listed, shortened
from fovea.files import is_file
from fovea.preprocess import VOID, read_header
from fovea.preprocess.values import decode_values
from fovea.texts import composed

FILES = ("classes.csv", "class_dict.csv")
NAMES = ("name", "class", "label")
INDICES = ("index", "value", "level", "id")
COLOURS = ("colour", "color")
CHANNELS = (("r", "g", "b"), ("red", "green", "blue"))
VOIDS = frozenset({"void", "ignore"})
"""What a class is called that is none, in any case."""
MOST_VALUES = 255
"""Of a mask, or of all: one that has more is no mask."""
LOOKED_AT = 5000
"""Masks that are read to see which values there are."""


def table_file(*folders: Path) -> Path | None:
    """Return the first file with a table in these folders."""
    return next((folder / name for folder in folders for name in FILES if is_file(folder / name)), None)


def read_table(file: Path) -> Named:
    """Return the table in a CSV file: a name, and an index or a colour, a row each.

    Columns are `name`, and `index`, or `r`, `g`, `b`, or `colour` as #rrggbb. A class may have several rows; one called
    void or ignore is none.

    Raises: DataError for a file without such columns, or a value that is none or stands there twice.
    """
    with open_table(file) as reader:
        columns = {name.lower(): name for name in reversed(reader.fieldnames or ())}
        name = next((columns[each] for each in NAMES if each in columns), None)
        index = next((columns[each] for each in INDICES if each in columns), None)
        colour = next((columns[each] for each in COLOURS if each in columns), None)
        channels = next(([columns[each] for each in three] for three in CHANNELS if columns.keys() >= set(three)), None)
        if name is None or (index is None and colour is None and channels is None):
            raise DataError(
                f"`{file}` has the columns {listed(columns) or 'none'}; expected `name`, and `index`, or `r`, `g`, "
                "`b`, or `colour`."
            )
        rows = []
        for cells in reader:
            where = f"`{file}`, line {reader.line_num}"
            text = composed((cells.get(name) or "").strip())
            if channels:
                value = _packed([cells.get(channel) for channel in channels], where)
            elif colour:
                value = _hexadecimal(cells.get(colour) or "", where)
            else:
                value = _whole(cells.get(index or "") or "", where, most=65535)
            if not text:
                raise DataError(f"{where}: a class without a name; use the name `void` for pixels without a class.")
            rows.append((value, "" if text.lower() in VOIDS else text))
    return _checked(rows, file, colours=bool(channels or colour))


def _checked(rows: list[tuple[int, str]], file: Path, *, colours: bool) -> Named:
    values = [value for value, _ in rows]
    if twice := next((value for value in values if values.count(value) > 1), None):
        raise DataError(f"`{file}` lists {value_text(twice, colours=colours)} twice; keep one class for it.")
    found = named(rows, colours=colours)
    if not 2 <= len(found.names) <= MOST_VALUES:
        raise DataError(f"`{file}` has {len(found.names)} classes; allowed are 2 to {MOST_VALUES}.")
    return found


def _packed(cells: Sequence[str | None], where: str) -> int:
    red, green, blue = (_whole(cell or "", where, most=255) for cell in cells)
    return red << 16 | green << 8 | blue


def _whole(text: str, where: str, *, most: int) -> int:
    if not text.strip().isdecimal() or len(text) > 9 or int(text) > most:
        raise DataError(f"{where}: `{shortened(text)}` is not a whole number from 0 to {most}.")
    return int(text)


def _hexadecimal(text: str, where: str) -> int:
    digits = text.strip().removeprefix("#")
    if len(digits) != 6 or not set(digits.lower()) <= set("0123456789abcdef"):
        raise DataError(f"{where}: `{shortened(text)}` is not a colour such as #804080.")
    return int(digits, 16)


def found_table(masks: Sequence[Path], *, progress: Progress | None = None) -> tuple[Named, str]:
    """Return the table that the values of masks tell, and a line that says how they were taken.

    Indices 0 to n - 1 and levels are classes of their own, called by their values, and 255 beside indices is void;
    colours are those of Cityscapes, CamVid or VOC.

    Raises: DataError for masks that have too many values, and for colours that are of no convention.
    """
    chosen = masks[:: max(1, -(-len(masks) // LOOKED_AT))]
    palettes = any(_mode(mask) == "P" for mask in chosen[:10])
    colours = any(_mode(mask).startswith(("RGB", "YCbCr", "CMYK")) for mask in chosen[:10]) and not palettes
    values = sorted(_values(chosen, colours=colours, progress=progress))
    if colours and all(value % 0x010101 == 0 for value in values):  # grey, stored as colours
        values, colours = [value & 255 for value in values], False
    if colours:
        return _by_convention(values)
    indices = [value for value in values if value != VOID]
    if len(indices) > 1 and (palettes or indices == list(range(len(indices)))):
        rows = [(value, str(value)) for value in indices]
        return named([*rows, (VOID, "")], colours=False), f"masks contain the indices {_spread(indices)}; 255 is void"
    rows = [(value, str(value)) for value in values]
    return named(rows, colours=False), f"masks contain the grey levels {_spread(values)}, one class for each"


def _by_convention(values: Sequence[int]) -> tuple[Named, str]:
    for convention, table in (
        ("CamVid", camvid()),
        ("Cityscapes", cityscapes(colours=True)),
        ("VOC", voc(colours=True)),
    ):
        if set(values) <= set(table.table.values):
            return table, f"masks use the colours of {convention}"
    found = ", ".join(f"#{value:06x}" for value in values[:8])
    raise DataError(
        f"The masks have {len(values)} colours of an unknown convention "
        f"({found}{', ...' if len(values) > 8 else ''}); put a file `classes.csv` beside them, with the columns "
        "name, r, g, b."
    )


def _values(masks: Sequence[Path], *, colours: bool, progress: Progress | None) -> set[int]:
    """Return the values of all masks that can be decoded; DataError if they are too many."""
    values: set[int] = set()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (mask, own) in enumerate(zip(masks, pool.map(_distinct, masks, [colours] * len(masks)), strict=True)):
            values.update(own)
            blurred = mask.suffix.lower() in (".jpg", ".jpeg", ".jfif") and not set(own) <= {0, 255}
            if len(own) > MOST_VALUES or len(values) > MOST_VALUES + 1 or blurred:
                lossy = " JPEG blurs class values; save masks as PNG." if blurred else ""
                raise DataError(
                    f"`{mask}` has {len(own):,} values, and all masks so far have {len(values):,}; a mask must have "
                    f"one value per class.{lossy}"
                )
            if progress is not None:
                progress("reading masks", done + 1, len(masks))
    if not values:
        raise DataError(f"No mask can be used: {_why_not(masks[0], colours=colours)}")
    return values


def _distinct(mask: Path, colours: bool) -> Sequence[int]:
    try:
        return distinct(decode_values(mask, colours=colours), colours=colours).tolist()  # type: ignore[no-any-return]
    except ImageError:  # said of it when it is decoded to be learned
        return ()


def _why_not(mask: Path, *, colours: bool) -> str:
    try:
        decode_values(mask, colours=colours)
    except ImageError as error:
        return str(error)
    return f"`{mask}` has no pixel with a value."


def _mode(mask: Path) -> str:
    header = read_header(mask)
    return header[0] if header else ""


def _spread(values: Sequence[int]) -> str:
    return f"{values[0]} to {values[-1]}" if len(values) > 4 else ", ".join(map(str, values))
