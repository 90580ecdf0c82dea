import pytest

from fovea.errors import UsageError
from fovea.exporting.int8.settings import Int8Settings


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"ranges": "entropy"}, "Unknown calibration `entropy`"),
        ({"max_drop": -1.0}, "must be points from 0 to 100"),
        ({"max_drop": float("nan")}, "must be points from 0 to 100"),
        ({"scales": "tensor"}, "must be `channel`: one scale for all weights of a layer is not supported"),
        ({"keep": ()}, "`--keep` must be auto, none, or names of layers"),
        ({"keep": ("auto", "head")}, "`--keep` must be auto, none, or names of layers"),
    ],
)
def test_what_is_not_allowed_is_an_error(wish, says):
    with pytest.raises(UsageError, match=says):
        Int8Settings(**wish)


def test_names_are_kept_by_hand():
    assert Int8Settings(keep=("head", "stem")).by_hand == ("head", "stem")
    assert Int8Settings().by_hand == ()
    assert Int8Settings(keep=("none",)).by_hand == ()
