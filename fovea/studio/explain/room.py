"""The room "Explain": where a network sees its answer, beside another answer or network; checks, and similar images."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from nicegui import events, ui

from fovea.errors import FoveaError, UsageError
from fovea.explanation.trust.badge import Badges, find_badges
from fovea.inputs import kind_of
from fovea.inputs.interface import Stored
from fovea.model.bundle import Bundle, load
from fovea.retrieval import SUFFIX
from fovea.studio.elements import button
from fovea.studio.explain.form import BESIDE, Form, listed
from fovea.studio.explain.panels import Shown, next_answer, panel
from fovea.studio.image import ImageColumn
from fovea.studio.opened import Opened
from fovea.studio.works import Watched, Works
from fovea.tasks.prediction import Prediction

if TYPE_CHECKING:
    from fovea.studio.explain.neighbours import Neighbours

MOST_FILES = 100
"""Of networks and indices that are offered."""
MOST_LAYERS = 1000

PANELS = """<div id="explain-controls"></div>
<div id="explain-progress" hidden><progress max="1" aria-label="Progress"></progress>
<span class="soft"></span> <button class="plain" type="button" id="explain-stop">Cancel</button></div>
<p class="error" id="explain-error" role="alert"></p>
<label class="opacity">Opacity of the maps
<input type="range" id="explain-opacity" min="0" max="100" value="65"></label>
<div class="panels" id="explain-panels" aria-live="polite"></div>"""


class ExplainRoom:
    """One page of the room, with the image and the question of its user."""

    def __init__(self, opened: Opened, state: Mapping[str, str]) -> None:
        self.opened, self.state = opened, state
        self.form = Form.of_address(state)
        self.sample: Stored | None = None
        self.second: tuple[str, Bundle] | None = None
        self.neighbours: tuple[str, Neighbours] | None = None
        self.works = Works(lambda share, title: self._script("progress", share, title))

    async def build(self) -> None:
        """Lay the page out, and explain a first image."""
        if self.opened.bundle is None:
            if self.opened.exported is None:  # of such a network the frame says it
                ui.label("No network is open: start the studio with a model file, as `fovea studio model.safetensors`.")
            return
        self.bundle = self.opened.own_bundle()
        self.column = ImageColumn(self.bundle, self.opened, self._look)
        ui.add_head_html('<link rel="stylesheet" href="/static/explain.css"><script src="/static/explain.js"></script>')
        with ui.element("main").classes("room explain"):
            with ui.element("section").props('aria-label="Image"'):
                self.column.build(over="")
            with ui.element("section").props('aria-label="Explanation"'):
                ui.html("<h2>Where the network sees it</h2>", sanitize=False)
                ui.html(PANELS, sanitize=False)
            with ui.element("section").props('aria-label="Checks"'):
                self._checks()
        for name, handler in {"explain": self._asked, "stopped": self._stopped, "nearest": self._nearest}.items():
            ui.on(name, handler)
        self.client = ui.context.client
        self.client.on_disconnect(self._leave)
        self.client.on_delete(self._leave)
        await self.client.connected()
        self._script("begin", self._offered(), self._fields())
        await self.column.begin(self.state)

    def _leave(self) -> None:
        """End what runs, and let go what can be loaded again."""
        self.works.stop()
        self.second = self.neighbours = None

    def _checks(self) -> None:
        ui.html("<h2>Is it to be believed?</h2>", sanitize=False)
        button("Check this picture", self._believed)
        ui.html('<div id="explain-trust" aria-live="polite"></div>', sanitize=False)
        ui.html('<h2 style="margin-top:1rem">Most similar images</h2>', sanitize=False)
        ui.html('<div id="explain-indices"></div><div id="explain-near" aria-live="polite"></div>', sanitize=False)

    def _offered(self) -> dict[str, Any]:
        """Return what the page may ask, as JSON values."""
        layers = (name for name, _ in self.bundle.model.named_modules() if name)
        return {
            "methods": listed(self.bundle.preprocess.shape),
            "classes": list(self.bundle.classes),
            "beside": BESIDE,
            "networks": self._files("*.safetensors", "*/model.safetensors"),
            "indices": self._files(f"*{SUFFIX}", f"*/*{SUFFIX}"),
            "layers": list(islice(layers, MOST_LAYERS)),
            "placed": self.bundle.target.lies_on_image,
        }

    def _files(self, *patterns: str) -> list[str]:
        """Return the files of the studio's folder with such names."""
        found = (path for pattern in patterns for path in self.opened.folder.glob(pattern))
        return sorted(path.relative_to(self.opened.folder).as_posix() for path in islice(found, MOST_FILES))

    def _fields(self) -> dict[str, Any]:
        form = self.form
        return {**{name: getattr(form, name) for name in form.__dataclass_fields__}, "settings": dict(form.settings)}

    def _script(self, name: str, *values: Any) -> None:
        given = ", ".join(json.dumps(value) for value in values)
        with self.client:
            ui.run_javascript(f"explain.{name}({given})")

    async def _look(self, sample: Stored) -> None:
        """Take another image, and explain it."""
        self.sample = sample
        said = await self._done(lambda _: self._said(sample))  # among the works: no two run the network at a time
        if said is None:
            return
        self.column.show(kind_of(self.bundle.preprocess).drawn(sample), said)
        self._script("fresh")
        await self._explain()

    def _said(self, sample: Stored) -> Prediction:
        target = self.bundle.target
        return target.prediction(target.decode(self.bundle.outputs(sample[None]))[0])

    async def _asked(self, event: events.GenericEventArguments) -> None:
        self.form = Form.of(event.args)
        await self._explain()

    def _stopped(self, _: events.GenericEventArguments) -> None:
        self.works.stop()
        self._script("done", "Stopped.")

    async def _explain(self) -> None:
        panels = await self._done(self._panels)
        if panels is not None:
            self._script("panels", panels)

    async def _done(self, work: Any) -> Any:
        """Return what a work returns, or None; what goes wrong is said on the page."""
        if self.sample is None:
            return None
        try:
            found = await self.works.do(work)
        except FoveaError as error:
            self._script("done", str(error))
            return None
        if found is not None:
            self._script("done", "")
        return found

    def _panels(self, work: Watched) -> list[dict[str, Any]]:
        form, sample = self.form, self._shown
        if form.beside == "network" and not form.second:
            raise UsageError("Choose the second network: model files of the folder that the studio was started in.")
        shown = [Shown(self.bundle, sample, form, self._badges)]
        if form.beside == "answer":
            other = form.other or next_answer(self.bundle, sample)
            shown.append(shown[0]._replace(form=replace(form, answer=other)))
        elif form.beside == "network":
            second = self._second(form.second)
            layer = form.layer if form.layer in dict(second.model.named_modules()) else ""
            asked = replace(form, answer=form.other, layer=layer)
            shown.append(Shown(second, second.read(self.column.source), asked))
        return [panel(each, work) for each in shown]

    @cached_property
    def _badges(self) -> Badges:
        """What a result of `fovea trust` in the studio's folder, or beside the model file, says of the methods."""
        model = self.opened.model
        return {} if model is None else find_badges(model, (self.opened.folder, model.parent))[0]

    @property
    def _shown(self) -> Stored:
        if self.sample is None:
            raise UsageError("No image is shown yet.")
        return self.sample

    def _second(self, place: str) -> Bundle:
        """Return the second network."""
        if self.second is None or self.second[0] != place:
            self.second = (place, load(self.opened.inside(place)))
        return self.second[1]

    async def _believed(self) -> None:
        form = self.form

        def checked(work: Watched) -> dict[str, Any]:
            from fovea.jobs.trust_sample import trust_sample  # their imports take a second or two
            from fovea.studio.explain.believed import believed

            told = work.counter("checking")
            return believed(trust_sample(self.bundle, self._shown, form.request(work), progress=told))

        found = await self._done(checked)
        if found is not None:
            self._script("trust", found)

    async def _nearest(self, event: events.GenericEventArguments) -> None:
        place = str(event.args)[:1000]

        def near(_: Watched) -> dict[str, Any]:
            from fovea.studio.explain.neighbours import Neighbours

            if self.neighbours is None or self.neighbours[0] != place:
                self.neighbours = (place, Neighbours(self.opened, place))
            return self.neighbours[1].nearest(self.column.source)

        found = await self._done(near)
        if found is not None:
            self._script("near", found)
