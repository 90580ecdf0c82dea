"""The browser of the rooms' tests: one for each file."""

import pytest
from browsers import chromium


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started
