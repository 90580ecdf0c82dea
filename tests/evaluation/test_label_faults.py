"""Labels that may be wrong: planted ones are found, by a classifier that has not seen the images it judges."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

import fovea
from fovea.card import Card
from fovea.cli import run
from fovea.data.sources.source import find
from fovea.errors import DataError, UsageError
from fovea.evaluation import label_faults
from fovea.evaluation.label_faults import PENALTY, SHARES, STEPS, TEMPERATURES, out_of_fold, seen_before
from fovea.retrieval.confident import doubts, folds_of
from fovea.training.probing import Moments, discriminants, logistic

COLOURS = {"red": 0, "green": 1, "blue": 2}
PLANTED = {"red/3.png": "green", "blue/7.png": "red"}


def clouds(count, *, wrong, seed=0):
    """Return features about four corners, their labels with some planted wrong, and which these are."""
    generator = np.random.default_rng(seed)
    true = generator.integers(0, 4, count)
    features = (3 * np.eye(4, 8)[true] + generator.normal(size=(count, 8))).astype(np.float32)
    rows = generator.permutation(count)[:wrong]
    labels = true.copy()
    labels[rows] = (true[rows] + generator.integers(1, 4, wrong)) % 4
    return features, labels, rows


def test_planted_labels_come_first():
    features, labels, planted = clouds(1000, wrong=50)
    order = doubts(out_of_fold(features, labels), labels).order()
    assert np.isin(order[:30], planted).mean() >= 0.9
    assert np.isin(planted, order[:50]).mean() >= 0.7


def test_probabilities_are_those_of_two_classifiers_without_the_fold():
    features, labels, _ = clouds(120, wrong=0)
    fold, found = folds_of(labels), out_of_fold(features, labels)
    assert found.sum(1) == pytest.approx(1)
    rest = fold != 2
    x = torch.from_numpy(features).double()
    moments = Moments.of(x[rest], torch.nn.functional.one_hot(torch.from_numpy(labels[rest]), 4))
    heads = [discriminants(moments, share=share) for share in SHARES]
    ways = [torch.log_softmax(x[fold == 2] @ weight.T + bias, 1) for weight, bias in heads]
    roots = np.sign(features) * np.sqrt(np.abs(features))
    same = torch.from_numpy((roots - roots.mean(0)) / roots.std(0)).float()
    weight, bias = logistic(same[rest], torch.from_numpy(labels)[rest], classes=4, penalty=PENALTY, steps=STEPS)
    other = torch.log_softmax(same[fold == 2] @ weight.T + bias, 1).double()
    expected = [torch.softmax((torch.log_softmax(one / t, 1) + other) / 2, 1) for one in ways for t in TEMPERATURES]
    assert any(found[fold == 2] == pytest.approx(one.numpy(), abs=1e-5) for one in expected)


def test_of_too_much_there_are_the_discriminants_alone(monkeypatch):
    features, labels, _ = clouds(120, wrong=0)
    both = out_of_fold(features, labels)
    monkeypatch.setattr(label_faults, "AFFORDABLE_MACS", 0)
    told = []
    alone = out_of_fold(features, labels, progress=lambda done, of: told.append((done, of)))
    assert told == [(done, 5) for done in range(1, 6)]
    assert alone.sum(1) == pytest.approx(1) and abs(alone - both).max() > 1e-4


def test_no_image_speaks_for_its_own_label():
    features, labels, _ = clouds(200, wrong=0)
    before = out_of_fold(features, labels)
    changed = labels.copy()
    changed[17] = (labels[17] + 1) % 4
    after = out_of_fold(features, changed)
    assert after[17].argmax() == before[17].argmax() and after[17, changed[17]] < 0.1


@pytest.fixture
def coloured(tmp_path, monkeypatch):
    """Return a folder of three colours, ten noisy images each, two of them in the wrong folder."""
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    for name, channel in COLOURS.items():
        for index in range(10):
            pixels = generator.integers(0, 90, (6, 6, 3)).astype(np.uint8)
            pixels[..., channel] = generator.integers(150, 256)
            where = tmp_path / "coloured" / PLANTED.get(f"{name}/{index}.png", name)
            where.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(where / f"{name}{index}.png")
    return tmp_path / "coloured"


def test_check_lists_images_in_the_wrong_folder_with_what_they_look_like(make_bundle, coloured, capsys):
    page = coloured.parent / "check.html"
    arguments = ["check", str(coloured), "--model", str(make_bundle()), "--html", str(page), "--json"]
    assert run(arguments) == 0
    found = json.loads(capsys.readouterr().out)["label_faults"]
    listed = {(fault["name"], fault["label"], fault["likely"]) for fault in found["faults"]}
    assert listed == {("green/red3.png", "green", "red"), ("red/blue7.png", "red", "blue")}
    assert all(fault["probability"] < fault["likely_probability"] for fault in found["faults"])
    assert (found["judged"], found["layer"]) == (30, "head.logits")
    html = page.read_text()
    assert "Labels that may be wrong" in html and html.count("may be <span") == 2
    assert len(re.findall(r'id="doubts"', html)) == 1


def test_what_looks_wrong_is_a_hint_and_no_fault(make_bundle, coloured):
    result = fovea.check(coloured, model=make_bundle())
    (finding,) = [finding for finding in result.findings if finding.what == "labels that may be wrong"]
    assert (finding.found, finding.fault) == (2, False)
    assert result.faults == fovea.check(coloured).faults
    assert fovea.check(coloured).label_faults is None


def test_classes_of_too_few_images_are_not_judged(make_bundle, coloured):
    (coloured / "grey").mkdir()
    for index in range(3):
        Image.new("RGB", (6, 6), (90 + index,) * 3).save(coloured / "grey" / f"{index}.png")
    found = fovea.check(coloured, model=make_bundle()).label_faults
    assert found.left_out == {"grey": 3} and found.judged == 30
    assert any("classes have too few images to be checked" in line for line in found.lines)


def test_data_without_enough_of_two_classes_is_refused(make_bundle, colour_folder):
    with pytest.raises(DataError, match="needs at least two classes with 5 images each"):
        fovea.check(colour_folder("few", count=2), model=make_bundle())


def test_what_a_model_cannot_doubt_is_refused(make_bundle, coloured, tmp_path):
    with pytest.raises(UsageError, match="`layer` .* with `--model`"):
        fovea.check(coloured, layer="head")
    with pytest.raises(UsageError, match="Unknown layer `hed`"):
        fovea.check(coloured, model=make_bundle(), layer="hed")
    manifest = tmp_path / "numbers.csv"
    manifest.write_text("path,label\n" + "".join(f"coloured/red/red{i}.png,{i}.5\n" for i in range(3)))
    with pytest.raises(UsageError, match="can only check class labels, not a number"):
        fovea.check(manifest, task="number", model=make_bundle())


def test_whether_the_network_has_seen_the_labels_is_said(make_card, coloured):
    dataset = find(coloured)

    def said(**data):
        training = {"training": {"data": data}} if data else {}
        return seen_before(Card.from_dict(make_card(**training), source="a"), dataset)

    assert "may have overfitted to wrong ones" in said(name="coloured", fingerprint=dataset.fingerprint)
    assert "other images or labels" in said(name="coloured", fingerprint="0")
    assert "according to its file, the network was not trained on these labels but on `flowers`" in said(
        name="flowers", fingerprint="0"
    )
    assert "does not say" in said()
