import pytest

from fovea.errors import UsageError
from fovea.exporting.settings import OPSET, PLAIN, ExportSettings


def test_settings_are_json_values_as_the_card_holds_them():
    assert PLAIN.to_dict() == {"precision": "float32", "raw": False, "dynamic_size": False, "opset": OPSET}


def test_an_unknown_precision_names_those_there_are():
    with pytest.raises(UsageError, match="`precision` \\(=bfloat16\\) must be one of float32, float16, int8"):
        ExportSettings(precision="bfloat16")
