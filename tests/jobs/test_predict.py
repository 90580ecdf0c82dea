"""Predicting: which files are meant, what is said of each, and that a bad one or a million do no harm."""

import json

import numpy as np
import pytest

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
    with pytest.raises(UsageError, match=r"`https://x.org/cat.jpg\?size=3` is an address, and only files are read"):
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
    with pytest.raises(UsageError, match="must know the same classes"):
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
