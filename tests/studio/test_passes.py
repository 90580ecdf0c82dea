"""What all pages hold in memory is bounded, and a page notices nothing of it."""

from threading import Thread

import numpy as np
import pytest
from seeded_bundles import seeded_bundle

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.studio.look.looking import Looking  # noqa: E402
from fovea.studio.look.room import LookRoom  # noqa: E402
from fovea.studio.opened import Opened  # noqa: E402
from fovea.studio.passes import Passes  # noqa: E402


@pytest.fixture(scope="module")
def opened():
    return Opened(bundle=seeded_bundle(architecture="lenet5", channels=1, size=32))


def sample(seed):
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 1), dtype=np.uint8)


def visit(opened, passes, seed):
    looking = Looking(opened.own_bundle(), sample(seed), passes)
    looking.look_at(sample(seed))
    return looking


def test_the_passes_of_many_pages_stay_within_the_bound_and_come_back(opened):
    alone = visit(opened, Passes(), 0)
    one, unit = alone.layers.tape.bytes, alone.unit((0, 5, 7))
    assert one > 4 * alone.layers.all[1].shape[0]
    passes = Passes(most_bytes=int(2.5 * one))
    pages = [visit(opened, passes, seed) for seed in range(5)]
    assert passes.bytes == 2 * one
    assert pages[0].unit((0, 5, 7)) == unit  # made anew
    assert passes.bytes == 2 * one
    for page in pages:
        passes.free(page)
    assert passes.bytes == 0


def test_a_pass_larger_than_the_bound_is_held_alone(opened):
    passes = Passes(most_bytes=1)
    for seed in range(2):
        last = visit(opened, passes, seed)
    assert passes.bytes == last.layers.tape.bytes


def test_pages_share_the_weights_and_not_the_hooks(opened):
    one, other = (opened.own_bundle().model for _ in range(2))
    seen = []
    next(one.children()).register_forward_hook(lambda *_: seen.append(1))
    other(opened.bundle.blank)
    assert not seen
    places = [[tensor.data_ptr() for tensor in model.state_dict().values()] for model in (one, other)]
    assert places[0] == places[1]


def test_a_page_that_is_left_holds_no_pass(opened):
    room = LookRoom(opened, {})
    room.looking = visit(opened, opened.passes, 0)
    assert opened.passes.bytes > 0
    room._leave()
    assert opened.passes.bytes == 0


def test_two_threads_of_a_page_make_one_pass(opened):
    looking, found = Looking(opened.own_bundle(), sample(0)), []
    threads = [Thread(target=lambda: found.append(looking.layers)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len({id(layers) for layers in found}) == 1
