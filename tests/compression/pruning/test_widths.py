import pytest

from fovea.compression.pruning.widths import candidates, worthwhile


def by_lanes(lanes):
    """Return the time of a layer whose processor computes so many channels at once."""
    return lambda width: -(-width // lanes) + 0.01 * width / lanes


def test_widths_between_two_blocks_of_lanes_are_left_out():
    assert worthwhile(tuple(range(64, 0, -4)), by_lanes(16), gain=0.05) == (64, 48, 32, 16)


def test_narrower_but_slower_is_left_out():
    assert worthwhile((16, 14, 12, 10, 8), {16: 1.0, 14: 1.3, 12: 1.1, 10: 0.9, 8: 0.7}.__getitem__) == (16, 10, 8)


def test_what_is_gained_must_exceed_the_noise():
    assert worthwhile((8, 7, 6), {8: 1.0, 7: 0.99, 6: 0.96}.__getitem__) == (8, 6)


@pytest.mark.parametrize("channels", [1, 3, 16, 17, 64, 100, 2048])
@pytest.mark.parametrize("multiple", [1, 4, 8])
def test_candidates_fall_and_are_few_multiples(channels, multiple):
    widths = candidates(channels, multiple=multiple)
    assert widths[0] == channels
    assert list(widths) == sorted(set(widths), reverse=True)
    assert len(widths) <= 9
    assert all(width % multiple == 0 and width > 0 for width in widths[1:])


def test_candidates_end_at_the_least():
    assert candidates(16, least=9) == (16, 14, 12, 10)
