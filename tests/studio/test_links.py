"""Every link of the course leads to a room that takes its state, and whose page is built of it."""

import asyncio
import warnings
from urllib.parse import urlencode

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from payloads import PAYLOADS  # noqa: E402
from seeded_bundles import seeded_bundle  # noqa: E402

from fovea import registry  # noqa: E402
from fovea.course.contents import LECTURES, TOPICS  # noqa: E402
from fovea.course.sources import SOURCES  # noqa: E402
from fovea.explanation.attribution.methods import METHODS  # noqa: E402
from fovea.studio.app import create_app  # noqa: E402
from fovea.studio.examples import example  # noqa: E402
from fovea.studio.lab.state import lab_state  # noqa: E402
from fovea.studio.look.looking import Looking  # noqa: E402
from fovea.studio.opened import Opened  # noqa: E402
from fovea.studio.rooms import ROOMS  # noqa: E402

PORT, TOKEN = 8124, "s3cret"
LINKS = {
    link.address: link
    for link in (*(link for topic in TOPICS.values() for link in topic.links), *(source.here for source in SOURCES))
}
THERE = {room.path for room in ROOMS}


def links(room):
    return [link for link in LINKS.values() if link.room == room]


@pytest.fixture(scope="module")
def bundle():
    return seeded_bundle(architecture="lenet5", channels=1, size=32)


NAMES = ("topic", "deck", "layer", "unit", "image", "kernel", "stride", "example", "method", "model", "data", "run")
HOSTILE = {
    f"{room.path}?{urlencode(dict(zip(NAMES, PAYLOADS[len(NAMES) * number :], strict=False)))}": room
    for number, room in enumerate(ROOMS)
}
COURSE = [
    "/course",
    *(f"/course?topic={name}" for name in TOPICS),
    *(f"/course?deck={lecture.deck}" for lecture in LECTURES),
]


@pytest.fixture(scope="module")
def pages(bundle, tmp_path_factory):
    """Give the answers of a studio with a network, by address: status and text."""
    opened = Opened(name="digits", bundle=bundle, folder=tmp_path_factory.mktemp("folder"))
    guard = create_app(opened, token=TOKEN, port=PORT)
    there = [link.address for link in LINKS.values() if link.room in THERE]

    async def asked():
        transport = httpx.ASGITransport(guard)
        own = {"base_url": f"http://127.0.0.1:{PORT}", "cookies": {f"fovea-studio-{PORT}": TOKEN}}
        async with (
            guard.app.router.lifespan_context(guard.app),
            httpx.AsyncClient(transport=transport, **own) as client,
        ):
            addresses = list(dict.fromkeys((*there, *COURSE, *HOSTILE)))
            return dict(zip(addresses, await asyncio.gather(*map(client.get, addresses)), strict=True))

    with warnings.catch_warnings():
        # as it starts, the library of the pages looks at every object there is, PyTorch's deprecated ones too
        warnings.filterwarnings("ignore", category=FutureWarning)
        answers = asyncio.run(asked())
    return {address: (answer.status_code, answer.text) for address, answer in answers.items()}


def test_links_of_the_lab_fit_and_ask_for_nothing_that_is_not_there():
    for link in links("/lab"):
        state = lab_state(link.state)
        assert state.refused == [], link.address
        assert state.worked()["output"], link.address


def test_links_of_look_name_layers_that_any_network_has(bundle):
    looking = Looking(bundle, bundle.read(example("digit 2")))
    for link in links("/"):
        assert set(link.state) <= {"layer", "unit", "space"}
        if "layer" in link.state:
            looking.asked(link.state["layer"], link.state.get("unit", ""))


def test_links_of_network_and_train_name_networks_and_data_that_there_are():
    from fovea.data.sources.source import NAMES

    for link in (*links("/network"), *links("/train")):
        assert set(link.state) <= {"data", "model"}
        if "model" in link.state:
            registry.entry(link.state["model"])
        assert link.state.get("data", "digits") in NAMES


def test_links_of_explain_name_methods():
    assert {link.state["method"] for link in links("/explain") if link.state} <= set(METHODS)


@pytest.mark.slow
@pytest.mark.parametrize("room", sorted({link.room for link in LINKS.values()}))
def test_the_pages_behind_the_links_are_built(pages, room):
    if room not in THERE:
        pytest.skip(f"there is no room {room} yet")
    for link in links(room):
        status, text = pages[link.address]
        assert status == 200 and "main" in text, link.address


@pytest.mark.slow
def test_every_page_of_the_course_is_built(pages):
    for address in COURSE:
        status, text = pages[address]
        assert status == 200 and "main" in text, address
        name = address.partition("topic=")[2]
        assert not name or TOPICS[name].title.split(" ")[0] in text


@pytest.mark.slow
def test_pages_are_built_whatever_their_address_asks_for(pages):
    for address, room in HOSTILE.items():
        status, text = pages[address]
        assert status == 200, room.path
        assert not [payload for payload in PAYLOADS if "<" in payload and payload in text]
