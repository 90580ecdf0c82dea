"""What a filled form becomes: options of `fovea train`, and nothing outside of the folder."""

import pytest

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.errors import FoveaError  # noqa: E402
from fovea.studio.opened import Opened  # noqa: E402
from fovea.studio.train.form import asked, offered  # noqa: E402


@pytest.fixture
def here(tmp_path):
    (tmp_path / "studio" / "pets").mkdir(parents=True)
    (tmp_path / "studio" / "net.py").write_text("")
    (tmp_path / "secret.csv").write_text("")
    return Opened(folder=tmp_path / "studio")


def test_fields_become_options_of_the_command(here):
    found = asked(
        {"data": "digits", "model": "lenet5", "epochs": "3", "lr": "1e-3", "more": "momentum=0.8 val_fraction=0.2"}, here
    )
    assert found.data == "digits" and found.name == "digits-lenet5" and found.seeds == (None,)
    assert found.with_seed(None) == ["--epochs=3", "--lr=1e-3", "--model=lenet5", "--set=momentum=0.8", "--val-fraction=0.2"]


def test_several_trainings_differ_in_their_seed(here):
    found = asked({"data": "digits", "count": "3", "seed": "5"}, here)
    assert found.seeds == (5, 6, 7) and found.with_seed(6) == ["--seed", "6"]


def test_data_and_networks_are_taken_from_the_folder(here):
    found = asked({"data": "pets", "model": "net.py:Net"}, here)
    assert found.data == str(here.folder / "pets") and found.options == (f"--model={here.folder / 'net.py'}:Net",)
    assert "pets" in offered(here)["data"] and "digits" in offered(here)["data"]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"data": "../secret.csv"},
        {"data": "/etc/passwd"},
        {"data": "--help"},
        {"model": "../net.py:Net"},
        {"model": "resnet51"},
        {"epochs": "3", "budget": "5m"},
        {"epochs": "-1"},
        {"epochs": "1e3"},
        {"budget": "long"},
        {"lr": "nan"},
        {"lr": "0"},
        {"count": "9"},
        {"recipe": "best"},
        {"task": "magic"},
        {"name": "../x"},
        {"name": "<b>"},
        {"more": "momentum"},
        {"more": "'"},
        {"more": "a=" + "b" * 1000},
        {"data": "digits\0"},
    ],
    ids=str,
)
def test_what_cannot_be_is_said(here, values):
    with pytest.raises(FoveaError) as caught:
        asked({"data": "digits", **values} if values else {}, here)
    assert len(str(caught.value)) < 2500 and "\n" not in str(caught.value)
