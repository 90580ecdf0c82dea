"""What a person sees: plain lines now and then off a terminal, bars on one, nothing where it is not wanted."""

from types import SimpleNamespace

import pytest

from fovea import display as progress
from fovea.display import Display


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose one number is the time."""
    now = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")


def test_notes_are_lines_on_standard_error_as_they_are(capsys):
    with Display() as display:
        display.note("[bold]a[/bold] " + "long " * 60)
    seen = capsys.readouterr()
    assert seen.out == "" and seen.err == "[bold]a[/bold] " + "long " * 60 + "\n"


def test_off_a_terminal_a_counter_is_a_line_every_ten_seconds(capsys, clock):
    with Display() as display:
        count = display.counter("decoding")
        for done in range(1, 9):
            count(done, 8)
            clock[0] += 4
    assert capsys.readouterr().err.splitlines() == ["decoding: 50 %", "decoding: 88 %"]


def test_counters_keep_their_own_time_and_say_their_detail(capsys, clock):
    with Display() as display:
        display.advance("a", 0.1, 1.0, detail="epoch 1")
        clock[0] += 10
        display.advance("b", 0.1, 1.0)
        display.advance("a", 0.25, 1.0, detail="epoch 2")
    assert capsys.readouterr().err == "a: 25 %  epoch 2\n"


def test_what_is_done_at_once_is_not_mentioned(capsys, clock):
    with Display() as display:
        display.counter("decoding")(8, 8)
        clock[0] += 100
        display.counter("decoding")(8, 8)
    assert capsys.readouterr().err == ""


def test_a_download_of_unknown_length_has_no_percentage(capsys, clock):
    with Display() as display:
        display.fetched("mnist", 1, None)
        display.fetched("mnist", 1, 4)
        clock[0] += 11
        display.fetched("mnist", 1, 4)
    assert capsys.readouterr().err == "mnist: 25 %\n"


def test_on_a_terminal_there_is_a_bar_with_its_detail(capsys, terminal):
    with Display() as display:
        assert display.live
        display.advance("training", 0.5, 1.0, detail="epoch 3")
        display.note("epoch 2 done")
    seen = capsys.readouterr().err
    assert all(part in seen for part in ("training", "50 %", "epoch 3", "epoch 2 done"))


def test_a_bar_goes_when_all_is_done(capsys, terminal):
    with Display() as display:
        display.advance("decoding", 1, 1)
        display.advance("training", 0.5, 1.0)
        assert len(list(display._progress.get_renderables())) == 1


def test_a_display_can_be_used_again_after_it_is_finished(capsys, terminal):
    display = Display()
    for title in ("one", "two"):
        display.advance(title, 1, 2)
        display.finish()
    assert "two" in capsys.readouterr().err


def test_quiet_is_quiet(capsys, terminal, clock):
    with Display(quiet=True) as display:
        display.note("a")
        display.advance("b", 0.1, 1.0)
        clock[0] += 100
        display.advance("b", 0.5, 1.0)
    assert capsys.readouterr().err == ""


def test_an_error_inside_goes_on(terminal):
    with pytest.raises(KeyError), Display() as display:
        display.advance("a", 0.1, 1.0)
        raise KeyError
    assert display._progress is None
