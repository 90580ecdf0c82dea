"""The train job on real sources: what it writes, what it reports, and what it refuses."""

import importlib.util
import json
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import fovea
from fovea.data.sources.source import find
from fovea.display import Display
from fovea.errors import DataError, MissingDependencyError, ShapeError, TrainingError, UsageError
from fovea.jobs.train import train
from fovea.model.container import read_header
from fovea.tasks.score import Score
from fovea.training.engine import Trainer

FAST = {"threads": 1, "precision": "float32", "device": "cpu"}


def quiet(*arguments, **options):
    return train(*arguments, display=Display(quiet=True), **{**FAST, **options})


def halves(count, seed=0):
    """Return grey images whose upper (class 0) or lower (class 1) half is brighter, in turn, and their labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = generator.integers(0, 120, (count, 8, 8), np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[4 * label : 4 * label + 4] += 100
    return pixels, labels


@pytest.fixture
def arrays(tmp_path):
    """Return an `.npz` of 64 images to train on and 20 to test on."""
    (x, y), (x_test, y_test) = halves(64), halves(20, seed=1)
    np.savez(tmp_path / "halves.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return tmp_path / "halves.npz"


@pytest.fixture
def net_file(tmp_path):
    """Return a function that writes a Python file with a network of its own and gives `file.py:Net`."""

    def write(body="return self.layers(x)", *, file="net.py"):
        (tmp_path / file).write_text(
            "import torch\n"
            "from torch import nn\n"
            "class Net(nn.Module):\n"
            "    def __init__(self, classes, c_in=1):\n"
            "        super().__init__()\n"
            "        hidden = nn.Linear(64 * c_in, 16)\n"
            "        self.layers = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(16, classes))\n"
            "        self.passes = 0\n"
            "    def forward(self, x):\n"
            "        self.passes += 1\n"
            f"        {body}\n"
        )
        return f"{tmp_path / file}:Net"

    return write


OWN = {"size": 8, "optimiser": "adam", "lr": 0.01, "batch": 16, "epochs": 4}


def test_digits_become_a_run_whose_model_is_as_good_as_it_says(tmp_path):
    result = quiet("digits", out=tmp_path / "run", epochs=3)
    assert sorted(file.name for file in result.run.iterdir()) == [
        *("last.safetensors", "lock", "looks.jsonl", "metrics.jsonl", "model.safetensors", "recipe.toml", "report.html")
    ]
    (test,) = result.results
    bundle, part = fovea.load(result.model), find("digits").parts["test"]
    right = [p.label == str(label) for p, label in zip(bundle.predict(part.decoded), part.labels, strict=True)]
    assert test["accuracy"] == sum(right) / len(right) > 0.9
    assert (test["split"], test["images"], test["flip"]) == ("test", 359, False)
    assert test["interval"][0] < test["accuracy"] < test["interval"][1]
    lines = [json.loads(line) for line in (result.run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2] and [line["images"] for line in lines] == [1408] * 3
    assert lines[2]["loss"] < lines[0]["loss"] and lines[2]["elapsed_s"] <= result.seconds


def test_the_card_tells_what_was_trained_and_how(tmp_path):
    result = quiet("digits", out=tmp_path / "run", epochs=1, seed=3)
    card, _ = read_header(result.model)
    training = card["training"]
    assert (card["architecture"], card["loss"], card["outputs"]) == ("lenet5", "cross-entropy", 10)
    assert (training["seed"], training["threads"], training["epochs"], training["device"]) == (3, 1, 1, "cpu")
    assert training["data"]["images"] == {"train": 1438, "test": 359}
    assert training["data"]["fingerprint"] == find("digits").fingerprint
    assert training["recipe"]["lr"] == 0.003 and card["results"] == [dict(r) for r in result.results]
    operations = 6 * 416_520 - 2 * 117_600  # nothing before the first convolution wants a gradient
    assert training["pflop"] == pytest.approx(operations * 1408 / 1e15) and result.pflop == training["pflop"]
    assert str(tmp_path) not in json.dumps(card)


def test_what_a_person_reads_at_the_end(tmp_path):
    result = quiet("digits", out=tmp_path / "run", epochs=1)
    run, line, time, report, *following = result.summary()
    assert run == f"Run      {tmp_path / 'run'}"
    percent = 100 * result.results[0]["accuracy"]
    assert line.startswith(f"Result   {percent:.2f} % accuracy on test, 95 % interval ") and "(359 images)" in line
    assert time.startswith("Time     ") and time.endswith(" PFLOP")
    assert report == f"Report   {tmp_path / 'run' / 'report.html'}"
    assert following == [f"Next     fovea evaluate {result.model} digits", f"         fovea info {result.model}"]
    json.dumps(result.to_dict())


def test_a_folder_of_photographs_learns_its_colours(tmp_path):
    generator = np.random.default_rng(0)
    for index, colour in enumerate(("red", "green", "blue")):
        for number in range(16):
            pixels = generator.integers(0, 100, (20, 24, 3), np.uint8)
            pixels[..., index] += 120
            (tmp_path / "photos" / colour).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "photos" / colour / f"{number}.png")
    narrow = {"arguments": {"width": 0.125}, "size": 16, "epochs": 4, "batch": 8}
    result = quiet(tmp_path / "photos", out=tmp_path / "run", val_fraction=0.25, **narrow)
    (val,) = result.results
    assert (val["split"], val["images"]) == ("val", 12) and val["accuracy"] > 0.8
    best = max(json.loads(line)["val"]["accuracy"] for line in (result.run / "metrics.jsonl").read_text().splitlines())
    assert val["accuracy"] == best
    card, _ = read_header(result.model)
    assert card["classes"] == ["blue", "green", "red"] and card["arguments"]["width"] == 0.125


def test_the_best_network_is_kept_and_not_the_last(arrays, net_file, tmp_path, monkeypatch):
    scores, validate = iter([0.5, 0.9, 0.7]), Trainer.validate
    monkeypatch.setattr(Trainer, "validate", lambda t: type(validate(t))(1.0, next(scores)))
    kept = {}
    monkeypatch.setattr(
        "fovea.runs.session.save_checkpoint",
        lambda _, t: kept.update({t.clock.epoch: t.model.layers[3].weight.detach().clone()}),
    )
    result = quiet(arrays, model=net_file(), out=tmp_path / "run", val_fraction=0.2, **{**OWN, "epochs": 3})
    stored = load_file(result.model)["layers.3.weight"]
    assert torch.equal(stored, kept[2]) and not torch.equal(stored, kept[3])


def test_out_of_patience_it_says_why_it_stops(arrays, net_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Trainer, "validate", lambda _: Score(1.0, 0.5))
    train(arrays, model=net_file(), out=tmp_path / "run", val_fraction=0.2, patience=2, **{**OWN, **FAST, "epochs": 9})
    assert "stopped: 2 epochs without a better validation result\n" in capsys.readouterr().err


def test_the_last_network_is_kept_on_demand(arrays, net_file, tmp_path):
    result = quiet(arrays, model=net_file(), out=tmp_path / "run", val_fraction=0.2, keep_best=False, **OWN)
    last = load_file(result.run / "last.safetensors")
    assert torch.equal(load_file(result.model)["layers.3.weight"], last["model.layers.3.weight"])
    assert [r["split"] for r in result.results] == ["val", "test"]


def test_a_network_of_ones_own_trains_and_loads(arrays, net_file, tmp_path):
    result = quiet(arrays, model=net_file(), out=tmp_path / "run", val_fraction=0.0, **OWN)
    assert result.results[0]["accuracy"] > 0.9
    spec = importlib.util.spec_from_file_location("net", tmp_path / "net.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert result.custom == "Net(classes=2, c_in=1)" and result.summary()[-2].startswith("Next     python -c ")
    bundle = fovea.load(result.model, model=module.Net(classes=2, c_in=1))
    pixels, labels = halves(20, seed=1)
    found = [p.label == str(label) for p, label in zip(bundle.predict(list(pixels)), labels, strict=True)]
    assert sum(found) / 20 == result.results[0]["accuracy"]


@pytest.mark.parametrize("val_fraction", [0.0, 0.2], ids=("last", "best"))
def test_shared_weights_train(arrays, tmp_path, val_fraction):
    (tmp_path / "tied.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self, classes):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, classes))\n"
        "        self[2].weight = self[1].weight\n"
    )
    result = quiet(arrays, model=f"{tmp_path / 'tied.py'}:Net", out=tmp_path / "run", val_fraction=val_fraction, **OWN)
    assert result.results[-1]["accuracy"] > 0.9


def test_one_sigmoid_unit(arrays, net_file, tmp_path):
    result = quiet(arrays, model=net_file(), out=tmp_path / "run", val_fraction=0.0, loss="binary", **OWN)
    card, _ = read_header(result.model)
    assert (card["outputs"], card["loss"], card["classes"]) == (1, "binary", ["0", "1"])
    assert result.results[0]["accuracy"] > 0.9


def test_a_number_per_image_comes_back_in_its_unit(net_file, tmp_path):
    (x, y), (x_test, y_test) = halves(64), halves(20, seed=1)
    np.savez(tmp_path / "n.npz", x_train=x, y_train=1000.0 + 50 * y, x_test=x_test, y_test=1000.0 + 50 * y_test)
    options = {**OWN, "epochs": 15}
    result = quiet(
        tmp_path / "n.npz", model=net_file(), task="number", out=tmp_path / "run", val_fraction=0.0, **options
    )
    card, _ = read_header(result.model)
    assert card["target"] == {"mean": pytest.approx(1025), "std": pytest.approx(25)} and card["classes"] == []
    (test,) = result.results
    assert test["mae"] < 12 and "accuracy" not in test
    assert f"mean absolute error {test['mae']:.4g} on test (20 images)" in result.summary()[1]
    assert json.loads((result.run / "metrics.jsonl").read_text().splitlines()[0])["accuracy"] is None


def test_a_training_that_diverges_keeps_the_last_good_network(arrays, net_file, tmp_path):
    model = net_file("return self.layers(x) * (float('nan') if self.passes > 7 else 1)")
    with pytest.raises(TrainingError) as caught:
        quiet(arrays, model=model, out=tmp_path / "run", val_fraction=0.0, **OWN)
    kept = tmp_path / "run" / "model.safetensors"
    assert str(caught.value).startswith("The loss became nan at step ")
    assert str(caught.value).endswith(f"or --set clip=1. The last good network is kept in {kept}.")
    assert all(torch.isfinite(tensor).all() for tensor in load_file(kept).values())
    assert read_header(kept)[0]["training"]["epochs"] == 1


def test_a_rate_far_too_high_stops_with_advice(tmp_path):
    with pytest.raises(TrainingError, match=r"^The loss became .* at step \d+ .* Try --lr 1e\+08 \(a tenth\)"):
        quiet("digits", lr=1e9, epochs=1, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return torch.zeros(len(x), 3)", r"must turn \(2, 1, 8, 8\) into \(2, 2\), not \(2, 3\)\.$"),
        ("return self.layers(x[:, :, :4])", r"fails on images of 1x8x8: mat1 and mat2 shapes cannot be multiplied"),
        (
            "return self.layers(nn.functional.conv2d(x, torch.ones(1, 1, 1, 1).expand(2, 1, 1, 1)).view(len(x), -1))",
            r"fails on images of 1x8x8: view size is not compatible .* Use \.reshape\(\.\.\.\) instead\.$",
        ),
    ],
)
def test_a_network_of_ones_own_must_fit_the_data(arrays, net_file, tmp_path, body, message):
    with pytest.raises(UsageError, match=message):
        quiet(arrays, model=net_file(body), out=tmp_path / "run", **OWN)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("absent.py:Net", None, r"absent\.py:Net`: there is no file `.*absent\.py`\.$"),
        ("a.py:Other", "", r"a\.py:Other` does not define a network: AttributeError: "),
        ("b.py:Net", "1 / 0", r"b\.py:Net` does not define a network: ZeroDivisionError: division by zero\.$"),
        ("c.py:Net", "def Net(): return 3", r"c\.py:Net` returns a int, not a torch\.nn\.Module\.$"),
    ],
)
def test_a_file_without_a_network_is_refused(arrays, tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name.partition(":")[0]).write_text(text)
    with pytest.raises(UsageError, match=message):
        quiet(arrays, model=f"{tmp_path / name}", out=tmp_path / "run", **OWN)


def test_arguments_of_the_network_may_be_set_like_fields_of_the_recipe(arrays, tmp_path):
    options = {"model": "pattern", "pattern": "CRP F", "widths": "4", "epochs": 1, "momentum": "0.5"}
    result = quiet(arrays, out=tmp_path / "run", **options)
    card = read_header(result.model).card
    assert (card["arguments"]["pattern"], card["arguments"]["widths"]) == ("CRP F", [4])
    assert card["training"]["recipe"]["momentum"] == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "pattern", "patern": "C"}, "^Unknown recipe field `patern`; did you mean `pattern`"),
        ({"model": "pattern", "widths": "thin"}, "^`widths` of `pattern` must be integers separated by commas"),
        ({"model": "pattern", "pattern": "XY"}, r"^Network `pattern`: `pattern` \(=XY\) must be letters C"),
        ({"model": "lenet5", "c_in": "3"}, "^Unknown recipe field `c_in`"),
        ({"lerning_rate": "1"}, "^Unknown recipe field `lerning_rate`"),
        ({"momentun": "0.5"}, "^Unknown recipe field `momentun`; did you mean `momentum`?"),
        ({"momentun": 0.5}, "^Unknown recipe field `momentun`; did you mean `momentum`?"),
        ({"reasons": "3"}, "^Unknown recipe field `reasons`"),
        ({"standardise": "perhaps"}, "^`standardise` must be true or false, not `perhaps`."),
        ({"freeze": "stage9"}, "^Unknown part to freeze to `stage9`; did you mean"),
        ({"whiten": "perhaps"}, "^`whiten` must be true or false, not `perhaps`."),
        ({"optimiser": "adams"}, "^Unknown optimiser `adams`; did you mean `adam`"),
        ({"budget": "5m", "epochs": 3}, "^`--budget` and `--epochs` cannot be used together; give one of them."),
        ({"budget": "soon"}, "^`--budget soon` must be a time above 0, as 90s, 5m or 1h."),
        ({"budget": "-3s"}, "^`--budget -3s` must be a time above 0"),
        ({"recipe": "digit"}, "^Unknown recipe `digit`; did you mean `digits`?"),
        ({"model": "lenet"}, "^Unknown network `lenet`; did you mean `lenet5`?"),
        (
            {"model": "lenet5", "loss": "mse"},
            (
                r"^`loss` \(=mse\) cannot be used with --task classes; "
                r"use cross-entropy or binary"
            ),
        ),
        ({"model": "lenet5", "loss": "binary"}, r"^`loss` \(=binary\) needs two classes; `digits` has 10."),
        ({"augment": "flop"}, "^Unknown augmentation `flop`; did you mean `flip`"),
        ({"device": "cudo"}, "^`--device cudo` is not available; this machine has .*cpu"),
        ({"patience": 3}, r"^`patience` \(=3\) needs a validation split; `--val-fraction 0.1` sets one aside."),
        ({"val_fraction": 1.5}, r"^`val_fraction` \(=1.5\) must be in \[0, 1\)."),
    ],
    ids=str,
)
def test_what_cannot_be_trained_is_refused_with_the_way_out(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        quiet("digits", out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_number_task_needs_its_loss(tmp_path):
    x, y = halves(20)
    np.savez(tmp_path / "n.npz", x_train=x, y_train=y.astype(float))
    with pytest.raises(UsageError, match=r"^`loss` \(=cross-entropy\) cannot be used with --task"):
        quiet(tmp_path / "n.npz", task="number", model="lenet5", size=32, loss="cross-entropy", out=tmp_path / "run")


def test_without_data_there_is_nothing_to_train():
    with pytest.raises(UsageError, match="^Name the data to train on: a folder, a manifest, an archive or a name"):
        quiet()


def test_data_without_a_train_part_is_refused(tmp_path):
    x, y = halves(20)
    np.savez(tmp_path / "t.npz", x_test=x, y_test=y)
    with pytest.raises(DataError, match="^`t` has no train split to learn from; it has test"):
        quiet(tmp_path / "t.npz", out=tmp_path / "run")


def test_a_network_that_cannot_be_whitened_says_so(tmp_path):
    with pytest.raises(ShapeError, match="^`whiten` needs a convolution, and the network has none"):
        quiet("digits", model="mlp", whiten=True, out=tmp_path / "run")


def test_a_place_that_holds_a_run_is_refused_before_anything_is_done(tmp_path, monkeypatch):
    quiet("digits", out=tmp_path / "run", epochs=1)
    monkeypatch.setattr("fovea.jobs.train.prepared", None)
    with pytest.raises(UsageError, match=r"holds a run already\. Continue it with --resume"):
        quiet("digits", out=tmp_path / "run")


def test_resume_takes_no_other_option(tmp_path):
    with pytest.raises(
        UsageError, match="^--resume continues a run with its own settings; leave out DATA and the other"
    ):
        train(resume=tmp_path, epochs=3)


def test_tensorboard_that_is_not_there_is_named_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependencyError, match=r"^--tensorboard needs a library: pip install 'fovea-cnn\[tensor"):
        quiet("digits", tensorboard=True, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tensorboard_gets_the_metrics_and_is_closed(arrays, net_file, tmp_path, monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, folder):
            written.append(folder)

        def add_scalar(self, name, value, epoch):
            written.append((name, epoch))

        def close(self):
            written.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=SummaryWriter))
    options = {**OWN, "epochs": 1, "val_fraction": 0.2, "out": tmp_path / "run", "tensorboard": True}
    quiet(arrays, model=net_file(), **options)
    names = ["train/loss", "train/accuracy", "lr", "val/loss", "val/accuracy"]
    assert written == [str(tmp_path / "run"), *((name, 1) for name in names), "closed"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": ["a", "b"]}, "^`--order` works with `--task grade`, not"),
        ({"label_separator": "|"}, "^`--label-separator` works with `--task labels`, not"),
        ({"label_columns": ["a", "b"]}, "^`--label-columns` works with `--task labels`, not"),
    ],
)
def test_how_labels_are_written_must_fit_the_task(options, message):
    with pytest.raises(UsageError, match=message):
        fovea.train("digits", **options, display=Display(quiet=True))
