"""A sample of the zoo, one of each unusual kind of layer; benchmarks/export.py exports all."""

import pytest
import torch

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import inputs, registry
from fovea.card import Card
from fovea.exporting.onnx_file import proven
from fovea.exporting.samples import generated
from fovea.model.bundle import Bundle
from fovea.tasks.classes import Classes

KINDS = {2: "series", 3: "images", 4: "clips"}
SAMPLE = {
    "capsnet_digits": {},  # capsules, routed
    "lenet1": {},  # maps that see some of the maps before
    "googlenet": {"size": 64},  # local response norm, auxiliary heads
    "shufflenet_v2_05": {"size": 64},  # split and shuffled channels
    "cifar_plain20": {},
    "mobilenet_v3_small": {"size": 64},  # hard swish, squeeze and excitation
    "causal_1d": {},  # padding on one side, over time
    "r3d_8": {},  # kernels over time and space
    "pattern": {"pattern": "C8k5BR6Ak3s2p1 (Cs2BRC8k1B)R W B R C9 D20 P GD F7BR F"},  # all its letters
}


def bundle_of(name, *, size=None, **given):
    """Return a network with random weights, its batch norms fitted to generated samples."""
    shape = registry.entry(name).input
    size = size or shape[-1]
    torch.manual_seed(0)
    model = registry.build(name, classes=7, size=size, **given)
    settings = {"frames": shape[1]} if len(shape) == 4 else {}
    preprocess = inputs.kind(KINDS[len(shape)]).geometry(
        size=size, fit="crop", channels=shape[0], native_size=None, settings=settings
    )
    card = Card(
        architecture=name,
        arguments=registry.arguments_of(name, classes=7, size=size, **given),
        target=Classes(names=tuple("abcdefg")),
        preprocess=preprocess,
        fovea="0",
    )
    bundle = Bundle(model=model, card=card, device=torch.device("cpu"))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = None
        model.train()(bundle.inputs_of(generated(preprocess, count=8).stored))
    model.eval()
    return bundle


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_it_exports_and_agrees(name):
    bundle = bundle_of(name, **SAMPLE[name])
    _, proof, _ = proven(bundle, samples=generated(bundle.preprocess, count=8))
    assert proof.changed_decisions == 0
    assert proof.largest_difference <= max(proof.tolerance, 0.05 * proof.scale)
