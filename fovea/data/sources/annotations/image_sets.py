"""Lists of images for each part, as Pascal VOC has them: `ImageSets/Main/train.txt`, a name per line."""

from pathlib import Path

from fovea.data.dataset import PARTS
from fovea.errors import DataError, shortened
from fovea.files import is_file, open_text

LARGEST_LIST = 64 << 20


def image_sets(root: Path, kind: str) -> dict[str, list[str]]:
    """Return the names of the images of each part by `ImageSets/<kind>/<part>.txt`; empty if there are none.

    Raises: DataError for a list that is not a text or too large.
    """
    folder = root / "ImageSets" / kind
    files = {part: folder / f"{part}.txt" for part in PARTS}
    return {part: _names(file) for part, file in files.items() if is_file(file)}


def _names(file: Path) -> list[str]:
    if file.stat().st_size > LARGEST_LIST:
        raise DataError(f"`{file}` is larger than {LARGEST_LIST >> 20} MiB; a list must have one name per line.")
    try:
        with open_text(file) as stream:
            # a line of a list of one class has a second word, 1 or -1
            return [line.split()[0] for line in stream if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"`{file}` is not UTF-8 text: {shortened(str(error))}.") from error
