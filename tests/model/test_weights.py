"""Weights of other libraries: read, renamed, checked tensor by tensor, or refused with what does not fit."""

import argparse
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import fovea
from fovea import registry
from fovea.card import Card
from fovea.errors import BundleError, StorageError, UsageError
from fovea.model import weights
from fovea.model.bundle import save_bundle
from fovea.model.weights import at_hand, load_into, network_of, published_file, read_weights
from fovea.registry import IMAGENET_MEAN, Peer


@pytest.fixture
def theirs(tmp_path):
    """Return a function that writes a CIFAR ResNet-20 under torchvision-like names and gives its path and tensors."""

    def write(name="resnet20.pth", *, classes=10, prefix="", wrap=False, without=(), **changed):
        torch.manual_seed(1)
        own = registry.build("cifar_resnet20", classes=classes).state_dict()
        state = {f"{prefix}{as_there(key)}": tensor for key, tensor in own.items()}
        state = {key: tensor for key, tensor in state.items() if key not in without} | changed
        path = tmp_path / name
        if name.endswith(".safetensors"):
            save_file(state, path)
        else:
            torch.save({"state_dict": state, "best_prec1": 91.7} if wrap else state, path)
        return path, own

    return write


def as_there(name):
    """Return akamaster's name of a tensor of ours, by hand."""
    if name.startswith("head.logits"):
        return name.replace("head.logits", "linear")
    if name.startswith("stem"):
        return name.replace("stem.conv", "conv1").replace("stem.bn", "bn1")
    stage, block, _, rest = name.split(".", 3)
    return f"layer{stage[-1]}.{int(block.removeprefix('block')) - 1}.{rest}"


def loaded(path, network="cifar_resnet20", *, new_head=False, **arguments):
    torch.manual_seed(2)
    model = registry.build(network, **arguments)
    return model, load_into(model, read_weights(path), network=network, new_head=new_head)


def same(model, own, *, but=()):
    found = model.state_dict()
    return [name for name in own if not torch.equal(found[name], own[name])] == list(but)


# what fits


@pytest.mark.parametrize("form", [{}, {"prefix": "module.", "wrap": True}, {"name": "resnet20.safetensors"}])
def test_a_foreign_file_gives_its_tensors_under_our_names(theirs, form):
    path, own = theirs(**form)
    model, origin = loaded(path)
    assert same(model, own)
    assert (origin.file, origin.naming, origin.new) == (path.name, "akamaster", ())
    assert origin.mean == IMAGENET_MEAN and origin.licence == "unknown"


def test_our_own_names_are_tried_first(tmp_path):
    own = registry.build("cifar_resnet20").state_dict()
    torch.save(own, tmp_path / "own.pt")
    model, origin = loaded(tmp_path / "own.pt")
    assert same(model, own) and origin.naming == "fovea"


def test_batch_counters_may_be_missing_as_in_old_files(theirs):
    own = registry.build("cifar_resnet20").state_dict()
    counters = [as_there(name) for name in own if name.endswith("num_batches_tracked")]
    path, own = theirs(without=counters)
    assert len(counters) == 19 and same(loaded(path)[0], own)


def test_a_dense_layer_may_be_a_1x1_convolution(theirs):
    path, own = theirs(**{"linear.weight": torch.ones(10, 64, 1, 1)})
    assert (loaded(path)[0].head.logits.weight == 1).all()


def test_a_head_for_other_classes_stays_new_where_that_is_wanted(theirs):
    path, own = theirs()
    model, origin = loaded(path, classes=3, new_head=True)
    assert origin.new == ("head.logits.weight", "head.logits.bias")
    body = {name: tensor for name, tensor in own.items() if not name.startswith("head.")}
    assert same(model, body)
    torch.manual_seed(2)
    assert torch.equal(model.head.logits.weight, registry.build("cifar_resnet20", classes=3).head.logits.weight)


