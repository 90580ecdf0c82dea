import pytest
from torch import nn

import fovea
from fovea.cli import run
from fovea.errors import UsageError
from fovea.measurement.network import measure_network
from fovea.measurement.recount import as_keras
from fovea.measurement.tables import totals

# 8 x 3 x 9 weights, a scale and a shift of 8 each, two moving averages of 8; 4 x 8 + 4
NET = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))
WEIGHTS, NORM, LAST = 8 * 3 * 9, 16, 36


def counted(**form):
    return as_keras(measure_network(NET, (3, 6, 6)), **form)


def test_moving_averages_are_parameters_that_are_not_trainable():
    found = counted()
    assert (found.total.parameters, found.not_trainable) == (WEIGHTS + NORM + LAST, 16)
    assert found.to_dict()["keras"] == {"total": 284, "trainable": 268, "non_trainable": 16}
    assert list(totals(found))[1] == "As Keras counts: 284 parameters, 268 trainable and 16 not."


def test_frozen_parameters_are_not_trainable_either():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(4, 2))
    network[0].requires_grad_(False)
    found = as_keras(measure_network(network, (3, 6, 6)))
    assert found.to_dict()["keras"] == {"total": 8 * 27 + 8 + 10, "trainable": 10, "non_trainable": 8 * 27 + 8}


def test_biases_there_belong_to_their_convolutions():
    found = counted(name="Net", biases="0")
    assert [row.parameters for row in found.layers] == [0, WEIGHTS + 8, NORM, LAST]
    assert found.total.parameter_bytes == 4 * (WEIGHTS + 8 + NORM + LAST)
    assert found.notes == ("Keras' Net has 8 more biases, in convolutions that have none here.",)


def test_norms_without_a_scale_have_half_the_parameters():
    found = counted(name="Net", unscaled=".*")
    assert [row.parameters for row in found.layers] == [0, WEIGHTS, 8, LAST]
    assert found.notes == ("Keras' Net has 8 fewer parameters: its batch norms have no scale.",)


def test_constants_that_normalise_the_input_stand_with_it():
    found = counted(name="Net", constants=7)
    assert (found.layers[0].buffers, found.not_trainable) == (7, 23)


def test_nothing_else_changes():
    before, after = measure_network(NET, (3, 6, 6)), counted(name="Net", biases="0", unscaled="1")
    assert after.total.macs == before.total.macs
    assert [row.output_shapes for row in after.layers] == [row.output_shapes for row in before.layers]
    assert before.convention == "pytorch" and "keras" not in before.to_dict()


def test_a_single_layer_keeps_its_parameters():
    assert as_keras(measure_network(nn.Conv2d(3, 8, 3, bias=False), (3, 6, 6))).total.parameters == WEIGHTS


def test_what_keras_has_not_is_said(capsys):
    assert fovea.measure("lenet5", convention="keras").notes == (
        "Keras has no network of this name; a Keras version may have other biases and norms.",
    )
    assert fovea.measure("ResNet50", convention="keras").name == "resnet50"
    with pytest.raises(UsageError, match="Unknown network `ResNet50`"):
        fovea.measure("ResNet50")
    assert run(["measure", "lenet5", "--convention", "caffe"]) == 2
    assert capsys.readouterr().err == "error: `convention` (=caffe) must be pytorch or keras.\n"


def test_a_model_file_counts_by_its_architecture(tmp_path):
    from fovea.jobs.build import build_file

    build_file("resnet50_v2", out=tmp_path / "net.safetensors", classes=3)
    found = fovea.measure(tmp_path / "net.safetensors", convention="keras")
    assert found.total.parameters - fovea.measure("resnet50_v2").total.parameters == 19_008 - 997 * 2049
