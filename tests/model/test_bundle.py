"""The model file: what comes back is what was saved, and a file that does not fit is refused before it takes memory."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, safe_open, save_file
from torch import nn

from fovea import registry
from fovea.card import Card
from fovea.devices import device_named
from fovea.errors import BundleError, ImageError, StorageError, UsageError
from fovea.model.bundle import load, save_bundle
from fovea.model.container import read_header
from fovea.preprocess import Preprocess
from fovea.tasks.prediction import LabelScore, Prediction

RED, GREEN, BLUE = np.eye(3, dtype=np.uint8) * 255
PREPROCESS = Preprocess(size=(4, 4), channels=3, mean=(0.0,) * 3, std=(1.0,) * 3).to_dict()


def plain(colour, size=8):
    return np.tile(colour, (size, size, 1)).astype(np.uint8)


def peak_kilobytes():
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


class Tied(nn.Module):
    """One weight under two names, a buffer, and a view of a larger tensor."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.register_buffer("part", torch.arange(9.0).reshape(3, 3)[:, 1])
        self.register_buffer("scratch", torch.zeros(2), persistent=False)

    def forward(self, x):
        return self.second(self.first(x.mean((2, 3)))) + self.part


def test_probabilities_by_hand(make_bundle):
    # logits of plain red are 6, 0, 0
    prediction = load(make_bundle()).predict(plain(RED))[0]
    best = np.exp(6) / (np.exp(6) + 2)
    assert prediction.label == "red"
    assert prediction.probability == pytest.approx(best)
    assert [score.label for score in prediction.scores] == ["red", "green", "blue"]
    assert [score.probability for score in prediction.scores[1:]] == pytest.approx([(1 - best) / 2] * 2)


def test_temperature_divides_the_logits(make_bundle):
    prediction = load(make_bundle(temperature=3.0)).predict(plain(RED))[0]
    assert prediction.probability == pytest.approx(np.exp(2) / (np.exp(2) + 2))


def test_every_kind_of_image_gives_the_same_prediction(make_bundle, tmp_path):
    bundle, image = load(make_bundle()), Image.fromarray(plain(GREEN))
    image.save(tmp_path / "g.png")
    one = bundle.predict(plain(GREEN))
    for images in (image, tmp_path / "g.png", str(tmp_path / "g.png"), [image], image.convert("P"), plain(GREEN)[None]):
        assert bundle.predict(images) == one
    assert bundle.predict([plain(RED), image, tmp_path / "g.png"])[1:] == one * 2
    assert bundle.predict([]) == []


def test_a_pil_image_is_seen_as_its_file_is(make_bundle, tmp_path):
    half = np.zeros((8, 8, 4), np.uint8)
    half[:4] = (255, 0, 0, 255)
    turned = Image.fromarray(half)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    bundle = load(make_bundle())
    with Image.open(tmp_path / "turned.png") as image:
        assert bundle.predict(image) == bundle.predict(tmp_path / "turned.png")
    with pytest.raises(UsageError, match="mode `I;16` has no fixed range"):
        bundle.predict(Image.fromarray(np.zeros((2, 2), np.uint16)))


def test_a_batch_and_its_images_one_by_one_agree(make_bundle):
    bundle = load(make_bundle())
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 6, 3), np.uint8)
    alone = [bundle.predict(image)[0] for image in images]
    for together, one in zip(bundle.predict(images, batch=3), alone, strict=True):
        assert dict(together.scores) == pytest.approx(dict(one.scores), abs=1e-6)


def test_bad_images_are_refused(make_bundle, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"bad.png"):
        load(make_bundle()).predict([plain(RED), tmp_path / "bad.png"])
    with pytest.raises(UsageError, match="must be uint8"):
        load(make_bundle()).predict(np.zeros((4, 4, 3)))
    with pytest.raises(ImageError):
        load(make_bundle()).predict(b"\xff\xd8")
    for other, kind in ((torch.zeros(3, 4, 4), "Tensor"), ([None], "NoneType")):
        with pytest.raises(UsageError, match=f"a PIL image or a uint8 array; this is of type `{kind}`"):
            load(make_bundle()).predict(other)


