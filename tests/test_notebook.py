"""Results in Python: one line, a table that shows text as text in both schemes, a data frame; progress in a cell."""

import builtins
import inspect
import re
import sys
import types

import numpy as np
import pytest

import fovea
from fovea.data.dataset import Dataset, Part
from fovea.display import Display
from fovea.errors import MissingDependencyError
from fovea.jobs.train_parameters import MEANINGS
from fovea.notebook import MOST_ROWS, Cells, Tabular
from fovea.tasks.box_prediction import BoxPrediction
from fovea.tasks.point_prediction import PointPrediction
from fovea.tasks.prediction import LabelScore, Prediction
from fovea.training.recipe import FIELDS


class Result(Tabular):
    """A result with one row of each kind of value."""

    headline = "what <came>\x1b[31m"

    def __init__(self, rows=1):
        self.rows = rows

    def cells(self):
        row = ("<b>&", 1234, 0.25, 0.5, None, True)
        columns = ("name", "count", "share", "value", "nothing", "flag")
        return Cells(columns=columns, rows=[row] * self.rows, shares=frozenset({"share"}), notes=["<i>"])

    def curve(self):
        return [2.0, 1.0, 1.5]


def cells_of(page):
    return re.findall(r"<td[^>]*>(.*?)</td>", page)


def test_a_result_is_one_line_that_no_terminal_obeys():
    assert repr(Result()) == "<Result: what <came>\N{REPLACEMENT CHARACTER}[31m>"


def test_a_table_shows_numbers_as_people_read_them_and_text_as_text():
    page = Result()._repr_html_()
    assert cells_of(page) == ["&lt;b&gt;&amp;", "1,234", "25.00 %", "0.5", "", "yes"]
    assert "<b>" not in page and "<i>" not in page and "&lt;came&gt;" in page and "\x1b" not in page


def test_numbers_do_not_break_from_their_units_in_a_narrow_window():
    cells = re.findall(r'<td style="([^"]*)">', Result()._repr_html_())
    assert ["nowrap" in cell for cell in cells] == [False, True, True, True, False, False]


def test_a_table_takes_its_colours_from_the_page_around_it():
    page = Result()._repr_html_()
    assert re.findall(r"#[0-9a-f]{3,6}\b|rgb|background|[^-]color:", page) == []
    assert 'stroke="currentColor"' in page and "http" not in page and 'scope="col"' in page


def test_a_long_table_says_how_many_rows_it_leaves_out():
    page = Result(MOST_ROWS + 7)._repr_html_()
    assert page.count("<tr>") == MOST_ROWS + 1 and "7 more rows" in page


def test_a_curve_says_its_ends_and_its_lowest_point():
    assert "loss by epoch: 2 at first, 1.5 at last, 1 at its lowest" in Result()._repr_html_()
    assert "<svg" not in Prediction(value=2.0)._repr_html_()


def test_a_data_frame_has_the_numbers_as_they_are():
    pytest.importorskip("pandas")
    frame = Result(2).to_frame()
    assert list(frame.columns) == ["name", "count", "share", "value", "nothing", "flag"]
    assert frame["share"].tolist() == [0.25, 0.25] and frame["count"].sum() == 2468


def test_without_pandas_the_error_names_the_extra(monkeypatch):
    imported = builtins.__import__

    def without(name, *arguments, **options):
        if name == "pandas":
            raise ImportError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r'pip install "fovea-cnn\[pandas\]"'):
        Result().to_frame()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    options = {"model": "mlp", "epochs": 3, "threads": 1, "precision": "float32", "device": "cpu"}
    out = tmp_path_factory.mktemp("notebook") / "run"
    return fovea.train("digits", **options, out=out, display=Display(quiet=True))


def test_a_training_shows_its_results_and_its_loss(run):
    assert re.fullmatch(
        r"<TrainingResult: .*run, [\d.]+ % accuracy on test, 95 % interval .* \(359 images\)>", repr(run)
    )
    page = run._repr_html_()
    split, accuracy, interval, images = cells_of(page)[-4:]
    assert (split, images) == ("test", "359") and accuracy.endswith(" %") and " to " in interval
    assert "<svg" in page
    assert [row["epoch"] for row in run.records()] == [0, 1, 2]


def test_a_model_file_shows_its_facts(run):
    bundle = fovea.load(run.model)
    facts = {row["fact"]: row["value"] for row in bundle.records()}
    assert facts["network"] == "mlp" and facts["trained on"] == "digits" and "% accuracy" in facts["result on test"]
    assert repr(bundle).startswith("<Bundle: mlp, input 1x16x16, 10 classes, ")


