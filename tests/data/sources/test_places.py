"""Paths as other systems, programs and people write them."""

import unicodedata

import pytest

from fovea.data.sources.places import Places


@pytest.fixture
def folder(tmp_path):
    for name in ("img/l0ab.jpg", "img/Big One.PNG", "img/caf\u00e9.png", "img/1.png", "img/1.txt", "x y/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("written", "found", "way"),
    [
        ("img/1.png", "img/1.png", ""),
        ("img\\1.png", "img/1.png", "with slashes instead of backslashes"),
        ("x%20y/2.png", "x y/2.png", "with percent-encoding decoded"),
        ("img/l0ab", "img/l0ab.jpg", "with the missing suffix added"),
        ("IMG/big one.png", "img/Big One.PNG", "in different case"),
        (
            "Img\\L0AB",
            "img/l0ab.jpg",
            "with slashes instead of backslashes and in different case and with the missing suffix added",
        ),
        (unicodedata.normalize("NFD", "img/caf\u00e9.png"), "img/caf\u00e9.png", ""),
        ("./img/../img/1.PNG", "img/1.png", "in different case"),
    ],
)
def test_a_file_is_found_as_it_was_meant_and_it_is_said_how(folder, written, found, way):
    places = Places(folder)
    assert places.find(written) == folder / found
    assert places.missing(places.find(written), written) == ""
    assert [note.partition("found ")[2] for note in places.notes(folder / "l.csv")] == ([way, way][:1] if way else [])


def test_a_path_from_the_home_on_is_followed(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert Places(folder / "img").find("~/x y/2.png") == folder / "x y" / "2.png"


def test_what_can_be_two_files_is_neither(folder):
    for name in ("A.png", "a.PNG", "b.png", "b.jpg"):
        (folder / name).touch()
    assert len({path.name for path in folder.glob("[aA].*")}) == 2
    for written in ("a.png", "b"):
        assert Places(folder).missing(Places(folder).find(written), written) == "no such file"


@pytest.mark.parametrize("written", ["no.png", "A" * 300, "a\0b.png", "", "img"])
def test_what_is_not_there_is_named_and_nothing_else_happens(folder, written):
    places = Places(folder)
    assert places.missing(places.find(written), written) in (
        "no such file",
        "a folder, not a file",
        "a name that is not valid for a file",
    )


@pytest.mark.parametrize("written", ["C:\\Users\\me\\img\\1.png", "/home/somebody/else/img/1.png"])
def test_an_absolute_path_of_another_machine_says_what_to_write(folder, written):
    places = Places(folder)
    reason = places.missing(places.find(written), written)
    assert reason == "no such file, as on another machine: `img/1.png` exists; write that"


@pytest.mark.parametrize("written", ["../secret.png", "/etc/hostname", "~/secret.png", "img/../../secret.png"])
def test_nothing_outside_of_an_archive_is_read(folder, written, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    (folder / "secret.png").touch()
    places = Places(folder / "img", within=folder / "img")
    assert places.missing(places.find(written), written) == "its path leads outside of the archive"
