"""What the page of the room "Explain" asks is taken as text, whatever it sends; works are one at a time."""

import asyncio
import threading

import pytest

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.errors import UsageError  # noqa: E402
from fovea.explanation.attribution.methods import METHODS  # noqa: E402
from fovea.studio.explain.form import Form, listed  # noqa: E402
from fovea.studio.works import Stopped, Watched, Works  # noqa: E402


@pytest.mark.parametrize(
    "sent", [None, 3, "x", [], {"method": 3, "settings": [1], "at": "zz"}, {"beside": "x"}, {"at": [1, "x"]}]
)
def test_what_is_no_form_asks_for_the_usual(sent):
    assert Form.of(sent) == Form()


def test_an_address_names_method_settings_and_answers():
    form = Form.of_address({"method": "occlusion", "patch": "20", "other": "cat", "token": "x", "at": "3,4"})
    assert (form.method, form.settings, form.beside, form.at) == ("occlusion", {"patch": "20"}, "answer", (3.0, 4.0))


def test_a_method_that_is_not_there_is_refused_with_its_neighbours():
    with pytest.raises(UsageError, match="did you mean `gradcam`"):
        Form(method="gradcan").request(Watched())


def test_every_setting_of_every_method_has_a_field_that_sends_what_the_method_takes():
    offered = {each["name"]: each for each in listed((3, 32, 32))}
    assert offered.keys() == METHODS.keys()
    for name, method in METHODS.items():
        fields = {field["name"]: field for field in offered[name]["settings"]}
        assert fields.keys() == method.settings.keys()
        numbers = [field for field in fields.values() if field["kind"] == "slider"]
        assert all(field["least"] <= field["usual"] <= field["most"] for field in numbers)
        method.parsed({field["name"]: str(field["usual"]) for field in numbers})
        words = [field for field in fields.values() if field["kind"] == "word"]
        method.parsed({field["name"]: field["words"][-1] for field in words})


def test_a_newer_work_stops_the_one_that_runs():
    begun, told = threading.Event(), []

    def endless(work):
        while True:
            begun.set()
            work.advance("endless", 1, 2)
            threading.Event().wait(0.005)

    async def both():
        works = Works(lambda share, title: told.append((share, title)))
        first = asyncio.ensure_future(works.do(endless))
        while not told:
            await asyncio.sleep(0.01)
        return await works.do(lambda _: "newer"), await first

    assert asyncio.run(both()) == ("newer", None)
    assert told[0] == (0.5, "endless")


def test_what_goes_wrong_in_a_work_is_raised():
    def broken(_):
        raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        asyncio.run(Works(lambda *_: None).do(broken))


def test_a_stopped_work_ends_at_its_next_word():
    work = Watched()
    work.stopped = True
    with pytest.raises(Stopped):
        work.counter("x")(1, 2)
