"""Messages stay one line that can be read, whatever a file brings into them."""

from fovea.errors import DataError, StorageError, first_line


def test_a_long_message_keeps_its_beginning_and_its_end():
    text = str(DataError("`a.csv`: the label " + "x" * 5000 + " is unknown; correct it."))
    assert len(text) == 1000
    assert text.startswith("`a.csv`: the label xx") and text.endswith("xx is unknown; correct it.")


def test_ends_of_lines_in_names_leave_a_message_one_line():
    assert str(DataError("`a\nb.npz` has the keys x\r\ny\x0bz.")) == "`a b.npz` has the keys x y z."


def test_a_message_of_usual_length_stays_as_it_is():
    assert str(StorageError("`a` cannot be read: no such file.")) == "`a` cannot be read: no such file."


def test_the_reason_of_a_library_is_its_first_line_without_the_rest():
    assert first_line(ValueError("bad header\nat byte 3")) == "bad header"
    assert first_line(MemoryError()) == "MemoryError"
    assert first_line(ValueError("  \n")) == "ValueError"
    assert len(first_line(ValueError("x" * 9000))) == 300
