"""Badges: read from a result of `fovea trust` for this very model file, and from nothing else."""

import hashlib
import json

import pytest

from fovea.errors import DataError, UsageError
from fovea.explanation.trust.badge import MAX_BYTES, Badge, find_badges, read_badges


@pytest.fixture
def model(tmp_path):
    (tmp_path / "net.safetensors").write_bytes(b"weights")
    return tmp_path / "net.safetensors"


def values(**changes):
    methods = {"gradcam": {"checks": {"sanity": True, "insertion": False, "cue": True}}, "cam": {"reason": "no"}}
    digest = hashlib.sha256(b"weights").hexdigest()
    return {"format": 1, "model": {"file": "net.safetensors", "sha256": digest}, "methods": methods, **changes}


def written(folder, content, name="net-trust.json"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / name


def test_a_badge_says_what_passed_and_what_was_not_checked():
    badge = Badge(sanity=True, insertion=False)
    assert badge.checks == {"sanity": True, "insertion": False}
    assert badge.said == [("passes the sanity check", True), ("insertion not better than random and centre", False)]
    assert Badge().said == []


def test_methods_with_checks_have_badges(model, tmp_path):
    further = values()["methods"] | {"of_a_later_version": {"checks": 3}, "saliency": {"checks": {"cue": False}}}
    file = written(tmp_path, values(methods=further))
    assert read_badges(file, model) == {
        "gradcam": Badge(sanity=True, insertion=False, cue=True),
        "saliency": Badge(cue=False),
    }


def test_the_first_result_for_the_model_counts(model, tmp_path):
    assert find_badges(model, [tmp_path, tmp_path / "nowhere"]) == ({}, [])
    written(tmp_path / "a", values(model={"file": "net.safetensors", "sha256": "0"}))
    written(tmp_path / "b", "{")
    written(tmp_path / "c", values())
    written(tmp_path / "d", values(methods={}))
    badges, remarks = find_badges(model, [tmp_path / name for name in "abcd"])
    assert badges["gradcam"].sanity
    assert "belongs to another model file than `net.safetensors`; run `fovea trust` again" in remarks[0]
    assert "is not valid JSON" in remarks[1] and remarks[2] == "badges from net-trust.json"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "`net-trust.json`: its content is not valid JSON"),
        ("[1]", "its content must be a JSON object"),
        ("{}", "`net-trust.json` is not a result of `fovea trust`: `format` is missing"),
        (values(format=2), r"`format` \(=2\) must be a whole number from 1 to 1"),
        (values(model=3), r"`model` \(=3\) must be a table"),
        (values(model={}), "`model.sha256` is missing"),
        (values(methods=[]), "`methods` .* must be a table"),
        (values(methods={"gradcam": 1}), r"`methods.gradcam` \(=1\) must be a table"),
        (values(methods={"gradcam": {}}), "`methods.gradcam.checks` is missing"),
        (
            values(methods={"gradcam": {"checks": {"sanity": "yes" * 99}}}),
            r"`methods.gradcam.checks.sanity` \(='yes.{0,50}\.\.\.\) must be true or false",
        ),
        ("9" * (MAX_BYTES + 1), "has more than 4,000,000 bytes"),
    ],
)
def test_what_is_no_result_is_refused_in_one_line(model, tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read_badges(written(tmp_path, content), model)
    assert len(str(caught.value)) < 300


def test_what_is_no_file_is_refused(model, tmp_path):
    with pytest.raises(UsageError, match=r"`trust` \(=.*gone.json\): no such file; give the JSON that `fovea trust`"):
        read_badges(tmp_path / "gone.json", model)
    with pytest.raises(UsageError, match="a folder, not a file"):
        read_badges(tmp_path, model)
