"""How much a server takes on at a time; what is more is refused at once, before it is read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fovea.serving.refusal import Refusal


class Places:
    """So many, each for an image of one model or a byte of a body; a request takes more as it learns of them."""

    def __init__(self, most: int, refusal: Callable[[], Refusal]) -> None:
        self._most, self._refusal = most, refusal
        self.taken = 0

    @contextmanager
    def held(self, count: int) -> Iterator[Callable[[int], None]]:
        """Hold places while the body runs; yields what takes further ones.

        Raises: Refusal where there are not so many; so does what takes further ones.
        """
        mine = 0

        def take(more: int) -> None:
            nonlocal mine
            if self.taken + more > self._most:
                raise self._refusal()
            self.taken += more
            mine += more

        take(count)
        try:
            yield take
        finally:
            self.taken -= mine
