"""What `fovea measure` can be asked besides its table."""

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from fovea.errors import UsageError

if TYPE_CHECKING:
    from fovea.jobs.unit import Seen
    from fovea.measurement.latency import Latency
    from fovea.measurement.memory import Memory

Answers: TypeAlias = "dict[str, Seen | Memory | Latency]"
"""By their names in JSON."""


class Questions(NamedTuple):
    """Options as they were given."""

    unit: str | None
    image: str | None
    out: str | None
    memory: str | None
    latency: bool
    device: str
    html: str | None

    @property
    def asked(self) -> bool:
        """Whether there are any."""
        return bool(self.unit or self.memory or self.latency or self.html)

    def check(self, *, alone: bool) -> None:
        """Raise UsageError for options that do not go together; `alone`: one network, and no other form of table."""
        if (self.image or self.out) and not self.unit:
            raise UsageError("`--image` and `--out` belong to `--unit LAYER:ROW,COLUMN`; give that too.")
        if self.asked and not alone:
            raise UsageError(
                "`--unit`, `--memory`, `--latency` and `--html` are for one network, in text or `--json`; "
                "leave out `--compare`, `--csv` and `--markdown`."
            )
        self.batch()

    def batch(self) -> int | None:
        """Return the number of images that `--memory batch=N` names."""
        if self.memory is None:
            return None
        found = re.fullmatch(r"batch=(\d{1,9})", self.memory)
        if found is None:
            raise UsageError(f"`--memory {self.memory}` must say for how many images, as `--memory batch=32`.")
        return int(found[1])


def answered(model: str, shape: tuple[int, ...] | None, questions: Questions) -> Answers:
    """Return the answers to what was asked."""
    from fovea.display import Display
    from fovea.jobs.latency import latency
    from fovea.jobs.memory import memory
    from fovea.jobs.unit import see_unit

    found: Answers = {}
    with Display() as display:
        if questions.unit is not None:
            picture = {"image": questions.image, "out": questions.out}
            found["unit"] = see_unit(model, questions.unit, shape, **picture, display=display)
        if (batch := questions.batch()) is not None:
            found["memory"] = memory(model, shape, batch=batch)
        if questions.latency:
            found["latency"] = latency(model, shape, device=questions.device, display=display)
    return found
