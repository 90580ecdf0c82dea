"""What is written for phones and boards, run by each library on this machine: skipped where it is not installed."""

import json
import sys
from importlib.util import find_spec

import pytest
from seeded_bundles import TASKS, seeded_bundle

from fovea.errors import MissingDependencyError, UsageError
from fovea.exporting.targets import TARGETS
from fovea.jobs.export import export

LIBRARIES = {"executorch": "executorch", "litert": "litert_torch", "ncnn": "ncnn"}
SUFFIX = {target.name: target.suffix for target in TARGETS}
CONVOLUTIONAL = {"architecture": "lenet5", "channels": 1, "size": 32}


def written(target, bundle, folder, **options):
    if find_spec(LIBRARIES[target]) is None:
        pytest.skip(f"{LIBRARIES[target]} is not installed")
    return export(bundle, to=target, out=folder / f"net{SUFFIX[target]}", **options)


@pytest.mark.parametrize("target", LIBRARIES)
def test_without_its_library_the_extra_is_named(monkeypatch, tmp_path, target):
    monkeypatch.setitem(sys.modules, LIBRARIES[target], None)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'fovea-cnn\[{target}\]'"):
        export(seeded_bundle(), to=target, out=tmp_path / f"net{SUFFIX[target]}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("target", LIBRARIES)
def test_a_network_of_each_task_agrees_and_its_card_lies_beside(tmp_path, target, task):
    done = written(target, seeded_bundle(task, **CONVOLUTIONAL), tmp_path)
    assert all(path.stat().st_size > 100 for path in done.files)
    card = json.loads((tmp_path / "net.json").read_text())
    assert card["task"] == task and card["export"]["proof"] == json.loads(json.dumps(done.facts["proof"]))
    assert "not tested on ARM" in done.lines[-1]


@pytest.mark.slow
@pytest.mark.parametrize("target", LIBRARIES)
def test_local_response_norm_and_subsampling_run(tmp_path, target):
    done = written(target, seeded_bundle(architecture="cifar_resnet20", size=32), tmp_path)
    assert done.facts["proof"]["changed_decisions"] == 0


@pytest.mark.slow
def test_ncnn_holds_half_weights_in_half_the_bytes(tmp_path):
    bundle = seeded_bundle(**CONVOLUTIONAL)
    whole = written("ncnn", bundle, tmp_path).facts["bytes"]
    assert written("ncnn", bundle, tmp_path, half=True).facts["bytes"] < 0.6 * whole


@pytest.mark.slow
def test_litert_in_int8_is_judged_by_its_score(tmp_path):
    bundle = seeded_bundle(channels=1, size=8, classes=[str(digit) for digit in range(10)])
    done = written("litert", bundle, tmp_path, int8="digits", max_drop=100)
    assert done.facts["precision"] == "int8" and done.facts["proof"]["metric"] == "accuracy"


@pytest.mark.parametrize(
    ("target", "option"), [("executorch", "half"), ("litert", "half"), ("litert", "raw"), ("ncnn", "raw")]
)
def test_what_is_not_written_is_refused(tmp_path, target, option):
    with pytest.raises(UsageError, match=f"`--{option}` cannot be combined with `--to {target}`"):
        export(seeded_bundle(), to=target, out=tmp_path / f"net{SUFFIX[target]}", **{option: True})


def test_only_targets_with_int8_take_it(tmp_path):
    with pytest.raises(UsageError, match="does not support `--int8`"):
        export(seeded_bundle(), to="ncnn", out=tmp_path / "net.param", int8="digits")
