"""The lecturer's page says what the course holds."""

from pathlib import Path

import pytest

from fovea.course.contents import LECTURES, TOPICS
from fovea.course.exercises import EXERCISES

PAGE = (Path(__file__).resolve().parents[2] / "docs/teaching.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("lecture", LECTURES, ids=lambda lecture: lecture.deck)
def test_each_lecture_has_its_slides_and_topics_in_order(lecture):
    own = PAGE.partition(f"### Lecture {lecture.deck}: {lecture.title}")[2].partition("\n##")[0]
    rows = [
        f"| {slides} | {'; '.join(f'{TOPICS[name].title} (`{name}`)' for name in names)} |"
        for slides, names in lecture.slides
    ]
    assert [line for line in own.splitlines() if line.startswith("| ")][1:] == rows
    assert lecture.file in own


def test_each_exercise_stands_there_with_its_answer_and_command():
    for exercise in EXERCISES:
        assert all(text in PAGE for text in (exercise.question, exercise.answer, exercise.command))
