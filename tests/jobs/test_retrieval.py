"""Evaluating embeddings: which images ask, which are searched, and the figures."""

import json

import pytest

import fovea
from fovea.cli import run
from fovea.display import Display
from fovea.errors import BundleError, NotFoundError, UsageError


def test_images_of_one_colour_find_each_other(make_bundle, colour_folder):
    found = fovea.evaluate_retrieval(make_bundle(), colour_folder("colours", count=3))
    assert (found.queries, found.searched, found.scores.leave_one_out) == ("whole", "whole", True)
    assert found.scores.recall[1].value == found.scores.mean_average_precision.value == 1
    assert found.scores.vote.value < 1  # of ten voters two are of the class: there are no more
    assert fovea.evaluate_retrieval(make_bundle(), found_folder(make_bundle), voters=2).scores.vote.value == 1


def found_folder(make_bundle):
    return make_bundle().parent / "colours"


def test_the_test_part_asks_and_the_training_part_is_searched(make_bundle, colour_folder):
    colour_folder("parts/train", count=4)
    root = colour_folder("parts/test", count=1).parent
    found = fovea.evaluate_retrieval(make_bundle(), root, voters=3)
    assert (found.queries, found.searched) == ("test", "train")
    assert (found.scores.queries, found.scores.searched, found.scores.class_mean.value) == (3, 12, 1)
    alone = fovea.evaluate_retrieval(make_bundle(), root, split="train")
    assert (alone.queries, alone.searched, alone.scores.searched) == ("train", "train", 11)


def test_what_holds_for_both_parts_is_noted_once(make_bundle, capsys):
    fovea.evaluate_retrieval(make_bundle(), "digits", display=Display())
    said = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("data: test: 20 % of the 1,797 images") for line in said) == 1


def test_classes_need_not_be_those_of_the_model(make_bundle, colour_folder):
    folder = colour_folder("other", cyan="blue", gold="red")
    found = fovea.evaluate_retrieval(make_bundle(), folder, voters=1)
    assert found.scores.vote.value == 1


def test_what_ran_where_is_said_and_printed(make_bundle, colour_folder, capsys):
    model, folder = make_bundle(), colour_folder("said", count=2)
    assert run(["evaluate", str(model), str(folder), "--retrieval", "--metric", "cosine", "--voters", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "said: 6 images, each searched among the 5 others"
    assert lines[1] == "By cosine, 3 numbers at `head.logits`"
    assert lines[2].split() == ["Recall@1", "100.00", "%", "95", "%", "interval", "60.97", "to", "100.00", "%"]
    assert run(["evaluate", str(model), str(folder), "--retrieval", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["recall"]["1"]["value"] == 1 and values["queries_part"] == "whole"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--retrieval", "--robust"], "`--robust` does not go with `--retrieval`"),
        (["--retrieval", "--slice", "camera"], "`--slice` does not go with `--retrieval`"),
        (["--metric", "cosine"], "`--metric` goes with `--retrieval`, which is not given"),
        (["--retrieval", "--metric", "dot"], "must be `l2` or `cosine`"),
        (["--retrieval", "--layer", "hed"], "Unknown layer `hed`"),
    ],
)
def test_what_does_not_go_together_is_refused(make_bundle, colour_folder, capsys, options, message):
    arguments = ["evaluate", str(make_bundle()), str(colour_folder("refused")), *options]
    assert run(arguments) == 2
    assert message in capsys.readouterr().err


def test_data_of_one_image_a_class_has_nothing_to_find(make_bundle, colour_folder):
    with pytest.raises(UsageError, match="at least two images"):
        fovea.evaluate_retrieval(make_bundle(), colour_folder("single", count=1))
    with pytest.raises(NotFoundError):
        fovea.evaluate_retrieval(make_bundle(), make_bundle().parent / "nowhere")
    with pytest.raises(BundleError):
        (make_bundle().parent / "no.safetensors").write_bytes(b"nothing")
        fovea.evaluate_retrieval(make_bundle().parent / "no.safetensors", make_bundle().parent)