def test_auxiliary_heads_in_a_file_are_left_out(tmp_path):
    with_heads = registry.build("googlenet_bn", size=64, aux=True)
    torch.save(with_heads.state_dict(), tmp_path / "googlenet.pth")
    model, _ = loaded(tmp_path / "googlenet.pth", "googlenet_bn", size=64)
    own = {name: tensor for name, tensor in with_heads.state_dict().items() if not name.startswith("aux")}
    assert same(model, own)
    assert loaded(tmp_path / "googlenet.pth", "googlenet_bn", size=64, aux=True)[1].new == ()


def test_a_model_file_of_ours_brings_its_normalisation_and_licence(tmp_path, make_card):
    model = registry.build("mlp", classes=3, c_in=3, size=4, widths=[3])
    card = make_card(licences={"weights": "CC0"})
    save_bundle(tmp_path / "own.safetensors", model, Card.from_dict(card, source="own"))
    again, origin = loaded(tmp_path / "own.safetensors", "mlp", classes=3, c_in=3, size=4, widths=[3])
    assert same(again, model.state_dict())
    assert (origin.mean, origin.std, origin.licence) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "CC0")


def test_weights_of_ones_own_training_are_yours(tmp_path, make_card):
    model = registry.build("mlp", classes=3, c_in=3, size=4, widths=[3])
    card = make_card(licences={"weights": "unknown"}, training={"seed": 0})
    save_bundle(tmp_path / "own.safetensors", model, Card.from_dict(card, source="own"))
    _, origin = loaded(tmp_path / "own.safetensors", "mlp", classes=3, c_in=3, size=4, widths=[3])
    assert origin.licence == "yours"
    assert network_of(tmp_path / "own.safetensors") == "mlp"


def test_build_takes_weights(theirs):
    path, own = theirs()
    assert same(fovea.build("cifar_resnet20", weights=path), own)
    assert fovea.build("cifar_resnet20", weights=path, classes=4).head.logits.out_features == 4


# what tools put around a network


