"""Settings are checked once, and every process gets them as they are."""

import json

import pytest

from fovea.errors import UsageError
from fovea.serving.settings import Settings, model_names, origin_of


def test_settings_pass_through_json():
    settings = Settings(port=0, hosts=("a.example", "b"), token="0123456789abcdef", watch=True)
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"port": 70000}, "`port` (=70000) must be from 0 to 65,535."),
        ({"workers": 0}, "`workers` (=0) must be from 1 to 256."),
        ({"wait_ms": float("nan")}, "`wait_ms` (=nan) must be from 0 to 10,000."),
        ({"batch": True}, "`batch` (=True) must be from 1 to 4,096."),
        ({"busy_status": 500}, "`busy_status` (=500) must be 503 or 429."),
        ({"queue": 2}, "`files` (=64) must be at most `queue` (=2), because a request is queued as a whole."),
        ({"token": "short"}, "The token must have at least 16 characters"),
        ({"token": "with blanks inside"}, "all letters, digits or ._~+/=-"),
    ],
)
def test_what_is_out_of_range_is_refused(changes, message):
    with pytest.raises(UsageError) as error:
        Settings(**changes)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("a.org", False),
    ],
)
def test_only_addresses_of_this_machine_are_local(host, local):
    assert Settings(host=host).is_local == local


def test_an_address_is_written_as_browsers_take_it():
    assert origin_of("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert origin_of("::", 80) == "http://[::]:80"


def test_models_are_called_as_their_files_or_runs():
    given = ["a/cats.onnx", "runs/dogs-1/model.safetensors", "x=y/z.onnx", "strange name!.onnx", "a/b=c.onnx"]
    assert list(model_names(given)) == ["cats", "dogs-1", "x", "strange-name-", "b-c"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a/m.onnx", "b/m.onnx"], "Two models have the name `m`; write NAME=FILE for one of them."),
        (["a b=x.onnx"], "a model name may contain only letters, digits"),
        ([], "There is no model to serve"),
    ],
)
def test_names_are_distinct_and_fit_into_an_address(given, message):
    with pytest.raises(UsageError) as error:
        model_names(given)
    assert message in str(error.value)
