"""The passes that all pages hold, bounded in bytes: the one that was not used for longest goes first.

What has gone is made anew when its page asks for it.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fovea.explanation.units.layers import Layers

MOST_BYTES = 1_000_000_000


class Passes:
    """The passes by who looks at them."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._held = OrderedDict[Hashable, "Layers"]()
        self._lock = RLock()

    @property
    def bytes(self) -> int:
        """Return how much memory they take."""
        with self._lock:
            return sum(layers.tape.bytes for layers in self._held.values())

    def of(self, owner: Hashable, make: Callable[[], "Layers"]) -> "Layers":
        """Return the pass of `owner`, made by `make` where it is not held."""
        with self._lock:
            if owner in self._held:
                self._held.move_to_end(owner)
                return self._held[owner]
        made = make()
        with self._lock:
            self._held[owner] = made
            while len(self._held) > 1 and self.bytes > self.most_bytes:
                self._held.popitem(last=False)
        return made

    def free(self, owner: Hashable) -> None:
        """Let the pass of `owner` go."""
        with self._lock:
            self._held.pop(owner, None)
