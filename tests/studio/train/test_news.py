"""A page that asks for news is answered when there are some, and only the last of its questions."""

import asyncio
import time
from types import SimpleNamespace

import pytest

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.runs.folder import Run  # noqa: E402
from fovea.runs.live import Looked  # noqa: E402
from fovea.studio.train import room  # noqa: E402
from fovea.studio.train.room import TrainRoom  # noqa: E402

QUICK_S = 0.2


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Return a room, and a run that its page has seen."""
    monkeypatch.setattr(room, "LOOKS_S", 0.01)
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    run.live.write_bytes(b"")
    found = TrainRoom(SimpleNamespace(folder=tmp_path.resolve()), {})
    values = ask(found, run)
    assert {"view", "curves"} & set(values) == {"curves"}, "what cannot be read is no view"
    return found, run


def ask(found, run, layer="a"):
    """Return what a page is shown; None where its question is not answered."""
    looked = Looked(layers=(layer,))
    return found._new(run, looked, "page") if asyncio.run(found._news((run, looked))) else None


def test_a_page_waits_until_there_is_something_new(asked, monkeypatch):
    found, run = asked
    monkeypatch.setattr(room, "PATIENCE_S", QUICK_S)
    began = time.monotonic()
    assert "curves" not in ask(found, run) and time.monotonic() - began >= QUICK_S
    monkeypatch.setattr(room, "PATIENCE_S", 60.0)
    for path in (run.live, run.metrics, run.steering):
        path.write_text("{}\n")
        values = ask(found, run)
        assert ("curves" in values) == (path == run.metrics)


def test_another_question_is_answered_at_once_and_the_one_before_no_more(asked, monkeypatch):
    found, run = asked
    monkeypatch.setattr(room, "PATIENCE_S", 60.0)

    async def both():
        before = asyncio.create_task(found._news((run, Looked(layers=("a",)))))
        await asyncio.sleep(0)
        after = await found._news((run, Looked(layers=("b",))))
        return await before, after

    assert asyncio.run(both()) == (False, True)
