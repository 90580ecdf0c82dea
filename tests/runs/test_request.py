"""What a training is asked for with."""

import pytest

from fovea.errors import UsageError
from fovea.runs.request import seconds


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("5m", 300), ("1.5h", 5400), ("30", 30), (30, 30), (0.5, 0.5), (" 2M ", 120)]
)
def test_a_budget_is_a_time(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "m", "0", "nan", "inf", "5d"])
def test_what_is_no_time_is_no_budget(text):
    with pytest.raises(UsageError, match="must be a time above 0"):
        seconds(text)
