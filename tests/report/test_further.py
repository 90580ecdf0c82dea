"""Slices and robustness in the page of an evaluation, and the curves of a comparison."""

from fovea.report.compare import costs, curves
from fovea.report.evaluation import evaluation_page

HOSTILE = "<script>document.title = 1</script>"


def test_names_of_slices_and_disturbances_are_text(make_outcome, page_card):
    entry = {"value": HOSTILE, "images": 3, "accuracy": 0.5, "interval": (0.2, 0.8)}
    points = [
        {"level": 0.0, "accuracy": 1.0, "interval": (0.9, 1.0)},
        {"level": 2.0, "accuracy": 0.5, "interval": (0, 1)},
    ]
    page = evaluation_page(
        make_outcome(),
        page_card(),
        slices={"column": HOSTILE, "values": [entry]},
        robustness={
            "images": 2000,
            "accuracy": 0.9,
            "curves": [{"disturbance": HOSTILE, "unit": HOSTILE, "points": points}],
        },
    )
    assert "<script" not in page and page.count("&lt;script&gt;") >= 4
    assert "20.0 % to 80.0 %" in page and "Accuracy on 2,000 images of the part, 90.0 % as they are" in page


def test_the_lowest_slice_comes_first(make_outcome, page_card):
    values = [
        {"value": name, "images": 1, "accuracy": accuracy, "interval": (0.0, 1.0)}
        for name, accuracy in (("ajax", 0.9), ("zeus", 0.1))
    ]
    page = evaluation_page(make_outcome(), page_card(), slices={"column": "camera", "values": values})
    assert page.index("zeus") < page.index("ajax")
    assert "<h2>Disturbed images</h2>" not in page


def history(*losses, val=None):
    return [{"epoch": n, "loss": loss, "accuracy": None, "val": val} for n, loss in enumerate(losses)]


def test_a_curve_is_the_mean_over_the_epochs_that_all_runs_have():
    (chart,) = curves(["a", "b"], [[history(3.0, 2.0, 1.0), history(5.0, 4.0)], [history(1.0)]])
    assert chart.title == "Training loss"
    assert [(line.name, line.points) for line in chart.lines] == [("a", [(1, 4), (2, 3)]), ("b", [(1, 1)])]
    _, loss, accuracy = curves(["a"], [[history(1.0, val={"loss": 2.0, "accuracy": 0.5})]])
    assert (loss.title, accuracy.title) == ("Validation loss", "Validation accuracy, %")
    assert accuracy.lines[0].points == [(1, 50)]


def test_results_are_drawn_over_arithmetic_where_that_differs():
    def group(name, pflop, **results):
        means = {split: {"mean": mean} for split, mean in results.items()}
        return {"name": name, "metric": "accuracy", "pflop": {"mean": pflop}, "results": means}

    (chart,) = costs([group("a", 0.1, val=0.7), group("b", 1.0, val=0.8, test=0.9)])
    assert chart.title == "Accuracy, %, on val over arithmetic"
    assert [line.points for line in chart.lines] == [[(0.1, 70)], [(1.0, 80)]]
    assert costs([group("a", 0.1, val=0.7)]) == costs([group("a", 1.0, test=0.7), group("b", 1.0, test=0.8)]) == []
