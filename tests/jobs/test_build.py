"""A model file from a name and published weights: complete, or not there at all."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from fovea import registry
from fovea.data.sources.source import find
from fovea.errors import BundleError, UsageError
from fovea.jobs.build import build_file
from fovea.jobs.evaluate import evaluate
from fovea.jobs.measure import measure
from fovea.jobs.predict import predict
from fovea.model.bundle import load
from fovea.model.container import read_card

PHOTOGRAPH_NETWORKS = {
    # the preprocessing and the accuracy of 100 that their publishers' files were measured at
    "mobilenet_v2": ("mobilenet_v2-imagenet-dequant.pth", {"mean": (0.5,), "std": (0.5,), "size": 225}, 0.80),
    "squeezenet1_0": ("squeezenet1_0-imagenet-deepcompressed.pth", {"size": 227}, 0.61),
}


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    state = registry.build("cifar_resnet20", classes=3).state_dict()
    torch.save(state, tmp_path / "weights.pth")
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    return tmp_path / "weights.pth", tmp_path / "names.txt", state


def test_the_file_holds_the_weights_the_names_and_the_preprocessing(tmp_path, weights):
    file, names, state = weights
    built = build_file(
        "cifar_resnet20", out=tmp_path / "net.safetensors", weights=file, classes_from=names, mean=[0.5], licence="CC0"
    )
    bundle = load(built.model)
    assert bundle.classes == ("red", "green", "blue")
    assert bundle.preprocess.mean == (0.5, 0.5, 0.5) and bundle.preprocess.std == registry.IMAGENET_STD
    assert bundle.preprocess.size == (32, 32) and bundle.preprocess.crop == 1.0
    found = bundle.model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())
    card = read_card(built.model)
    assert card["licences"]["weights"] == "CC0"
    assert card["origin"]["file"] == "weights.pth" and card["origin"]["naming"] == "fovea"
    assert len(card["origin"]["sha256"]) == 64
    assert built.summary()[2:4] == [
        "Weights  weights.pth, with the layer names of fovea",
        "Input    3x32x32; 3 classes",
    ]


def test_a_normalisation_that_the_file_does_not_say_is_said_to_be_assumed(tmp_path, weights):
    file, names, _ = weights
    built = build_file("cifar_resnet20", out=tmp_path / "net.safetensors", weights=file, classes_from=names)
    assert built.summary()[4] == (
        "Note     `weights.pth` does not say how pixels are normalised; used are mean 0.485, 0.456, 0.406 and std "
        "0.229, 0.224, 0.225; change them with --mean and --std"
    )
    given = {"mean": [0.5], "std": [0.5]}
    built = build_file("cifar_resnet20", out=tmp_path / "own.safetensors", weights=file, classes_from=names, **given)
    assert built.summary()[4].startswith("Next")
    again = build_file("cifar_resnet20", out=tmp_path / "x.safetensors", weights=built.model, classes_from=names)
    assert again.card["preprocess"]["mean"] == [0.5] * 3 and again.summary()[4].startswith("Next")


def test_without_weights_the_network_is_random_and_the_classes_are_numbers(tmp_path):
    built = build_file("lenet5", out=tmp_path / "net.safetensors")
    assert load(built.model).classes == tuple("0123456789")
    assert built.summary()[2] == "Weights  random"
    assert built.to_dict()["model"].endswith("net.safetensors")


def test_networks_for_photographs_take_the_centre_of_a_larger_image(tmp_path):
    built = build_file("squeezenet1_1", out=tmp_path / "net.safetensors")
    assert load(built.model).preprocess.crop == 224 / 256
    built = build_file("squeezenet1_1", out=tmp_path / "cropped.safetensors", size=225, resize=256)
    assert built.summary()[3] == "Input    3x225x225, the centre of 256x256; 1,000 classes"


def test_a_network_on_a_backbone_is_rebuilt_from_its_file_with_what_it_answers(tmp_path):
    arguments = {"backbone": "cifar_resnet20", "width": 2, "size": 16, "classes": 3}
    built = build_file("unet_on", out=tmp_path / "net.safetensors", **arguments)
    found = load(built.model)
    assert (found.card.target.name, found.card.arguments["backbone"]) == ("masks", "cifar_resnet20")
    assert found.preprocess.crop == 1.0
    torch.manual_seed(0)
    own = registry.build("unet_on", **arguments)
    assert found.model.state_dict().keys() == own.state_dict().keys()
    assert (
        build_file("centres", out=tmp_path / "boxes.safetensors", backbone="cifar_resnet20").card.target.name == "boxes"
    )


def test_the_loss_follows_from_the_form_of_the_answers(tmp_path):
    arguments = {"width": 1 / 64, "size": 64, "classes": 2}
    card = load(build_file("yolo_v2_tiny_voc", out=tmp_path / "net.safetensors", **arguments).model).card
    assert (card.target.name, card.target.loss, card.target.size) == ("boxes", "yolo2", (64, 64))


def test_refused_weights_leave_no_file(tmp_path, weights):
    file, _, _ = weights
    with pytest.raises(BundleError, match="does not match `lenet5`"):
        build_file("lenet5", out=tmp_path / "net.safetensors", weights=file)
    assert {path.name for path in tmp_path.iterdir()} == {"weights.pth", "names.txt"}


def test_a_file_that_exists_is_not_overwritten(tmp_path):
    (tmp_path / "net.safetensors").write_text("before")
    with pytest.raises(UsageError, match="exists, and `fovea build` overwrites nothing; choose another `out`"):
        build_file("lenet5", out=tmp_path / "net.safetensors")
    assert (tmp_path / "net.safetensors").read_text() == "before"


def test_networks_for_series_and_clips_get_preprocessing_of_their_own(tmp_path):
    built = build_file("fcn_1d", out=tmp_path / "series.safetensors", classes=3, size=100, mean=[2.0], std=[4.0])
    preprocess = load(built.model).preprocess
    assert preprocess.shape == (1, 100) and (preprocess.mean, preprocess.std) == ((2.0,), (4.0,))
    built = build_file("r3d_8", out=tmp_path / "clips.safetensors", frames="8", c_in=1, classes=4)
    assert "Input    1x8x32x32; 4 classes" in built.summary()
    bundle = load(built.model)
    assert bundle.inputs(np.zeros((5, 20, 20), np.uint8)).shape == (1, 1, 8, 32, 32)
    with pytest.raises(UsageError, match="`resize` works only for images; leave it out for clips"):
        build_file("r3d_8", out=tmp_path / "none.safetensors", resize=40)


def test_what_cannot_be_is_said_so(tmp_path):
    with pytest.raises(UsageError, match="`resize` .=100. must be at least 224 pixels"):
        build_file("squeezenet1_1", out=tmp_path / "net.safetensors", resize=100)
    with pytest.raises(UsageError, match="`mean` .* must have one finite number for each of `channels`"):
        build_file("squeezenet1_1", out=tmp_path / "net.safetensors", mean=[0.1, 0.2])


def data(*parts):
    path = Path(os.environ.get("FOVEA_DATA", "")) / Path(*parts)
    if not os.environ.get("FOVEA_DATA") or not path.exists():
        pytest.skip(f"set FOVEA_DATA to a folder that holds {Path(*parts)}")
    return path


@pytest.fixture(scope="module")
def photograph_network(tmp_path_factory):
    """Return a function that gives the model file of published ImageNet weights."""

    def make(name):
        file, options, _ = PHOTOGRAPH_NETWORKS[name]
        return build_file(
            name,
            out=tmp_path_factory.mktemp(name) / "net.safetensors",
            weights=data("weights", file),
            classes_from=data("imagenet-subset", "imagenet_class_index.json"),
            resize=256,
            **options,
        ).model

    return make


@pytest.fixture
def photographs(tmp_path):
    """Return a manifest of the 100 photographs, labelled by ImageNet's ids."""
    folder = data("imagenet-subset")
    with (folder / "labels.csv").open(newline="") as file:
        rows = [(folder / "images" / row["file"], row["wnid"]) for row in csv.DictReader(file)]
    with (tmp_path / "photographs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return tmp_path / "photographs.csv"


@pytest.mark.slow
@pytest.mark.parametrize("name", PHOTOGRAPH_NETWORKS)
def test_published_weights_reach_their_accuracy_on_photographs(name, photograph_network, photographs):
    result = evaluate(photograph_network(name), photographs, batch=20)
    assert result.images == 100 and result.accuracy >= PHOTOGRAPH_NETWORKS[name][2]


def test_a_network_that_was_compressed_takes_few_bytes_and_comes_back_to_the_bit(tmp_path):
    published = data("weights", "squeezenet1_0-imagenet-deepcompressed.pth")
    coded = build_file("squeezenet1_0", out=tmp_path / "coded.safetensors", weights=published, coded=True).model
    back = build_file("squeezenet1_0", out=tmp_path / "back.safetensors", weights=coded).model
    assert coded.stat().st_size < 600_000 < 5_000_000 < back.stat().st_size
    tensors = torch.load(published, weights_only=True).values()
    found = load(back).model.state_dict().values()
    for tensor, one in zip(tensors, found, strict=True):
        assert torch.equal(one.contiguous().view(torch.int32), tensor.view(torch.int32))


@pytest.mark.slow
@pytest.mark.parametrize("name", PHOTOGRAPH_NETWORKS)
def test_predict_names_the_thing(name, photograph_network):
    photograph = data("imagenet-subset", "images", "n01614925_bald_eagle.JPEG")
    [found] = predict(photograph_network(name), photograph)
    assert found.prediction.label == "bald eagle" and found.prediction.probability > 0.5


@pytest.mark.slow
def test_the_published_cifar_resnet_reaches_its_accuracy(tmp_path):
    weights = data("weights", "resnet20-12fca82f.th")
    test = find("cifar10", download=False).parts["test"]
    bundle = load(build_file("cifar_resnet20", out=tmp_path / "net.safetensors", weights=weights).model)
    scores = bundle.scores(test.decoded[:2000])
    assert (scores.argmax(axis=1) == test.labels[:2000]).mean() >= 0.916


def test_a_file_of_letters_and_numbers_needs_no_code(tmp_path):
    letters = "C8k5s2BR (CBRCB)R W B R C9k1 Ak3s2 GD F7R F"
    built = build_file(letters, out=tmp_path / "net.safetensors", size=32)
    bundle = load(built.model)
    image = np.zeros((40, 32, 3), np.uint8)
    model = registry.build("pattern", pattern=letters).eval()
    model.load_state_dict(bundle.model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(bundle.model(bundle.inputs(image)), model(bundle.inputs(image)))
    assert sorted(label for label, _ in bundle.predict(image)[0].scores) == [str(number) for number in range(10)]


def test_letters_are_a_network_to_measure_and_train(tmp_path):
    built = build_file("CRCRP CRP FRF", out=tmp_path / "net.safetensors", widths=[4, 8, 16])
    assert built.card["arguments"]["pattern"] == "CRCRP CRP FRF"
    # by hand: 3x3 from 3 to 4 and 4 to 4; 4 to 8; 8 maps of 8x8 to 16 units, these to 10
    assert built.children == {"stage1": 112 + 148, "stage2": 296, "head": 8_208 + 170}
    assert built.summary()[1] == "Layers   stage1 260, stage2 296, head 8,378"
    assert measure(built.model).total.parameters == built.parameters == 8_934
    with pytest.raises(UsageError, match=r"`pattern` \(=CRX F\) must be letters C \(convolution\)"):
        build_file("CRX F", out=tmp_path / "none.safetensors")
    with pytest.raises(UsageError, match="`lenet5` has no argument `widths`"):
        build_file("lenet5", out=tmp_path / "none.safetensors", widths=[4])
