"""One thing in an image that `fovea explain` is asked about: the region, box or point at a pixel, or with a number."""

from typing import NamedTuple, Self, cast

import numpy as np
import torch

from fovea.errors import UsageError
from fovea.explanation.objective import Objective
from fovea.model.bundle import Bundle
from fovea.preprocess import Preprocess
from fovea.tasks.focus import Wanted
from fovea.tasks.task import Task
from fovea.training.losses import main_head

Question = tuple[Objective, tuple[str, str]]
"""What is explained, and its name beside that of the answer that is subtracted."""


class Spot(NamedTuple):
    """A pixel of an image or the number of an object, or neither: then whole answers are explained."""

    at: tuple[float, float] | None = None
    number: int | None = None
    of_input: bool = False
    """Whether `at` is a pixel of the input of the network, not of the image."""

    @classmethod
    def of(cls, at: str | tuple[float, float] | None, number: int | None) -> Self:
        """Return it of a text as `120,80`, or x and y. Raises: UsageError if they are none, or both are given."""
        if at is not None and number is not None:
            raise UsageError("`at` and `object` cannot be used together; leave one out.")
        if at is None:
            return cls(None, number)
        try:
            x, y = (float(part) for part in (at.split(",") if isinstance(at, str) else at))
        except ValueError:
            raise UsageError(f"`at` (={at}) must be the x and y of a pixel in the image, for example 120,80.") from None
        return cls((x, y))

    def __bool__(self) -> bool:
        return self.at is not None or self.number is not None

    def check(self, target: Task, *, alone: bool) -> None:
        """Raise UsageError if a model has no such things, or something else is asked for beside it."""
        if not self:
            return
        name = "object" if self.at is None else "at"
        if not target.lies_on_image:
            raise UsageError(f"`{name}` works only for masks, boxes and points, and this model predicts {target.noun}.")
        if not alone:
            raise UsageError(
                f"`{name}` selects what is explained in an image; leave out `target`, `against` and `mistakes`."
            )

    def question(self, bundle: Bundle, x: torch.Tensor, size: tuple[int, int] | None) -> Question:
        """Return the evidence for what is meant in an image of `size` (H, W), whose input is `x` (1, C, H, W) float32.

        Raises: UsageError if there is nothing such.
        """
        frame = cast(Preprocess, bundle.preprocess)
        place = None if self.at is None else self._place(self.at, frame, size or frame.size)
        with torch.inference_mode():
            outputs = main_head(bundle.model(x)).float()
        focus = bundle.target.focus(outputs, Wanted(at=place, number=self.number, size=frame.size))
        objective = Objective(
            answers=torch.tensor([focus.answer], device=x.device),
            evidence=lambda outputs, _: focus.evidence(outputs),
            decision=lambda *_: None,
        )
        return objective, (focus.text, "")

    def _place(self, at: tuple[float, float], frame: Preprocess, size: tuple[int, int]) -> tuple[float, float]:
        """Return where the pixel lies in the input, of an image of `size` (H, W)."""
        if not self.of_input:
            return _in_input(at, frame, size)
        if not (0 <= at[0] < frame.size[1] and 0 <= at[1] < frame.size[0]):
            raise UsageError(
                "`at` (={:g},{:g}) must be inside the input of {} x {} pixels.".format(*at, *frame.size[::-1])
            )
        return at[0] + 0.5, at[1] + 0.5


def _in_input(at: tuple[float, float], frame: Preprocess, size: tuple[int, int]) -> tuple[float, float]:
    """Return where the middle of a pixel of an image of `size` (H, W) lies in the input."""
    height, width = size
    if not (0 <= at[0] < width and 0 <= at[1] < height):
        text = "{:g},{:g}".format(*at)
        raise UsageError(f"`at` (={text}) must be inside the image, which has {width} x {height} pixels.")
    x, y = frame.points_in_input(np.array([at]) + 0.5, size)[0].tolist()
    if not (0 <= x < frame.size[1] and 0 <= y < frame.size[0]):
        raise UsageError("The network does not use that pixel: its input is the centre of the image.")
    return x, y
