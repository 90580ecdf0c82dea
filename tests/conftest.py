"""What tests of several floors share: a model file whose answers a reader can check by eye, and an oracle."""

import signal
import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SIZE = 4
OPERATORS = torch.library.Library("torchvision", "FRAGMENT")

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a script has started pytest in the background


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep what tests decode, and what they start decodes, out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def one_thread():
    """Let sums come out the same on every machine; a training sets the number of threads and leaves it."""
    torch.set_num_threads(1)


@pytest.fixture
def dying_after(monkeypatch):
    """Return a context in which a training fails at the end of the step with a number, counted from 1."""
    from fovea.training.engine import Trainer

    class Died(Exception):
        pass

    @contextmanager
    def dying(step):
        count, train_step = iter(range(1, 10**6)), Trainer.train_step

        def counted(trainer, indices):
            train_step(trainer, indices)
            if next(count) == step:
                raise Died

        with monkeypatch.context() as patch, pytest.raises(Died):
            patch.setattr(Trainer, "train_step", counted)
            yield

    return dying


def brightest_channel(order):
    """Return an MLP whose logit for the class at `order[i]` is 6 x the mean of channel i, pixels from 0 to 1."""
    from fovea.registry import build

    model = build("mlp", classes=3, c_in=3, size=SIZE, widths=[3])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for channel in range(3):
            model.stage1.dense.weight[channel, channel * SIZE**2 : (channel + 1) * SIZE**2] = 6 / SIZE**2
            model.head.logits.weight[order[channel], channel] = 1
    return model


@pytest.fixture
def make_card():
    """Return a function of changes that gives the card of `brightest_channel`."""

    def card(**changes):
        return {
            "format": 1,
            "fovea": "0.1.0",
            "architecture": "mlp",
            "arguments": {"classes": 3, "c_in": 3, "size": SIZE, "widths": [3]},
            "task": "classes",
            "outputs": 3,
            "loss": "cross-entropy",
            "preprocess": {
                "size": [SIZE, SIZE],
                "channels": 3,
                "fit": "squash",
                "mean": [0.0, 0.0, 0.0],
                "std": [1.0, 1.0, 1.0],
                **{"decoder": "pillow", "resample": "bilinear", "antialias": True, "alpha_over": "white", "fill": 128},
            },
            "classes": ["red", "green", "blue"],
            "temperature": 1.0,
            **changes,
        }

    return card


@pytest.fixture
def make_bundle(tmp_path, make_card):
    """Return a function that writes a bundle that knows red from green from blue, and gives its path."""
    import fovea.zoo  # noqa: F401  registers the network
    from fovea.card import Card
    from fovea.model.bundle import save_bundle

    def write(name="model.safetensors", *, model=None, order=(0, 1, 2), **changes):
        card = Card.from_dict(make_card(**changes), source=name)
        save_bundle(tmp_path / name, model or brightest_channel(order), card)
        return tmp_path / name

    return write


@pytest.fixture
def make_labels_bundle(make_bundle):
    """Return a function that writes a bundle of several labels: each colour is one, with logit 6 x its share."""

    def write(name="labels.safetensors", *, thresholds=(0.75, 0.75, 0.75), order=(0, 1, 2), **changes):
        task = {"format": 2, "task": "labels", "loss": "bce", "target": {"thresholds": list(thresholds)}}
        return make_bundle(name, order=order, **{**task, **changes})

    return write


@pytest.fixture
def make_grade_bundle(make_bundle):
    """Return a function that writes a bundle of three grades: blue is 0, green 1 and red 2."""
    from fovea.registry import build

    def write(name="grade.safetensors", **changes):
        arguments = {"classes": 2, "c_in": 3, "size": SIZE, "widths": [3]}
        model = build("mlp", **arguments)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            for channel in range(3):
                model.stage1.dense.weight[channel, channel * SIZE**2 : (channel + 1) * SIZE**2] = 6 / SIZE**2
            model.head.logits.weight.copy_(torch.tensor([[1.0, 1, 0], [2, 0, 0]]))
            model.head.logits.bias.fill_(-3.0)
        task = {"format": 2, "task": "grade", "loss": "corn", "classes": ["0", "1", "2"], "outputs": 2}
        return make_bundle(name, model=model, arguments=arguments, **{**task, **changes})

    return write


@pytest.fixture
def make_number_bundle(make_bundle):
    """Return a function that writes a bundle that says 40 of every image."""
    from fovea.registry import build

    def write(name="number.safetensors", **changes):
        arguments = {"classes": 1, "c_in": 3, "size": SIZE, "widths": [1]}
        model = build("mlp", **arguments)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            model.head.logits.bias.fill_(2.0)
        task = {"task": "number", "loss": "mse", "classes": [], "outputs": 1, "target": {"mean": 30.0, "std": 5.0}}
        return make_bundle(name, model=model, arguments=arguments, **{**task, **changes})

    return write


@pytest.fixture
def colour_folder(tmp_path, monkeypatch):
    """Return a function that writes `count` plain images per class name, in that colour or in a given one."""
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))

    def write(folder, *, count=2, **colour_of):
        for label, colour in (colour_of or {name: name for name in COLOURS}).items():
            (tmp_path / folder / label).mkdir(parents=True)
            for index in range(count):
                pixels = np.full((6, 6, 3), COLOURS[colour], np.uint8)
                Image.fromarray(pixels).save(tmp_path / folder / label / f"{index}.png")
        return tmp_path / folder

    return write


@pytest.fixture
def make_outcome():
    """Return a function of changes that gives six images of three classes, two of them classified wrongly."""

    from fovea.evaluation.outcome import Outcome
    from fovea.tasks.classes import Classes
    from fovea.tasks.number import Number

    def make(classes=("cat", "dog", "owl"), names=tuple("abcdef"), *, temperature=1.0, **changes):
        logits = torch.tensor([[4.0, 0, 0], [3, 0, 0], [0, 2, 0], [0, 1, 0], [0, 0, 5], [1, 0, 0]])
        pixels = np.arange(6 * 4 * 4 * 3, dtype=np.uint8).reshape(6, 4, 4, 3)
        loss = "binary" if changes.get("outputs", logits).shape[1] == 1 else "cross-entropy"
        target = Classes(names=classes, loss=loss, temperature=temperature) if classes else Number()
        given = {
            "data": "pets",
            "split": "test",
            "target": target,
            "outputs": logits,
            "labels": np.array([0, 1, 1, 1, 2, 2]),  # b is a dog taken for a cat, f an owl taken for a cat
            "names": names,
            "picture": lambda index: pixels[index],
        }
        return Outcome(**{**given, **changes})

    return make


@pytest.fixture(scope="session")
def torchvision():
    """Return the library, its compiled operators declared where they do not load; skip without it."""
    found = find_spec("torchvision")
    if found is None:
        pytest.skip("torchvision is not installed")
    try:
        torch.ops.load_library(str(next(Path(found.origin).parent.glob("_C.*"))))
    except (OSError, StopIteration):
        for name in ("nms", "qnms"):  # the library describes these two when it is imported
            OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchvision
    return torchvision
