"""How a server answers for an image larger than the input of a network that sees tiles: all of them, joined.

One such image is looked at at a time, from its bytes on, so that memory holds no more than one decoded.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fovea.errors import ImageError
from fovea.inputs.reading import more_than_a_tile
from fovea.model.predictor import Predictor
from fovea.model.tiled import Asking, said_of, tiling_of
from fovea.preprocess import Preprocess, decode
from fovea.preprocess.regions import Windows
from fovea.serving.batching import Rows

MOST_PIXELS = 1 << 24
"""Of an image whose tiles are looked at: 4,096 x 4,096."""


class StoppedError(Exception):
    """Nobody waits any more for an image that is being looked at."""


class Tiles:
    """What a network says of whole images, tile by tile."""

    def __init__(self, scorer: Any) -> None:
        self._scorer = cast(Predictor, scorer)
        self._tiling = tiling_of(self._scorer) if getattr(scorer.preprocess, "tiles", False) else None

    def several(self, image: bytes) -> bool:
        """Return whether an image has more than one tile, and is answered for by all of them.

        Raises: ImageError if it is larger than a server looks at.
        """
        size = more_than_a_tile(image, self._scorer.preprocess)
        if size is None:
            return False
        if size[0] * size[1] > MOST_PIXELS:
            raise ImageError(
                f"the image has {size[1]:,} x {size[0]:,} pixels, and the server accepts at most {MOST_PIXELS:,} "
                "pixels; cut it, or use `fovea predict`."
            )
        return True

    def rows(self, image: bytes, wanted: Callable[[], bool]) -> Rows:
        """Return what is kept of an image with several tiles, in its own pixels: (1, ...), as of a batch of one.

        Raises:
            ImageError: it cannot be decoded.
            StoppedError: it is not `wanted` any more.
        """
        if self._tiling is None:
            raise ValueError("This network takes whole images, not tiles.")
        frame = cast(Preprocess, self._scorer.preprocess)
        pixels = decode(image, channels=frame.channels)

        def go_on(done: int, total: int) -> None:
            if not wanted():
                raise StoppedError

        with Windows(frame.channels) as windows:
            said = said_of(
                self._scorer,
                self._tiling.grid((pixels.shape[0], pixels.shape[1])),
                lambda place: windows.read(pixels, left=place.left, top=place.top, size=frame.size),
                Asking(progress=go_on),
            )
            rows: NDArray[Any] = self._tiling.joining.rows(self._scorer.target, said)
        return rows[None] if rows.dtype == np.uint8 else rows[None].astype(np.float64)
