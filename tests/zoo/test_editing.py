import pytest

from fovea.errors import UsageError
from fovea.zoo.editing import changed, doubled, inserted, moved, removed


def test_letters_are_inserted_behind_a_place():
    assert inserted("CRP F", 1, "B") == "CRBP F"
    assert inserted("RP F", -1, "C8k5") == "C8k5RP F"
    assert inserted("C64s2P", 1, "(CBRC8)") == "C64s2P (C64BRC8)"
    assert inserted("CP", 99, "(CBR)") == "CP (CBR)"


def test_a_path_goes_and_comes_as_a_whole():
    assert removed("C(CBRC)R GF", 1) == removed("C(CBRC)R GF", 6) == "CR G F"
    assert doubled("CP (Cs2BRC)R GF", 2) == "CP (Cs2BRC)(CBRC)R G F"
    assert moved("C(CB)R F", 1, by=1) == "CR(CB) F"


def test_a_letter_moves_as_far_as_there_are_places():
    assert moved("CRB", 2, by=-1) == "CBR"
    assert moved("CRB", 1, by=9) == "CBR"
    assert moved("CRB", 1, by=-9) == "RCB"


def test_numbers_are_changed_or_become_the_usual_ones():
    assert changed("CRP F", 0, "kernel", 5) == "Ck5RP F"
    assert changed("C64k5s2RP F", 0, "stride", None) == "C64k5RP F"
    assert changed("CR F F", 2, "count", 200) == "CR F200 F"


@pytest.mark.parametrize(
    ("place", "name", "value"), [(1, "kernel", 3), (0, "stride", 0), (0, "weight", 1), (7, "kernel", 1)]
)
def test_numbers_that_a_letter_has_not_are_refused(place, name, value):
    with pytest.raises(UsageError, match=r"has no|There is no"):
        changed("CRP", place, name, value)


def test_what_is_no_letter_is_told():
    with pytest.raises(UsageError, match="something other than letters"):
        removed("C<b>", 0)
    with pytest.raises(UsageError, match="There is no letter 4"):
        removed("CRP", 4)
