"""Where a picture or a page may go: what cannot be written is said before any work."""

import pytest

from fovea.errors import UsageError
from fovea.jobs.places import page_path, picture_path


def test_a_file_in_a_folder_that_is_there_is_taken(tmp_path):
    assert picture_path(tmp_path / "a.PNG") == tmp_path / "a.PNG"
    assert page_path(str(tmp_path / "page.html"), option="html") == tmp_path / "page.html"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.gif", r"`plot` \(=.*a\.gif\) must end in \.png, \.jpg, \.pdf or \.svg\.$"),
        ("none/a.png", r"`plot` \(=.*a\.png\): there is no folder `.*none`; make it first\.$"),
        ("folder.png", r"`plot` \(=.*folder\.png\) is a folder; name a file in it\.$"),
    ],
)
def test_other_places_are_usage_errors(tmp_path, name, message):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match=message):
        picture_path(tmp_path / name, option="plot")
