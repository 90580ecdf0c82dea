"""Places are given as long as there are some, and come back whatever happens."""

import pytest

from fovea.serving.admission import Places
from fovea.serving.refusal import Refusal, full


@pytest.fixture
def places():
    return Places(3, lambda: full(503, 0))


def test_more_than_there_are_is_refused(places):
    with places.held(2) as more:
        more(1)
        with pytest.raises(Refusal) as refused, places.held(1):
            pass
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
        assert places.taken == 3
    assert places.taken == 0


def test_a_request_that_wants_more_than_is_left_gives_all_back(places):
    with pytest.raises(Refusal), places.held(2) as more:
        more(2)
    assert places.taken == 0


def test_places_come_back_after_an_error(places):
    with pytest.raises(ZeroDivisionError), places.held(3):
        1 / 0  # noqa: B018
    assert places.taken == 0


def test_the_time_to_try_again_is_what_the_work_takes_rounded_up():
    assert full(429, 2.2).headers == {"Retry-After": "3"}