def prefixed(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def other(state):
    """Return tensors of the same names and shapes: those of a moving average, or of a second network."""
    return {name: tensor + 1 if tensor.dtype.is_floating_point else tensor for name, tensor in state.items()}


HELD = {
    "under model": lambda state: {"model": state, "epoch": 3, "best": 0.5, "args": {"lr": 0.1, "name": None}},
    "under state_dict and module": lambda state: {"state_dict": prefixed("module.", state), "optimizer": {"state": {}}},
    "nested": lambda state: {"model": {"module": {"state_dict": state}}, "n_averaged": torch.tensor(2)},
    "the weights before their average": lambda state: {"ema": other(state), "model": state},
    "an average alone": lambda state: {"epoch": 1, "model_ema": state},
    "with numbers among the tensors": lambda state: {**state, "epoch": 3},
}
NAMED = {
    "module": lambda state: prefixed("module.", state),
    "compiled": lambda state: prefixed("_orig_mod.", state),
    "compiled, then on several devices": lambda state: prefixed("module._orig_mod.", state),
    "an average": lambda state: {"n_averaged": torch.tensor(7), **prefixed("module.", state)},
    "a part of a larger network": lambda state: prefixed("model.", state),
    "a compiled part of a larger network": lambda state: prefixed("model._orig_mod.", state),
    "parts compiled": lambda state: {name.replace(".", "._orig_mod.", 1): tensor for name, tensor in state.items()},
    "with its average": lambda state: {**prefixed("ema.module.", other(state)), **prefixed("model.", state)},
    "flattened keys": lambda state: prefixed("state_dict.model.module.", state),
}


@pytest.mark.parametrize("form", [*HELD, *NAMED])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_tensors_are_found_under_usual_keys_and_prefixes(tmp_path, form, suffix):
    if form in HELD and suffix == ".safetensors":
        pytest.skip("names of tensors are all that such a file has")
    torch.manual_seed(1)
    own = registry.build("mlp").state_dict()
    path = tmp_path / f"x{suffix}"
    content = {**HELD, **NAMED}[form](own)
    torch.save(content, path) if suffix == ".pth" else save_file(content, path)
    model, origin = loaded(path, "mlp")
    assert same(model, own) and origin.naming == "fovea"


def test_names_of_another_library_may_be_wrapped_too(theirs):
    path, own = theirs(prefix="model._orig_mod.")
    assert same(loaded(path)[0], own)


def test_a_wrapped_file_that_does_not_fit_is_told_by_its_own_names(theirs):
    path, _ = theirs(prefix="model.", **{"model.extra": torch.ones(1)})
    with pytest.raises(BundleError, match=r"names of akamaster. Unexpected \(1\): `extra`.$"):
        loaded(path)


# what does not


def test_misfits_are_listed_by_kind_with_a_few_examples_each(theirs):
    path, _ = theirs(without=["conv1.weight"], extra=torch.ones(1), **{"layer3.2.conv2.weight": torch.ones(2, 2)})
    with pytest.raises(BundleError) as caught:
        loaded(path)
    assert str(caught.value) == (
        "`resnet20.pth` does not match `cifar_resnet20`, with the layer names of akamaster. Missing (1): "
        "`stem.conv.weight`. Unexpected (1): `extra`. With a different shape (1): "
        "`stage3.block3.residual.conv2.weight (2, 2), not (64, 64, 3, 3)`."
    )


def test_another_number_of_classes_is_refused_unless_it_was_asked_for(theirs):
    path, _ = theirs(classes=5)
    with pytest.raises(BundleError, match=r"head.logits.bias \(5,\), not \(10,\)"):
        fovea.build("cifar_resnet20", weights=path)


def test_a_refused_file_changes_nothing(theirs):
    path, _ = theirs(without=["linear.bias"])
    model = registry.build("cifar_resnet20")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(BundleError, match=r"Missing \(1\): `head.logits.bias`"):
        load_into(model, read_weights(path), network="cifar_resnet20")
    assert same(model, before)


@pytest.mark.parametrize("name", ["resnet20.pth", "resnet20.safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_half_a_download_is_refused(theirs, name, kept):
    path, _ = theirs(name)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(
        BundleError, match=(f"`{name}` is an incomplete download or not a weights file, and nothing in it was")
    ):
        read_weights(path)


@pytest.mark.parametrize("kept", [2, 100, 20_000, -1])
def test_a_pickle_cut_short_is_half_a_download_wherever_it_is_cut(theirs, kept):
    path, _ = theirs()
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(
        BundleError, match=("incomplete download .* it is incomplete, or its table of contents is damaged. Download")
    ):
        read_weights(path)


def test_objects_beside_the_tensors_are_named_and_never_made(tmp_path):
    state = registry.build("mlp").state_dict()
    for beside, named in ((argparse.Namespace(lr=1), "argparse.Namespace"), (np.float64(0.5), r"numpy\.[\w.]+")):
        torch.save({"state_dict": state, "args": beside}, tmp_path / "x.pth")
        with pytest.raises(
            BundleError,
            match=(f"`x.pth` contains more than tensors: an object of `{named}`, .* save only its `state_dict"),
        ):
            read_weights(tmp_path / "x.pth")


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int32, torch.bool, torch.complex64])
def test_whole_numbers_are_no_weights_without_their_scale(tmp_path, kind):
    own = registry.build("mlp").state_dict()
    torch.save({name: (127 * tensor).round().to(kind) for name, tensor in own.items()}, tmp_path / "x.pth")
    word = str(kind).removeprefix("torch.")
    with pytest.raises(BundleError, match=f"`x.pth` has {word} instead of real numbers in .* without their scale. Use"):
        loaded(tmp_path / "x.pth", "mlp")


@pytest.mark.filterwarnings("ignore:.*quantize")
def test_a_quantised_tensor_that_has_its_scale_is_read(tmp_path):
    own = registry.build("mlp").state_dict()
    name = "head.logits.weight"
    quantised = torch.quantize_per_tensor(own[name], 0.01, 0, torch.qint8)
    torch.save({**own, name: quantised}, tmp_path / "x.pth")
    assert same(loaded(tmp_path / "x.pth", "mlp")[0], {**own, name: quantised.dequantize()})


@pytest.mark.parametrize(
    ("value", "kind"), [(torch.nan, torch.float32), (torch.inf, torch.half), (1e300, torch.double)]
)
def test_weights_that_are_not_finite_are_refused_also_where_they_become_so(tmp_path, value, kind):
    own = registry.build("mlp").state_dict()
    own["head.logits.bias"] = torch.full_like(own["head.logits.bias"], value, dtype=kind)
    torch.save(own, tmp_path / "x.pth")
    with pytest.raises(
        BundleError, match="`x.pth` contains .* instead of numbers, in `head.logits.bias`; use the file of"
    ):
        loaded(tmp_path / "x.pth", "mlp")


def test_names_are_text(tmp_path):
    for state, message in (
        ({0: torch.ones(1)}, "names a tensor by '0', of type `int`: names must be a string"),
        ({"n" * 2000: torch.ones(1)}, "has a name of 2000 characters; the limit is 1000"),
        ({"a": torch.empty(1, device="meta")}, "`a` is not a dense tensor with values"),
        ({"a": torch.ones(2, 2).to_sparse()}, "`a` is not a dense tensor with values"),
    ):
        torch.save(state, tmp_path / "x.pth")
        with pytest.raises(BundleError, match=message):
            read_weights(tmp_path / "x.pth")


def test_what_would_grow_in_memory_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "x.pth")
    with (
        zipfile.ZipFile(tmp_path / "x.pth") as plain,
        zipfile.ZipFile(tmp_path / "y.pth", "w", zipfile.ZIP_LZMA) as packed,
    ):
        for entry in plain.namelist():
            packed.writestr(entry, plain.read(entry))
    with pytest.raises(BundleError, match=r"`y.pth` is compressed: \d{3,4} bytes would expand to 400\d{4}. PyTorch"):
        read_weights(tmp_path / "y.pth")


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.pth")
    with pytest.raises(StorageError, match="`.*x.pth` is a named pipe; give a file"):
        read_weights(tmp_path / "x.pth")


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


