"""What a training from labels is started with."""

import numpy as np
import pytest
from PIL import Image

from fovea.data.annotating.coco import CocoLabels
from fovea.data.annotating.kinds import KINDS
from fovea.data.annotating.lists import ListedLabels
from fovea.data.pool import find_pool
from fovea.errors import UsageError
from fovea.runs.launching import Launcher
from fovea.studio.label.labelling import Labelling
from fovea.studio.label.retraining import retrained, training_options


def labelling(folder, kind, classes):
    (folder / "photos").mkdir(exist_ok=True)
    for number in range(5):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "photos" / f"{number}.png")
    file = folder / f"labels{KINDS[kind].suffix}"
    kept = CocoLabels(file, kind) if KINDS[kind].lies_on_image else ListedLabels(file, KINDS[kind])
    pool = find_pool(folder / "photos", copies=folder / "copies", input="images")
    return Labelling(name=kind, pool=pool, kept=kept, classes=classes)


def test_the_task_the_budget_and_the_weights_are_those_of_the_page(tmp_path):
    found = labelling(tmp_path, "polygons", ("cell",))
    start = tmp_path / "model.safetensors"
    assert training_options(found, budget="1m", start=start) == [
        "--task",
        "masks",
        "--budget",
        "1m",
        "--from",
        str(start),
    ]


def test_grades_keep_their_order_and_rows_without_a_label_are_passed_over(tmp_path):
    (tmp_path / "labels.csv").write_text("path,label,doubt\nphotos/1.png,,0.5\n")
    options = training_options(labelling(tmp_path, "grade", ("small", "large")), budget="30s", start=None)
    assert options == ["--task", "grade", "--budget", "30s", "--order", "small,large", "--allow-bad"]


def test_a_few_labels_are_needed_first(tmp_path):
    found = labelling(tmp_path, "classes", ("a", "b"))
    found.give("a")
    with pytest.raises(UsageError, match="1 have a label"):
        retrained(found, Launcher(tmp_path), budget="30s", start=None)
    with pytest.raises(UsageError, match="budget"):
        retrained(found, Launcher(tmp_path), budget="9y", start=None)
    assert not (tmp_path / "runs").exists()
