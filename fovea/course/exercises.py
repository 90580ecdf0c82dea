"""Exercises for the lectures: a question, its answer, and a command that shows the figure of the answer."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A question of a topic."""

    topic: str
    question: str
    answer: str
    command: str
    """What shows it, typed in a shell."""
    shows: str
    """What is to be found in the output of the command, and in the answer."""


EXERCISES: tuple[Exercise, ...] = ()
