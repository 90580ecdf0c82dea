"""The figures of the exercises' answers are what their commands show."""

import pytest
from shown_commands import output_of

from fovea.course.contents import TOPICS
from fovea.course.exercises import EXERCISES


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.topic)
def test_the_command_shows_the_answer(exercise, tmp_path):
    assert exercise.shows in output_of(exercise.command, tmp_path)


def test_each_answer_says_its_figure_and_stands_on_a_page():
    for exercise in EXERCISES:
        assert exercise.shows in exercise.answer and exercise.topic in TOPICS
