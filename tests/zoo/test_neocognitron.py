"""The neocognitron: each kind of cell by hand, who learns, what it learns, and the paper's sizes."""

import pytest
import torch

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.zoo.neocognitron import CCells, Module, SCells, VCells, Votes, falling, representatives

ONE_PLANE = Module(planes=1, r=4.0, r_learning=4.0, q=2.0, padding=2, column=3)


def dot(row=3, column=3, *, size=7):
    """Return an image of zeros with a single 1."""
    u = torch.zeros(1, 1, size, size)
    u[0, 0, row, column] = 1
    return u


def test_connections_fall_with_the_distance_and_those_of_the_v_cells_add_up_to_one():
    torch.testing.assert_close(falling(3, 0.5)[1], torch.tensor([0.5, 1.0, 0.5]))
    torch.testing.assert_close(falling(3, 0.5)[0, 0], torch.tensor(0.5**2**0.5))
    assert VCells(4, padding=2).c.sum().item() == pytest.approx(1)


def test_a_v_cell_is_the_root_of_the_weighed_mean_square():
    cells = VCells(1, padding=2)
    u = 3 * dot() + 4 * dot(3, 4)
    v = cells(u)[0, 0, 3, 3]
    torch.testing.assert_close(v, (9 * cells.c[0, 0, 2, 2] + 16 * cells.c[0, 0, 2, 3]).sqrt())


def test_an_s_cell_by_hand():
    """With a = 0.5 in the middle and b = 0.25: u_S = 4 [(1 + 0.5) / (1 + 8 / 5 * 0.25 v) - 1]."""
    cells = SCells(1, ONE_PLANE)
    with torch.no_grad():
        cells.a.zero_()[0, 0, 2, 2] = 0.5
        cells.b.fill_(0.25)
    v = cells.inhibition.c[0, 0, 2, 2].sqrt().item()
    response = cells(dot())[0, 0]
    assert response[3, 3].item() == pytest.approx(4 * (1.5 / (1 + 0.4 * v) - 1))
    assert response[3, 4] == 0  # inhibited, and not excited


def test_reinforcement_adds_what_the_representative_sees():
    cells = SCells(1, ONE_PLANE)
    with torch.no_grad():
        cells.a.zero_()[0, 0, 2, 2] = 0.1  # strongest over the dot itself
        cells.reinforce(dot())
    c = cells.inhibition.c[0, 0]
    expected = torch.zeros(5, 5)
    expected[2, 2] = 0.1 + 2 * c[2, 2]  # q c u_C
    torch.testing.assert_close(cells.a.data[0, 0], expected)
    torch.testing.assert_close(cells.b.data[0], c[2, 2].sqrt())  # q / 2 v


def test_who_has_learned_a_pattern_answers_to_it_and_not_to_another():
    torch.manual_seed(0)
    cells = SCells(1, ONE_PLANE._replace(planes=2, column=5))
    bar, across = torch.zeros(2, 1, 1, 5, 5)
    bar[..., 2, :], across[..., :, 2] = 1.0, 1.0
    for _ in range(100):
        cells.reinforce(bar), cells.reinforce(across)
    with torch.no_grad():
        first, second = (cells(u)[0].amax((1, 2)) for u in (bar, across))
    assert first.argmax() != second.argmax()
    assert first.min() == 0 and second.min() == 0
    # q n v^2 being large, u_S comes near (1 + r) s - r, at the likeness s = 1
    assert 0.9 < first.max() <= 1 and 0.9 < second.max() <= 1


def test_representatives_are_the_strongest_of_their_columns_and_planes():
    response = torch.zeros(3, 4, 4)
    response[0, 0, 0] = 5.0  # strongest of its columns
    response[1, 0, 1] = 4.0  # in some columns that this one is not in, unless they are large
    response[0, 3, 3] = 3.0  # a candidate, but its plane has a stronger one
    response[2, 3, 0] = 2.0  # the only one of its plane
    planes, places = representatives(response, column=2)
    assert dict(zip(planes.tolist(), places.tolist(), strict=True)) == {0: 0, 1: 1, 2: 12}
    planes, places = representatives(response, column=4)
    assert (planes.tolist(), places.tolist()) == ([0], [0])


def test_without_a_response_nobody_learns():
    planes, places = representatives(torch.zeros(2, 3, 3), column=3)
    assert len(planes) == len(places) == 0


def test_a_c_cell_by_hand():
    """Sums 2 and 0 in two planes, mean 1: (1 + 2) / (1 + 1) - 1 = 1/2, and 1/2 / (1/2 + 1/2) = 1/2."""
    cells = CCells(1, stride=1)
    found = cells(torch.tensor([2.0, 0.0]).reshape(1, 2, 1, 1))
    torch.testing.assert_close(found.flatten(), torch.tensor([0.5, 0.0]))


def test_votes_by_hand():
    votes = Votes(2, 2)
    votes.count(torch.tensor([[3.0, 1.0], [0.0, 2.0]])[..., None, None], torch.tensor([0, 1]))
    torch.testing.assert_close(votes.counts, torch.tensor([[0.75, 0.0], [0.25, 1.0]]))
    logits = votes(torch.tensor([[1.0, 0.0], [0.0, 0.0]])[..., None, None])
    expected = torch.tensor([[(0.75 + 0.1) / 0.95, 0.1 / 0.95], [0.5, 0.5]])
    torch.testing.assert_close(logits.exp(), expected)


def test_the_paper_s_planes_and_sizes():
    """Section 5: 16 x 16; 16 x 16, 10 x 10; 8 x 8, 6 x 6; 2 x 2, 1 x 1 cells in 24 planes."""
    model = registry.build("neocognitron_1980").eval()
    x, sides = torch.rand(1, 1, 16, 16), []
    with torch.no_grad():
        for stage in (model.stage1, model.stage2, model.stage3):
            s = stage.s(x)
            x = stage(x)
            assert s.shape[1] == x.shape[1] == 24
            sides.append((s.shape[2], x.shape[2]))
    assert sides == [(16, 10), (8, 6), (2, 1)]


def test_layers_learn_one_after_the_other_and_then_votes_are_counted():
    torch.manual_seed(0)
    model = registry.build("neocognitron_1980", classes=2)
    layers = [model.stage1.s, model.stage2.s, model.stage3.s]
    images, labels = torch.rand(3, 1, 16, 16), torch.tensor([0, 1, 1])
    for quarter in range(4):
        before = [layer.b.detach().clone() for layer in layers]
        loss, logits = model.learn(images, labels, loss=torch.nn.functional.cross_entropy, progress=(quarter + 0.5) / 4)
        assert not loss.requires_grad and logits.shape == (3, 2)
        changed = [not torch.equal(layer.b, b) for layer, b in zip(layers, before, strict=True)]
        assert changed == [quarter == number for number in range(3)]
    assert model.head.counts.sum().item() <= 3  # of the last quarter alone
