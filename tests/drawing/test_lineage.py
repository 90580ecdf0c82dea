import pytest

from fovea.drawing.lineage import DENSE, _across, _places, lineage_figure
from fovea.jobs.models import models
from fovea.zoo.families import tree


def test_each_family_has_a_row_and_stands_at_its_year_or_right_of_its_parent():
    lines = tree(models())
    places = _places(lines)
    assert [y for _, y in places.values()] == list(range(len(lines)))
    for line in lines:
        x = places[line.name][0]
        assert x >= _across(line.year)
        if line.descends_from:
            assert x > places[line.descends_from[0]][0]
    assert places["alexnet"][0] == 0.0


def test_years_before_the_dense_ones_are_closer_together():
    assert _across(DENSE) == 0
    assert _across(DENSE + 1) - _across(DENSE) > 5 * (_across(DENSE) - _across(DENSE - 1)) > 0


def test_the_figure_names_every_family_and_what_it_added():
    lines = tree(models("mobilenet_v1*"))
    texts = {text.get_text().strip() for text in lineage_figure(lines).axes[0].texts}
    assert {line.title for line in lines} | {line.adds for line in lines} <= texts
    assert {str(line.year) for line in lines} <= texts


@pytest.mark.parametrize("pattern", ["mlp", "lenet*"])
def test_a_tree_of_few_is_drawn_too(pattern, tmp_path):
    models(pattern, tree=True, plot=tmp_path / "tree.png")
    assert (tmp_path / "tree.png").stat().st_size > 1000
