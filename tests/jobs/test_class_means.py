"""A classifier from a few images a class: no training, the means of the classes."""

import pytest

import fovea
from fovea.cli import run
from fovea.display import Display
from fovea.errors import UsageError

OPTIONS = {"val_fraction": 0.0, "threads": 1, "device": "cpu", "precision": "float32", "display": Display(quiet=True)}


def test_a_model_of_other_classes_is_made_without_a_step(make_bundle, colour_folder, tmp_path):
    folder = colour_folder("named", count=2, sky="blue", leaf="green", rose="red")
    result = fovea.train(folder, start=make_bundle(), class_means=True, out=tmp_path / "run", **OPTIONS)
    card = fovea.load(result.model).card
    assert card.training.recipe["class_means"] and card.training.epochs == 0
    for label in ("sky", "leaf", "rose"):
        (answer,) = fovea.predict(result.model, folder / label / "0.png")
        assert answer.prediction.label == label
    assert fovea.evaluate(result.model, folder, split="whole").accuracy == 1


def test_means_go_without_a_probe_and_for_classes_alone(make_bundle, colour_folder, tmp_path, capsys):
    folder = colour_folder("both")
    model = str(make_bundle())
    assert run(["train", str(folder), "--from", model, "--class-means", "--probe"]) == 2
    assert "`class_means` (=True) and `probe` cannot be used together" in capsys.readouterr().err
    assert run(["train", str(folder), "--from", model, "--class-means", "--epochs", "3"]) == 2
    assert "`class_means` (=True) goes without `epochs`" in capsys.readouterr().err
    manifest = tmp_path / "numbers.csv"
    manifest.write_text(
        "path,label\n" + "".join(f"both/{name}/0.png,{i}.5\n" for i, name in enumerate(("red", "blue")))
    )
    with pytest.raises(UsageError, match="one of several classes per image"):
        fovea.train(manifest, task="number", class_means=True, model="mlp", out=tmp_path / "number", **OPTIONS)