def test_what_would_run_code_is_refused_unrun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Harmful()}, tmp_path / "bad.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"weight": Harmful()}, protocol=4))
    (tmp_path / "text.pth").write_text("hi\n")
    for name in ("plain.pth", "text.pth"):
        with pytest.raises(
            BundleError, match=(f"`{name}` .* used or run: it is not a pickle of tensors only. Download it")
        ):
            read_weights(tmp_path / name)
    # `os.mkdir` is of another module on other systems
    with pytest.raises(
        BundleError, match=r"`bad.pth` contains more than tensors: an object of `\w+.mkdir`, which only code"
    ):
        read_weights(tmp_path / "bad.pth")
    assert not Path("harmed").exists()


def test_files_of_another_kind_are_named(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(
        BundleError,
        match=(
            "`list.pth` contains no state dict: a mapping from names to tensors, either alone or under a common key"
        ),
    ):
        read_weights(tmp_path / "list.pth")
    with pytest.raises(BundleError, match="`net.onnx` is not a supported weights file; supported are .safetensors"):
        read_weights(tmp_path / "net.onnx")
    with pytest.raises(StorageError, match="There is no file `.*gone.pth`"):
        read_weights(tmp_path / "gone.pth")


# where they are


@pytest.mark.parametrize(
    ("file", "network"),
    [
        ("mobilenet_v2-b0353104.pth", "mobilenet_v2"),
        ("mobilenet_v2-imagenet-dequant.pth", "mobilenet_v2"),
        ("alexnet-owt-7be5be79.pth", "alexnet_owt"),
        ("googlenet-1378be20.pth", "googlenet_bn"),
        ("resnet20-12fca82f.th", "cifar_resnet20"),
        ("mobilenetv2_100_ra-b33bc2c4.pth", "mobilenet_v2"),
        ("mine.pth", None),
    ],
)
def test_a_files_name_says_which_network_it_is_for(file, network):
    assert network_of(file) == network


def test_files_at_hand_are_found_by_network_and_damaged_ones_passed_over(tmp_path, monkeypatch, make_card):
    monkeypatch.setenv("FOVEA_DATA", str(tmp_path))
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    first, second = tmp_path / "weights", tmp_path / "cache" / "downloads" / "weights"
    for folder in (first, second):
        folder.mkdir(parents=True)
    for file in (first / "resnet18-f37072fd.pth", second / "resnet18-f37072fd.pth", second / "squeezenet1_0-a.pth"):
        file.touch()
    (first / "damaged.safetensors").write_bytes(b"{")
    (first / "readme.txt").touch()
    assert at_hand() == {
        "resnet18": first / "resnet18-f37072fd.pth",
        "squeezenet1_0": second / "squeezenet1_0-a.pth",
    }


def test_published_weights_are_taken_from_where_they_lie_or_fetched_with_their_checksum(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path))
    monkeypatch.delenv("FOVEA_DATA", raising=False)
    asked = []
    monkeypatch.setattr(weights, "fetch", lambda address, target, **given: asked.append((address, given)) or target)
    target = tmp_path / "downloads" / "weights" / "mobilenet_v2-b0353104.pth"
    assert published_file("mobilenet_v2") == target
    [(address, given)] = asked
    assert address.endswith("/mobilenet_v2-b0353104.pth") and given["checksum"] == "sha256:b0353104"
    target.parent.mkdir(parents=True)
    target.touch()
    assert published_file("mobilenet_v2") == target and len(asked) == 1


