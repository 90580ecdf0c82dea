"""Predicting: which files are meant, what is said of each, and that a bad one or a million do no harm."""

import json

import numpy as np
import pytest
from onnx_files import write_onnx
from PIL import Image

from fovea.errors import UsageError
from fovea.jobs import predict as module
from fovea.jobs.predict import FilePrediction, find_images, predict
from fovea.model.bundle import load
from fovea.tasks.prediction import LabelScore, Prediction


def labels(results):
    return [result.prediction.label for result in results]


def test_files_folders_and_globs_are_found_in_natural_order(tmp_path):
    for name in ("a/10.png", "a/9.png", "a/b/1.JPG", "a/.hidden.png", "a/.git/x.png", "a/notes.txt", "c[1].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    root = str(tmp_path)

    def found(*given):
        return [path.removeprefix(f"{root}/") for path in find_images(f"{root}/{item}" for item in given)]

    assert found("a") == ["a/9.png", "a/10.png", "a/b/1.JPG"]
    assert found("a/*.png") == ["a/10.png", "a/9.png"]
    assert found("a/**/*.JPG", "a/notes.txt") == ["a/b/1.JPG", "a/notes.txt"]
    assert found("c[1].png") == ["c[1].png"]
    assert found("absent.png") == ["absent.png"]
    assert found("?") == ["a/9.png", "a/10.png", "a/b/1.JPG"]
    assert found("a/**") == ["a/10.png", "a/9.png", "a/b/1.JPG", "a/notes.txt"]


def test_an_empty_folder_or_glob_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No images in the folder"):
        list(find_images([tmp_path]))
    with pytest.raises(UsageError, match="Nothing matches"):
        list(find_images([tmp_path / "*.png"]))


def test_what_is_no_path_is_refused():
    with pytest.raises(
        UsageError,
        match=r"`https://x.org/cat.jpg\?size=3` is an address, and only local files are supported",
    ):
        list(find_images(["https://x.org/cat.jpg?size=3"]))
    with pytest.raises(TypeError, match="not ndarray"):
        list(find_images(np.zeros((1, 2, 2))))


def test_each_image_gets_its_prediction_whatever_the_batch(make_bundle, colour_folder):
    folder = colour_folder("images")
    for batch in (1, 4, 64):
        results = list(predict(make_bundle(), folder, batch=batch))
        assert [result.image.split("/")[-2] for result in results] == ["blue"] * 2 + ["green"] * 2 + ["red"] * 2
        assert labels(results) == ["blue"] * 2 + ["green"] * 2 + ["red"] * 2


def test_top_limits_the_scores(make_bundle, colour_folder):
    folder = colour_folder("images")
    assert [len(next(predict(make_bundle(), folder, top=top)).prediction.scores) for top in (1, 2, 9)] == [1, 2, 3]


def test_five_classes_are_named_where_nothing_is_asked(make_bundle, colour_folder):
    from fovea.registry import build

    arguments = {"classes": 7, "c_in": 3, "size": 4, "widths": [3]}
    model = make_bundle(model=build("mlp", **arguments), arguments=arguments, classes=list("abcdefg"), outputs=7)
    folder = colour_folder("images")
    assert len(next(predict(model, folder)).prediction.scores) == 5
    assert len(next(predict(model, folder, top=6)).prediction.scores) == 6


@pytest.mark.parametrize(("kind", "noun"), [("labels", "several labels"), ("number", "a number")])
def test_what_has_no_ranking_cannot_be_cut(kind, noun, make_labels_bundle, make_number_bundle):
    model = {"labels": make_labels_bundle, "number": make_number_bundle}[kind]()
    with pytest.raises(
        UsageError,
        match=rf"^`top` \(=2\) limits a ranking of classes, and this model predicts {noun}; "
        r"leave out `--top`\.$",
    ):
        predict(model, "absent.png", top=2)
    assert [result.error for result in predict(model, "absent.png")] == ["No such file or directory."]


def test_labels_are_those_above_their_thresholds_by_rank(make_labels_bundle, colour_folder):
    folder, half = colour_folder("images", red="red"), 0.5
    sure = pytest.approx(1 / (1 + np.exp(-6)))
    (result,) = predict(make_labels_bundle(thresholds=(0.75, 0.4, 0.75)), folder / "red" / "0.png")
    assert result.prediction.present == (("red", sure), ("green", half))
    assert result.to_dict() == {
        "image": f"{folder}/red/0.png",
        "predictions": [{"label": "red", "probability": sure}, {"label": "green", "probability": half}],
        "scores": {"red": sure, "green": half, "blue": half},
    }
    (result,) = predict(make_labels_bundle(thresholds=(1.0, 0.75, 0.75)), folder / "red" / "0.png")
    assert (result.prediction.present, result.prediction.text) == ((), "none")


def test_grades_are_ranked_behind_the_one_that_is_answered(make_grade_bundle, colour_folder):
    folder = colour_folder("images")
    results = list(predict(make_grade_bundle(), folder))
    assert labels(results) == ["0"] * 2 + ["1"] * 2 + ["2"] * 2  # blue, green, red
    assert [len(result.prediction.scores) for result in predict(make_grade_bundle(), folder, top=2)] == [2] * 6


def test_an_ensemble_of_labels_has_the_thresholds_of_the_first(make_labels_bundle, colour_folder):
    folder = colour_folder("images", red="red")
    one = make_labels_bundle("one", thresholds=(0.7, 0.45, 0.45))
    other = make_labels_bundle(
        "other", thresholds=(0.9, 0.9, 0.9), order=(2, 0, 1), classes=["green", "blue", "red"], temperature=3.0
    )
    mean = (1 / (1 + np.exp(-6)) + 1 / (1 + np.exp(-2))) / 2
    (first,) = predict(one, folder / "red" / "0.png", ensemble=[other])
    assert first.prediction.present == (("red", pytest.approx(mean)), ("green", 0.5), ("blue", 0.5))
    (second,) = predict(other, folder / "red" / "0.png", ensemble=[one])
    assert [score.label for score in second.prediction.present] == ["red"] and mean > 0.9


def test_an_ensemble_of_grades_answers_by_their_mean(make_grade_bundle, colour_folder):
    folder = colour_folder("images", green="green")
    one, other = make_grade_bundle("one"), make_grade_bundle("other", temperature=2.0)
    alone = [next(predict(model, folder)).prediction.scores[0].probability for model in (one, other)]
    (label, probability), *_ = next(predict(one, folder, ensemble=[other])).prediction.scores
    assert label == "1" and probability == pytest.approx(np.mean(alone)) and alone[0] != alone[1]


def test_an_ensemble_of_several_kinds_is_refused(make_bundle, make_labels_bundle, make_number_bundle):
    for other in (make_labels_bundle(), make_number_bundle()):
        with pytest.raises(UsageError, match="must have the same classes"):
            predict(make_bundle(), "x.png", ensemble=[other])


@pytest.mark.parametrize("name", ["top", "batch"])
def test_counts_below_one_are_refused_at_the_call(make_bundle, name):
    with pytest.raises(UsageError, match=rf"`{name}` \(=0\) must be at least 1"):
        predict(make_bundle(), "x.png", **{name: 0})


def test_a_bad_file_is_reported_and_does_not_stop_the_rest(make_bundle, colour_folder):
    folder = colour_folder("images")
    (folder / "blue" / "00.png").write_bytes(b"nothing")
    results = list(predict(make_bundle(), [folder, folder / "absent.png"], batch=2))
    bad = [result for result in results if result.prediction is None]
    assert len(results) == 8
    assert [result.image for result in bad] == [f"{folder}/blue/00.png", f"{folder}/absent.png"]
    assert "not a JPEG, PNG" in bad[0].error and bad[1].error == "No such file or directory."


def test_only_bad_files_are_no_failure_of_the_job(make_bundle):
    for name in ("absent.png", "./absent.png", ".//absent.png"):
        assert [result.error for result in predict(make_bundle(), name)] == ["No such file or directory."]


def test_an_ensemble_averages_probabilities_by_class_name(make_bundle, colour_folder):
    folder = colour_folder("images", red="red")
    one = make_bundle("one")
    other = make_bundle("other", order=(2, 0, 1), classes=["green", "blue", "red"], temperature=3.0)
    small = load(one).card["preprocess"] | {"size": [2, 2]}
    arguments = {"classes": 3, "c_in": 3, "size": 2, "widths": [3]}
    blind = make_bundle("blind", model=_uniform(arguments), arguments=arguments, preprocess=small)
    mean = (np.exp(6) / (np.exp(6) + 2) + np.exp(2) / (np.exp(2) + 2) + 1 / 3) / 3
    best = next(predict(one, folder, ensemble=[other, load(blind)])).prediction.scores[0]
    assert best == ("red", pytest.approx(mean))


def _uniform(arguments):
    from fovea.registry import build

    model = build("mlp", **arguments)
    for parameter in model.parameters():
        parameter.data.zero_()
    return model


def test_an_ensemble_of_other_classes_is_refused(make_bundle):
    other = make_bundle("other", classes=["red", "green", "brown"])
    with pytest.raises(UsageError, match="must have the same classes"):
        predict(make_bundle(), "x.png", ensemble=[other])


def test_images_are_read_batch_by_batch(make_bundle, colour_folder, monkeypatch):
    folder = colour_folder("images", count=20)
    read = []
    original = module._read
    monkeypatch.setattr(module, "_read", lambda ways, path: read.append(path) or original(ways, path))
    results = predict(make_bundle(), folder, batch=4)
    assert not read
    next(results)
    assert len(read) == 4
    results.close()


def test_results_are_json_values():
    good = Prediction(scores=(LabelScore("cat", 0.75), LabelScore("dog", 0.25)))
    assert json.loads(json.dumps(FilePrediction(image="a", prediction=good).to_dict())) == {
        "image": "a",
        "predictions": [{"label": "cat", "probability": 0.75}, {"label": "dog", "probability": 0.25}],
    }
    assert FilePrediction(image="a", prediction=Prediction(value=1.5)).to_dict() == {"image": "a", "value": 1.5}
    assert FilePrediction(image="a", error="bad").to_dict() == {"image": "a", "error": "bad"}


def test_the_mirror_image_is_averaged_in_by_its_logits(make_bundle, tmp_path):
    from fovea.registry import build

    arguments = {"classes": 3, "c_in": 3, "size": 4, "widths": [3]}
    model = load(make_bundle(model=build("mlp", **arguments), arguments=arguments))
    noise = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    (found,) = predict(model, tmp_path / "noise.png", flip=True)
    logits = model.logits(np.stack([noise, noise[:, ::-1]])).mean(0) / model.temperature
    wanted = dict(zip(model.classes, np.exp(logits) / np.exp(logits).sum(), strict=True))
    assert dict(found.prediction.scores) == pytest.approx(wanted, abs=1e-6)
    (plain,) = predict(model, tmp_path / "noise.png")
    assert dict(plain.prediction.scores) != pytest.approx(wanted, abs=1e-6)


def test_photographs_that_are_not_read_are_named_and_not_passed_over(make_bundle, tmp_path):
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    errors = [result.error for result in predict(make_bundle(), tmp_path)]
    assert errors == ["this is a HEIC photograph, which is not supported; convert it to JPEG or PNG."]


def test_an_exported_network_answers_as_its_model_file_and_beside_it(make_bundle, colour_folder, tmp_path):
    folder = colour_folder("images")
    exported = write_onnx(tmp_path / "net.onnx")
    expected = list(predict(make_bundle(), folder))
    for found in (predict(exported, folder), predict(exported, folder, ensemble=[make_bundle()])):
        for one, other in zip(expected, found, strict=True):
            assert one.image == other.image and one.prediction.label == other.prediction.label
            assert dict(other.prediction.scores) == pytest.approx(dict(one.prediction.scores), abs=1e-6)