def test_one_sigmoid_unit_speaks_for_the_second_class(make_bundle):
    model = registry.build("mlp", classes=1, c_in=3, size=4, widths=[1])
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    nn.init.constant_(model.head.logits.bias, 2.0)
    arguments = {"classes": 1, "c_in": 3, "size": 4, "widths": [1]}
    path = make_bundle(model=model, arguments=arguments, outputs=1, loss="binary", classes=["cat", "dog"])
    assert load(path).predict(plain(RED))[0].scores == (
        LabelScore("dog", pytest.approx(1 / (1 + np.exp(-2)))),
        LabelScore("cat", pytest.approx(1 / (1 + np.exp(2)))),
    )


def test_a_number_comes_in_the_unit_of_the_labels(make_bundle):
    model = registry.build("mlp", classes=1, c_in=3, size=4, widths=[1])
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    nn.init.constant_(model.head.logits.bias, 2.0)
    arguments = {"classes": 1, "c_in": 3, "size": 4, "widths": [1]}
    target = {"mean": 30.0, "std": 5.0}
    changes = {"task": "number", "loss": "mse", "classes": [], "outputs": 1, "arguments": arguments, "target": target}
    assert load(make_bundle(model=model, **changes)).predict(plain(RED)) == [Prediction(value=40.0)]
    assert Prediction(value=40.0).label == "40"


OF_IMAGES = [name for name in registry.names() if len(registry.entry(name).input) == 3]


@pytest.mark.parametrize("name", [name for name in OF_IMAGES if registry.entry(name).params < 5_000_000])
def test_every_network_that_is_not_large_comes_back_to_the_bit(make_bundle, name):
    torch.manual_seed(0)
    arguments = registry.arguments_of(name, classes=3, c_in=3)
    model = registry.build(name, **arguments).to(memory_format=torch.channels_last).eval()
    preprocess = {**PREPROCESS, "size": [arguments.get("size", 32)] * 2}
    changes = {"architecture": name, "arguments": json.loads(json.dumps(arguments)), "preprocess": preprocess}
    loaded = load(make_bundle(model=model, **changes)).model
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for key, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor), key
    assert not any(module.training for module in loaded.modules())
    for tensor in loaded.parameters():
        assert tensor.dim() != 4 or tensor.is_contiguous(memory_format=torch.channels_last)


