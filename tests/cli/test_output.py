"""Tables in terminals of any width."""

import pytest

from fovea.cli import output

ROWS = [("training.weight_decay", "affine 10 0.06 0.1", "none"), ("seed", "0", "1")]


@pytest.fixture
def printed(monkeypatch, capsys):
    """Return a function that gives the lines of a table in a terminal of so many characters."""

    def lines(width):
        monkeypatch.setattr(output, "terminal_width", lambda: width)
        output.print_table(("setting", "moved", "still"), ROWS)
        return capsys.readouterr().out.splitlines()

    return lines


def test_a_table_breaks_between_words_where_the_terminal_is_narrow(printed):
    lines = printed(48)
    assert max(map(len, lines)) <= 48
    words = {word for line in lines for word in line.split()}
    assert words >= {"training.weight_decay", "affine", "0.06", "none"}
    assert not any("affine 10 0.06 0.1" in line for line in lines)


def test_words_break_where_the_terminal_is_narrower_than_they_are(printed):
    lines = printed(24)
    assert max(map(len, lines)) <= 24
    assert not any("training.weight_decay" in line for line in lines)


def test_a_table_that_fits_has_a_line_for_each_row(printed):
    assert sum(bool(line.strip(" ─")) for line in printed(60)) == 3
