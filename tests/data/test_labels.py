import pytest

from fovea.data.labels import part_of
from fovea.errors import DataError


@pytest.mark.parametrize(
    ("text", "part"),
    [("train", "train"), ("Training", "train"), ("valid", "val"), (" VALIDATION ", "val"), ("testing", "test")],
)
def test_parts_have_several_names(text, part):
    assert part_of(text, where="here") == part


def test_an_unknown_split_lists_the_allowed_names():
    with pytest.raises(DataError, match="here: unknown split `tset`; allowed are train, training, val, .*, testing"):
        part_of("tset", where="here")