def test_weights_of_a_backbone_become_the_body_of_the_network_on_it(theirs):
    path, own = theirs()
    arguments = {"backbone": "cifar_resnet20", "width": 2}
    model = registry.build("unet_on", **arguments)
    head = {name: tensor.clone() for name, tensor in model.head.state_dict().items()}
    network = registry.body_of("unet_on", arguments)
    origin = load_into(model, read_weights(path), network=network, new_head=True)
    state = model.state_dict()
    assert all(torch.equal(state[name], own[name]) for name in own if not name.startswith("head."))
    assert all(torch.equal(state[f"head.{name}"], tensor) for name, tensor in head.items())
    assert all(name.startswith("head.") for name in origin.new)


def test_no_published_weights_is_said_so():
    with pytest.raises(UsageError, match="No published weights of `lenet5` are known"):
        published_file("lenet5")


def test_every_published_address_ends_in_digits_of_a_checksum_and_has_a_licence():
    peers = [peer for name in registry.names() for peer in registry.entry(name).peers.values() if peer.weights]
    assert len(peers) > 20
    assert all(weights.DIGEST.search(peer.weights) and peer.licence for peer in peers)


def test_a_published_file_brings_its_licence_and_another_of_that_naming_does_not(tmp_path, monkeypatch):
    peer = Peer("mlp", ((r"^net\.", ""),), weights="https://example.org/mlp-0123abcd.pth", licence="CC0", mean=(0.5,))
    monkeypatch.setitem(registry._entries, "mlp", replace(registry.entry("mlp"), peers={"elsewhere": peer}))
    state = {f"net.{name}": tensor for name, tensor in registry.build("mlp").state_dict().items()}
    licences = {}
    for name in ("mlp-0123abcd.pth", "mlp-mine.pth"):
        torch.save(state, tmp_path / name)
        _, origin = loaded(tmp_path / name, "mlp")
        assert (origin.naming, origin.mean) == ("elsewhere", (0.5,))
        licences[name] = origin.licence
    assert licences == {"mlp-0123abcd.pth": "CC0", "mlp-mine.pth": "unknown"}


@pytest.mark.parametrize(
    ("file", "network", "naming"),
    [
        ("mobilenet_v2-imagenet-dequant.pth", "mobilenet_v2", "torchvision"),
        ("squeezenet1_0-imagenet-deepcompressed.pth", "squeezenet1_0", "torchvision"),
        ("resnet20-12fca82f.th", "cifar_resnet20", "akamaster"),
    ],
)
def test_published_files_load_whole(file, network, naming):
    home = os.environ.get("FOVEA_DATA")
    if not home or not (Path(home) / "weights" / file).exists():
        pytest.skip(f"set FOVEA_DATA to a folder that holds weights/{file}")
    origin = loaded(Path(home) / "weights" / file, network)[1]
    assert (origin.naming, origin.new) == (naming, ())