def test_loading_draws_no_random_numbers(make_bundle):
    path = make_bundle()
    before = torch.get_rng_state()
    load(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_shared_tensors_are_stored_once_and_shared_again(make_bundle):
    path = make_bundle(model=Tied(), architecture="custom", arguments={})
    with safe_open(path, "pt") as file:
        assert sorted(file.keys()) == ["first.weight", "part"]
    saved, fresh = load(path, model=Tied()).model, Tied()
    assert load(path, model=fresh).model is fresh
    assert fresh.second.weight is fresh.first.weight
    assert torch.equal(fresh.first.weight, saved.first.weight)


def test_a_custom_network_wants_its_code(make_bundle):
    path = make_bundle(model=Tied(), architecture="custom", arguments={})
    with pytest.raises(BundleError, match=r'`fovea.load\("model.safetensors", model=Net\(\)\)`'):
        load(path)


def test_a_class_instead_of_a_network_is_refused(make_bundle):
    with pytest.raises(UsageError, match=r"must be a network, a torch.nn.Module: `Net\(\)`, not `Net`"):
        load(make_bundle(model=Tied(), architecture="custom", arguments={}), model=Tied)


def test_weights_that_are_no_numbers_are_refused(make_bundle):
    model = registry.build("mlp", classes=3, c_in=3, size=4, widths=[3])
    nn.init.constant_(model.head.logits.bias, torch.nan)
    with pytest.raises(BundleError, match="contains NaN instead of numbers, in `head.logits.bias`; train it again"):
        make_bundle(model=model)
    nn.init.constant_(model.head.logits.bias, torch.inf)
    with pytest.raises(BundleError, match="contains infinite values instead of numbers, in `head.logits.bias`"):
        make_bundle(model=model)
    spoilt(make_bundle(), "head.logits.bias", torch.nan)
    with pytest.raises(BundleError, match="contains NaN instead of numbers, in `head.logits.bias`; train it again"):
        load(make_bundle().parent / "spoilt.safetensors")


def spoilt(path, name, value):
    """Write a copy of a model file in which one tensor has another value."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors[name].fill_(value)
    save_file(tensors, path.parent / "spoilt.safetensors", metadata)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"arguments": {"classes": 3, "c_in": 3, "size": 8, "widths": [3]}},
            "With a different shape: `stage1.dense.weight`",
        ),
        (
            {"arguments": {"classes": 3, "c_in": 3, "size": 4, "widths": [3] * 9}},
            "`widths` lists 9 layers but there are 4 tensors",
        ),
        ({"architecture": "nonet"}, "cannot be built: Unknown network `nonet`"),
        ({"preprocess": {**PREPROCESS, "size": [5, 5]}}, "was not built for 3x5x5"),
    ],
)
def test_what_load_would_refuse_is_not_written(make_bundle, changes, message):
    kept = make_bundle().read_bytes()
    with pytest.raises(BundleError, match=message):
        make_bundle(**changes)
    assert (path := make_bundle()).read_bytes() == kept and [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_network_of_other_tensors_is_refused_by_name(make_bundle):
    path = make_bundle(model=Tied(), architecture="custom", arguments={})
    with pytest.raises(BundleError, match="Missing: `bias`, `weight`. Unexpected: `first.weight`, `part`.$"):
        load(path, model=nn.Linear(3, 3))
    with pytest.raises(BundleError, match="With a different shape: `head.logits.bias`, `head.logits.weight`.$"):
        load(make_bundle(), model=registry.build("mlp", classes=4, c_in=3, size=4, widths=[3]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "nonet"}, "cannot be built: Unknown network `nonet`"),
        ({"arguments": {"classes": 3, "colour": 1}}, "cannot be built: `mlp` has no argument `colour`"),
        ({"arguments": {"classes": 3, "c_in": "3"}}, "cannot be built: `c_in`"),
        ({"arguments": {"classes": 3, "c_in": 3, "size": 10**30}}, "cannot be built"),
        ({"arguments": {"classes": 3, "c_in": 3, "size": 10**6, "widths": [10**5]}}, "does not match its network"),
        (
            {"arguments": {"classes": 3, "c_in": 3, "size": 4, "widths": [1] * 50_000}},
            "lists 50000 layers but there are 4 tensors",
        ),
        ({"preprocess": {"size": [4, 4]}}, "its preprocessing cannot be used"),
        ({"preprocess": {**PREPROCESS, "size": [5, 5]}}, "not built for 3x5x5, which its preprocessing produces"),
        ({"arguments": {"classes": 3, "c_in": 3, "widths": [3]}}, "does not match its network"),
        ({"preprocess": {**PREPROCESS, "channels": 1, "mean": [0], "std": [1]}}, "not built for 1x4x4"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read where Linux has it")
def test_a_hostile_card_is_refused_before_it_takes_memory(make_bundle, make_card, changes, message):
    path = make_bundle()
    save_file(load_file(path), path, metadata={"fovea": json.dumps(make_card(**changes))})
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here, whatever ran before
    before = peak_kilobytes()
    with pytest.raises(BundleError, match=message):
        load(path)
    assert peak_kilobytes() - before < 100_000


def convolutional(path, card, *, size):
    """Write a network that takes any size, whose card asks for `size` x `size`."""
    card = card(architecture="cifar_resnet20", arguments={"classes": 3})
    card["preprocess"] = {**PREPROCESS, "size": [size, size]}
    save_file(registry.build("cifar_resnet20", classes=3).state_dict(), path, metadata={"fovea": json.dumps(card)})
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read where Linux has it")
def test_an_input_that_would_take_gigabytes_is_refused_at_once(tmp_path, make_card):
    path = convolutional(tmp_path / "m.safetensors", make_card, size=10_000)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_kilobytes()
    with pytest.raises(BundleError, match=r"^`m.safetensors`: one input of 3x10000x10000 would need [\d,]+ MB, "):
        load(path)
    assert peak_kilobytes() - before < 100_000


def test_a_setting_allows_a_larger_input(tmp_path, make_card, monkeypatch):
    path = convolutional(tmp_path / "m.safetensors", make_card, size=512)
    monkeypatch.setenv("FOVEA_INPUT_MB", "10")
    with pytest.raises(BundleError, match="`FOVEA_INPUT_MB="):
        load(path)
    monkeypatch.setenv("FOVEA_INPUT_MB", "500")
    assert 10_000_000 < load(path).input_bytes < 500_000_000


def test_the_default_of_the_builder_counts_where_the_card_leaves_the_size_out(tmp_path, make_card):
    model = registry.build("lenet5", classes=3, c_in=3)
    card = make_card(architecture="lenet5", arguments={"classes": 3, "c_in": 3})  # built for 32 x 32
    card["preprocess"] = {**PREPROCESS, "size": [64, 64]}
    save_file(model.state_dict(), tmp_path / "m.safetensors", metadata={"fovea": json.dumps(card)})
    with pytest.raises(BundleError, match=r"^`m.safetensors`: its network was not built for 3x64x64, which its pre"):
        load(tmp_path / "m.safetensors")


def test_what_is_refused_when_read_is_refused_when_written(tmp_path, make_card):
    card = make_card(architecture="cifar_resnet20", arguments={"classes": 3})
    card["preprocess"] = {**PREPROCESS, "size": [10_000, 10_000]}
    with pytest.raises(BundleError, match="one input of 3x10000x10000 would need"):
        save_bundle(tmp_path / "m", registry.build("cifar_resnet20", classes=3), Card.from_dict(card, source="x"))
    assert not (tmp_path / "m").exists()


def test_a_network_of_ones_own_may_need_images(make_bundle, make_card, tmp_path):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return self.layer(x.mean((2, 3)) if float(x[0].sum()) > 0 else x.amax((2, 3)))

    save_bundle(tmp_path / "o", Own(), Card.from_dict(make_card(architecture="custom", arguments={}), source="x"))
    assert load(tmp_path / "o", model=Own()).input_bytes == 4 * 3 * 4 * 4


def test_tensor_data_that_contradict_the_header_are_refused(make_bundle, tmp_path, make_card):
    tensors = {name: torch.zeros(shape, dtype=torch.uint8) for name, shape in read_header(make_bundle()).shapes.items()}
    save_file(tensors, tmp_path / "x", metadata={"fovea": json.dumps(make_card())})
    raw = (tmp_path / "x").read_bytes().replace(b'"U8"', b'"F8"')
    (tmp_path / "x").write_bytes(raw)
    with pytest.raises(BundleError, match="is damaged"):
        load(tmp_path / "x")


def test_a_failed_save_leaves_the_old_file_and_no_half(make_bundle, make_card, monkeypatch, tmp_path):
    path = make_bundle()
    old = path.read_bytes()
    with pytest.raises(BundleError, match="contradict"):
        save_bundle(path, nn.Linear(1, 1), Card.from_dict(make_card(outputs=9), source="x"))
    code = (
        "import resource, sys, json, fovea.zoo; from fovea.model.bundle import save_bundle; from fovea import registry;"
        "from fovea.card import Card; card = Card.from_dict(json.loads(sys.argv[2]), source='x');"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "save_bundle(sys.argv[1], registry.build('mlp', **card.arguments), card)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), json.dumps(make_card())], capture_output=True, text=True, check=False
    )
    assert "StorageError" in done.stderr and "cannot be written (File too large)" in done.stderr
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_missing_folder_is_a_storage_error(make_card, tmp_path):
    model = registry.build("mlp", classes=3, c_in=3, size=4, widths=[3])
    with pytest.raises(StorageError, match="cannot be written"):
        save_bundle(tmp_path / "absent" / "x.safetensors", model, Card.from_dict(make_card(), source="x"))


def test_the_same_network_gives_the_same_bytes(make_bundle):
    assert make_bundle("a").read_bytes() == make_bundle("b").read_bytes()


def test_a_device_that_is_not_there_is_refused(make_bundle):
    assert device_named("cpu") == torch.device("cpu")
    assert device_named("auto").type in ("cuda", "mps", "cpu")
    with pytest.raises(UsageError, match="`--device tpu` is not available; this machine has .*cpu"):
        load(make_bundle(), device="tpu")


def test_outputs_that_are_not_finite_are_never_given(make_bundle):
    path = make_bundle()
    bundle = load(path)
    with torch.no_grad():
        bundle.model.head.logits.weight.fill_(3e38)  # finite, unlike its product with the image
    with pytest.raises(BundleError, match="The network's outputs are not finite"):
        bundle.predict(np.full((4, 4, 3), 255, np.uint8))