def test_an_evaluation_shows_each_class_and_a_comparison_each_run(run):
    found = fovea.evaluate(run.model, "digits")
    assert re.match(r"<Evaluation: accuracy [\d.]+ %, 95 % interval .*, test of digits, 359 images>", repr(found))
    rows = found.records()
    assert [row["name"] for row in rows] == [str(digit) for digit in range(10)]
    assert sum(row["support"] for row in rows) == 359
    compared = fovea.compare([run.run])
    assert repr(compared) == "<Comparison: 1 run in 1 group: run>"
    assert compared.records()[0]["accuracy_test"] == found.accuracy


def test_a_prediction_shows_its_labels():
    seen = Prediction((LabelScore("cat", 0.75), LabelScore("dog", 0.25)))
    assert repr(seen) == "<Prediction: cat, 75.0 %>"
    assert cells_of(seen._repr_html_()) == ["cat", "75.00 %", "dog", "25.00 %"]
    assert repr(Prediction(value=2.5)) == "<Prediction: 2.5>"


def test_what_lies_on_an_image_is_a_row_each():
    boxes = BoxPrediction.of(np.array([[0, 1, 2, 3, 4, 0.5]]), ("cell",))
    assert boxes.records() == [{"label": "cell", "score": 0.5, "box": [1.0, 2.0, 3.0, 4.0]}]
    assert cells_of(boxes._repr_html_()) == ["cell", "0.5", "1, 2, 3, 4"]
    points = PointPrediction.of(np.array([[1.0, 2.0, 0.5]]), ("nose",))
    assert points.records() == [{"label": "nose", "x": 1.0, "y": 2.0, "score": 0.5}]
    assert repr(points).startswith("<PointPrediction: ")
    assert BoxPrediction().records() == [] and "<table>" in BoxPrediction()._repr_html_()


def test_a_data_set_shows_its_classes_by_split():
    part = Part(labels=np.array([0, 1, 1]), names=("a", "b", "c"), pixels=np.zeros((3, 2, 2, 1), np.uint8))
    data = Dataset(name="few", parts={"train": part}, classes=("x", "y"), channels=1)
    assert repr(data) == "<Dataset: few, images: train 3; 2 classes>"
    assert data.records() == [{"class": "x", "train": 1}, {"class": "y", "train": 2}]
    ages = Part(labels=np.array([1.5], np.float32), names=("a",), pixels=np.zeros((1, 2, 2, 1), np.uint8))
    numbers = Dataset(name="ages", parts={"train": ages}, classes=(), channels=1, task="number")
    assert numbers.records() == [{"split": "train", "images": 1}]


def test_a_measurement_shows_its_layers():
    measured = fovea.measure("lenet5")
    assert repr(measured) == "<Measurement: lenet5 on 1x32x32, 61,706 parameters, 416,520 MACs>"
    assert sum(row["parameters"] for row in measured.records()) == 61_706
    assert measured.cells().rows[-1][-1] == 32
    assert len(cells_of(measured._repr_html_())) == 6 * len(measured.layers)


# progress


@pytest.fixture
def kernel(monkeypatch):
    """Stand in for the kernel of a notebook: return what its cell shows, one list for each output."""
    outputs = []

    class Handle:
        def __init__(self):
            outputs.append([])

        def update(self, content, raw):
            outputs[-1].append(content)

    def display(content, raw, display_id):
        handle = Handle()
        handle.update(content, raw)
        return handle

    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    return outputs


def test_in_a_notebook_progress_is_one_line_that_is_updated(kernel, capsys):
    with Display() as display:
        display.note("data: <b>")
        display.note("epoch 1")
        display.note("epoch 2")
    [output] = kernel
    assert [content["text/plain"] for content in output] == ["data: <b>", "epoch 1", "epoch 2", "epoch 2"]
    assert "<summary>epoch 2</summary><div>data: &lt;b&gt;</div><div>epoch 1</div>" in output[-1]["text/html"]
    assert capsys.readouterr().err == ""


def test_outside_of_a_notebook_nothing_changes(monkeypatch, capsys):
    terminal = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", terminal)
    with Display() as display:
        display.note("a")
    assert capsys.readouterr().err == "a\n"


def test_the_help_of_train_lists_every_parameter_and_field():
    described = set(re.findall(r"^ +(\w+): \S", fovea.train.__doc__, re.M))
    parameters = inspect.signature(fovea.train).parameters.values()
    own = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
    assert own == set(MEANINGS)
    assert own | set(FIELDS) <= described
    assert "label_smoothing: Share of the target spread over all classes" in fovea.train.__doc__
