"""Every link of the course leads to a room that takes its state, and whose page is built of it."""

import asyncio
import runpy
import warnings
from urllib.parse import urlencode

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("onnx")
pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from onnx_files import write_onnx  # noqa: E402
from payloads import PAYLOADS  # noqa: E402
from seeded_bundles import seeded_bundle  # noqa: E402

from fovea import registry  # noqa: E402
from fovea.card import Card  # noqa: E402
from fovea.course.contents import LECTURES, TOPICS  # noqa: E402
from fovea.course.sources import SOURCES  # noqa: E402
from fovea.explanation.attribution.methods import METHODS  # noqa: E402
from fovea.model.bundle import save_bundle  # noqa: E402
from fovea.studio.app import create_app  # noqa: E402
from fovea.studio.examples import example  # noqa: E402
from fovea.studio.guard import Guard  # noqa: E402
from fovea.studio.lab.state import lab_state  # noqa: E402
from fovea.studio.look.looking import Looking  # noqa: E402
from fovea.studio.opened import Opened, opened  # noqa: E402
from fovea.studio.rooms import ROOMS  # noqa: E402

PORT, TOKEN = 8124, "s3cret"
LINKS = {
    link.address: link
    for link in (*(link for topic in TOPICS.values() for link in topic.links), *(source.here for source in SOURCES))
}
THERE = {room.path for room in ROOMS}


def links(room):
    return [link for link in LINKS.values() if link.room == room]


def tried(room):
    """Return the links whose pages are built: of those whose states are checked one by one, a few."""
    return links(room)[:: 12 if room in ("/network", "/train", "/lab") else 1]


@pytest.fixture(scope="module")
def bundle():
    return seeded_bundle(architecture="lenet5", channels=1, size=32)


NAMES = ("topic", "deck", "layer", "unit", "image", "kernel", "stride", "example", "method", "model", "data", "run")
HOSTILE = {
    f"{room.path}?{urlencode(dict(zip(NAMES, PAYLOADS[len(NAMES) * number :], strict=False)))}": room
    for number, room in enumerate(ROOMS)
}
OWN = """import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))

    def forward(self, x):
        return self.body(x)
"""
COURSE = [
    "/course",
    *(f"/course?topic={name}" for name in TOPICS),
    *(f"/course?deck={lecture.deck}" for lecture in LECTURES),
]


@pytest.fixture(scope="module")
def fetched(bundle, tmp_path_factory):
    """Give the answers of a studio, by what is open and address: status and text."""
    folder = tmp_path_factory.mktemp("folder")
    there = [link.address for room in THERE for link in tried(room)]
    asked = {
        "a network": (Opened(name="digits", bundle=bundle), list(dict.fromkeys((*there, *COURSE, *HOSTILE)))),
        "nothing": (Opened(), sorted(THERE)),
        "data": (Opened(name="digits", data="digits"), sorted(THERE)),
        "an exported network": (Opened(name="net.onnx", exported=write_onnx(folder / "net.onnx")), sorted(THERE)),
        "a network of one's own": (own_network(folder), sorted(THERE)),
        "an empty run": (Opened(name="run", run=folder), sorted(THERE)),
    }
    now = Opened(folder=folder)
    app = create_app(now)
    guard = Guard(app, token=TOKEN, port=PORT)

    async def answers():
        own = {"base_url": f"http://127.0.0.1:{PORT}", "cookies": {f"fovea-studio-{PORT}": TOKEN}}
        transport = httpx.ASGITransport(guard)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, **own) as client,
        ):
            for what, (other, addresses) in asked.items():
                vars(now).update({**vars(other), "folder": folder})
                found = await asyncio.gather(*map(client.get, addresses))
                yield what, {at: (each.status_code, each.text) for at, each in zip(addresses, found, strict=True)}

    async def collected():
        return {what: found async for what, found in answers()}

    with warnings.catch_warnings():
        # as it starts, the library of the pages looks at every object there is, PyTorch's deprecated ones too
        warnings.filterwarnings("ignore", category=FutureWarning)
        return asyncio.run(collected())


@pytest.fixture(scope="module")
def pages(fetched):
    return fetched["a network"]


def own_network(folder):
    """Return a network that its user's own code makes."""
    (folder / "own.py").write_text(OWN)
    base = seeded_bundle(channels=1, size=8)
    model = runpy.run_path(str(folder / "own.py"))["Net"]()
    card = Card.from_dict({**base.card.to_dict(), "architecture": "custom", "arguments": {}}, source="a test")
    save_bundle(folder / "own.safetensors", model, card)
    return opened(folder / "own.safetensors", network=f"{folder / 'own.py'}:Net")


def test_links_lead_to_rooms_that_there_are():
    assert {link.room for link in LINKS.values()} <= THERE


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
    for link in tried(room):
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


WHAT = ("nothing", "data", "an exported network", "a network of one's own", "an empty run")


@pytest.mark.slow
@pytest.mark.parametrize("what", WHAT)
def test_every_room_opens_with_whatever_the_studio_was_opened_with(fetched, what):
    assert {path: status for path, (status, _) in fetched[what].items()} == dict.fromkeys(sorted(THERE), 200)
