"""The first page does not wait for PyTorch; what cannot be loaded ends the studio."""

import asyncio
import subprocess
import sys
from threading import Event

import pytest

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.errors import BundleError  # noqa: E402
from fovea.studio.loading import Loading  # noqa: E402
from fovea.studio.opened import Opened  # noqa: E402
from fovea.studio.server import Door  # noqa: E402


class Damaged(Opened):
    def load(self):
        raise BundleError("`net.safetensors` is damaged.")


def test_a_network_that_cannot_be_loaded_ends_the_studio_with_the_reason():
    ended = Event()
    loading = Loading(Damaged())
    loading.begin(ended.set)
    assert ended.wait(10)
    assert loading.done and "is damaged" in str(loading.fault)


def test_the_code_of_the_rooms_is_there_when_the_loading_is_done():
    loading, ended = Loading(Opened(), ["fovea.studio.no_such_room"]), Event()
    loading.begin(ended.set)
    assert ended.wait(10) and isinstance(loading.fault, ImportError)


def test_the_room_that_is_asked_for_comes_first(monkeypatch):
    came, go = [], Event()

    def slow(module):
        came.append(module)
        go.wait(10)

    monkeypatch.setattr("fovea.studio.loading.import_module", slow)
    loading = Loading(Opened(), ["a", "b", "c", "d"])
    loading.begin()
    while not came:
        pass
    assert not loading.ready("d")
    go.set()
    while not loading.ready("d"):
        pass
    assert came[:2] == ["a", "d"] and loading.fault is None


def test_the_first_page_is_made_without_pytorch_and_nicegui_and_what_is_no_model_file_is_told_before(tmp_path):
    file = tmp_path / "net.safetensors"
    file.write_bytes(b"no model")
    code = (
        "import sys, fovea.studio.server\nfrom fovea.studio.opened import found\nfrom fovea.errors import FoveaError\n"
        "try: found(sys.argv[1])\n"
        "except FoveaError as error: print(error)\n"
        "print(sorted({'torch', 'matplotlib', 'scipy', 'sklearn', 'nicegui'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["`net.safetensors` is empty or truncated.", "[]"]


class Named(Opened):
    def load(self):
        pass


async def asked(door, path):
    """Return the text that a door answers."""
    sent = []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": []}
    await door(scope, receive, send)
    return b"".join(message.get("body", b"") for message in sent).decode()


def test_a_room_that_is_not_ready_answers_at_once_with_names_as_text():
    door = Door(Loading(Named(name="<b>net</b>"), ["fovea.studio.lab.room"]))
    page = asyncio.run(asked(door, "/lab"))
    assert "Loading &lt;b&gt;net&lt;/b&gt; ..." in page and '<a href="/course">' in page


def test_a_page_that_waits_is_told_why_the_network_cannot_be_loaded():
    async def told():
        loading = Loading(Damaged())
        answer = asyncio.create_task(asked(Door(loading), "/loading?path=/"))
        await asyncio.sleep(0)
        assert not answer.done()
        loading.begin()
        return await asyncio.wait_for(answer, 10)

    assert "is damaged" in asyncio.run(told())


def test_nobody_waits_for_a_studio_that_ends():
    async def told():
        door = Door(Loading(Named()))
        answers = [asyncio.create_task(asked(door, path)) for path in ("/loading?path=/", "/_library.js")]
        await asyncio.sleep(0)
        door.close()
        return await asyncio.wait_for(asyncio.gather(*answers), 10)

    assert asyncio.run(told()) == ['{"fault":"it was stopped."}', "The studio ends."]


def test_once_the_rooms_are_made_they_answer():
    async def rooms(scope, receive, send):
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    async def answered():
        loading = Loading(Named(), ["json"])
        door = Door(loading)
        waits = asyncio.create_task(asked(door, "/_library.js"))
        await asyncio.sleep(0)
        assert not waits.done()
        door.open(rooms)
        loading.begin()
        await asked(door, "/loading?path=/")
        return await waits, await asked(door, "/")

    assert asyncio.run(answered()) == ("/_library.js", "/")
