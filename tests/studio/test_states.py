"""What the addresses of the rooms "Lab" and "Look" ask for."""

import numpy as np
import pytest

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.studio.lab.state import DEFAULTS, grids_of, lab_state  # noqa: E402


def test_an_empty_address_is_the_first_example():
    found = lab_state({})
    assert (found.image.shape, found.kernel.shape) == ((1, 5, 5), (1, 1, 3, 3))
    assert found.settings == DEFAULTS and found.refused == []


def test_grids_and_settings_are_taken_as_written():
    found = lab_state({"image": "1 2; 3 4", "kernel": "1 -1", "stride": "2", "padding": "same", "dilation": "3"})
    assert found.image.tolist() == [[[1, 2], [3, 4]]] and found.kernel.tolist() == [[[[1, -1]]]]
    assert (found.settings["stride"], found.settings["padding"], found.settings["dilation"]) == (2, "same", 3)


def test_kernels_are_divided_by_channels_and_groups():
    image, kernel = "1 2|3 4", "1|2|3|4"
    assert lab_state({"image": image, "kernel": kernel}).kernel.shape == (2, 2, 1, 1)
    assert lab_state({"image": image, "kernel": kernel, "groups": "2"}).kernel.shape == (4, 1, 1, 1)
    assert lab_state({"image": image, "kernel": kernel, "kind": "transposed"}).kernel.shape == (2, 2, 1, 1)
    assert lab_state({"image": image, "kernel": "1 1", "kind": "max"}).kernel.shape == (1, 1, 1, 2)


@pytest.mark.parametrize(
    "asked",
    [
        {"image": "<script>"},
        {"image": "nan"},
        {"image": "1e99"},
        {"image": "1 2; 3"},
        {"image": ""},
        {"kernel": "1 " * 5000},
        {"kernel": "|".join(["1"] * 17)},
        {"stride": "0"},
        {"stride": "-1"},
        {"kind": "rm -rf"},
        {"groups": "9" * 400},
        {"example": "none"},
    ],
    ids=str,
)
def test_what_is_wrong_is_told_and_left_as_it_was(asked):
    found, plain = lab_state(asked), lab_state({})
    assert len(found.refused) == 1 and len(found.refused[0]) < 200
    assert np.array_equal(found.image, plain.image) and np.array_equal(found.kernel, plain.kernel)
    assert found.settings == plain.settings


def test_a_grid_has_few_cells():
    with pytest.raises(ValueError, match="at most 400"):
        grids_of("|".join(["; ".join(["1 " * 16] * 16)] * 2))


def test_a_layer_is_asked_for_by_number_or_title_and_a_unit_by_its_place():
    from seeded_bundles import seeded_bundle

    from fovea.errors import UsageError
    from fovea.studio.examples import example
    from fovea.studio.look.looking import Looking

    bundle = seeded_bundle(architecture="lenet5", channels=1, size=32)
    looking = Looking(bundle, bundle.read(example("digit 2")))
    title = looking.layers.all[1].title
    assert looking.asked("1", "") == looking.asked(title, "") == (1, None)
    assert looking.asked(title, "0,5,7") == (1, (0, 5, 7))
    for layer, unit in [("999", ""), ("<b>", ""), ("1", "0,5"), ("1", "0,-1,0"), ("1", "0,0,99"), ("1", "9" * 99)]:
        with pytest.raises(UsageError):
            looking.asked(layer, unit)
