"""The room "Label": one image after another, where the network is least sure first, its proposals to be corrected."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from nicegui import background_tasks, events, run, ui

from fovea.data.annotating.covered import label_of, mask_of
from fovea.data.annotating.proposals import proposed
from fovea.errors import FoveaError, UsageError, shortened
from fovea.jobs.predict import FilePrediction, predict
from fovea.model.bundle import Bundle
from fovea.preprocess import VOID
from fovea.studio.elements import button, select
from fovea.studio.label import beginning, retraining
from fovea.studio.label.beginning import Asked
from fovea.studio.label.form import Form
from fovea.studio.label.labelling import Labelling
from fovea.studio.label.ordering import Ordering
from fovea.studio.label.page import KEYS, STAGE, setting
from fovea.studio.label.shown import mask_url, picture_of
from fovea.studio.opened import Opened
from fovea.studio.train.room import launcher_of

TOLD = 120
"""Characters of what the network says."""
POLL_S = 1.0
"""How often is asked whether a training has ended."""


class LabelRoom:
    """One page of the room."""

    def __init__(self, opened: Opened, state: Mapping[str, str]) -> None:
        self.opened = opened
        self.asked = Asked.of(state, opened)
        self.begins = "out" in state
        self.bundle: Bundle | None = None
        self.proposal: Any = None
        self.ordering = Ordering()
        self._found: Labelling | None = None
        self.touched = False
        self._gone = False

    async def build(self) -> None:
        """Lay the page out; go on with the file that is asked for, or ask for one."""
        ui.add_head_html(
            '<link rel="stylesheet" href="/static/label.css"><script src="/static/label_shapes.js"></script>'
            '<script src="/static/label_brush.js"></script><script src="/static/label.js"></script>'
        )
        ui.context.client.on_delete(self._leave)
        with ui.element("main").classes("label") as self.main:
            if not self.begins:
                self._form()
                return
            ui.label("Looking for the images ...").classes("soft")
        await ui.context.client.connected()
        try:
            self.bundle = await run.io_bound(beginning.network, self.asked, self.opened)
            tab = ui.context.client.tab_id or ""
            self._found = await run.io_bound(lambda: beginning.begun(self.asked, self.opened, tab=tab))
        except FoveaError as error:
            self._refused(str(error))
            return
        self._lay_out()
        await self._show()
        first = beginning.first_order(self.asked, self.bundle)
        if self.bundle is not None and first not in (beginning.AS_FOUND, beginning.BY_CHANCE):
            await self._order(first)

    @property
    def labelling(self) -> Labelling:
        """What happens on this page."""
        if self._found is None:
            raise UsageError("Nothing is labelled yet.")
        return self._found

    def _form(self) -> None:
        Form(self.asked, self.opened, lambda asked: ui.navigate.to(asked.address)).build()

    def _refused(self, text: str) -> None:
        """Say why nothing can be labelled, above the form."""
        self.main.clear()
        with self.main:
            ui.label(text).classes("error").props('role="alert"')
            self._form()

    def _lay_out(self) -> None:
        self.main.clear()
        with self.main:
            with ui.element("section").props('aria-label="Image"'):
                ui.html(STAGE, sanitize=False)
            with ui.element("section").classes("side").props('aria-label="Label"'):
                ui.html('<h2 id="label-question">Label</h2><div id="label-classes"></div>', sanitize=False)
                self._steps()
                ui.html(KEYS, sanitize=False)
                with ui.element("div").classes("choices"):
                    orders = beginning.orders(self.bundle, self.asked.kind)
                    first = beginning.first_order(self.asked, self.bundle)
                    select("Order", orders, self._order, value=first)
                    self.order_told = ui.label().classes("soft").props('aria-live="polite"')
                self._training()
        ui.on("label", self._event)
        ui.run_javascript(f"label.begin({json.dumps(setting(self.labelling, self.asked, self.proposes))})")

    def _steps(self) -> None:
        with ui.element("div").classes("steps"):
            for text, what in {
                "Accept (Enter)": "enter",
                "Previous (Left)": "previous",
                "Next (Right)": "next",
                "Skip (Backspace)": "skip",
                "Undo (Ctrl-Z)": "undo",
                "No label": "clear",
            }.items():
                button(text).props(f'data-do="{what}"').on("click", js_handler=f"() => label.press('{what}')")

    def _training(self) -> None:
        with ui.element("div").classes("choices").props('role="group" aria-label="Train again"'):
            ui.html("<h2>Train again from these labels</h2>", sanitize=False)
            self.budget = retraining.USUAL
            select("Within", retraining.BUDGETS, self._choose_budget, value=self.budget)
            button("Train", self._train).props('id="label-train"')
            self.watch = ui.link("Watch it learn", "/train")
            self.watch.set_visibility(False)
            self.training_told = ui.label().classes("soft said").props('aria-live="polite" id="label-training"')
        if self.labelling.kept.file in retraining.STARTED:
            background_tasks.create(self._follow(retraining.STARTED[self.labelling.kept.file]))

    def _choose_budget(self, budget: str) -> None:
        self.budget = budget

    async def _show(self) -> None:
        """Send the image that is looked at, with its label; what the network proposes follows."""
        found = self.labelling
        row, self.proposal = found.row, None
        try:
            picture = await run.io_bound(picture_of, found.file)
            if row != found.row or self._gone:  # gone on in the meantime
                return
            known = found.classes
            item = self._item() | {"picture": picture, "size": found.size}
            if known != found.classes:
                self._tell_classes()
        except FoveaError as error:
            item = {"image": row, "picture": "", "size": [1, 1], "label": None, **self._counts(), "error": str(error)}
        ui.run_javascript(f"label.show({json.dumps(item)})")
        if "error" not in item:
            await self._propose(row)

    def _item(self) -> dict[str, Any]:
        found = self.labelling
        item = {"image": found.row, "label": found.label, **self._counts()}
        return item | ({"mask": mask_url(found.mask), "label": found.label is not None} if self._brushes else {})

    @property
    def _brushes(self) -> bool:
        return self.labelling.name == "brush"

    def _counts(self) -> dict[str, Any]:
        found = self.labelling
        return {
            "name": found.pool.part.names[found.row],
            "place": found.place + 1,
            "done": found.done,
            "total": len(found.order),
            "undo": found.can_undo,
        }

    async def _propose(self, row: int) -> None:
        found, bundle = self.labelling, self.bundle
        if bundle is None or not self.proposes or found.label is not None:
            return
        file = found.file
        try:
            said = await run.io_bound(lambda: next(iter(predict(bundle, [file], batch=1))))
        except FoveaError as error:
            said = FilePrediction(image=file.name, error=str(error))
        if row != found.row or said is None or self._gone:
            return
        shown, text = None, said.error
        if said.prediction is not None:
            text = shortened(said.prediction.text, most=TOLD)
            asked = (found.name, said.prediction, found.classes, found.size)
            proposal = await run.io_bound(proposed, *asked)
            if row != found.row or self._gone:
                return
            self.proposal = proposal
            shown = mask_url(mask_of(proposal or (), found.classes, found.size)) if self._brushes else proposal
        ui.run_javascript(f"label.propose({row}, {json.dumps(shown)}, {json.dumps(text)})")

    @property
    def proposes(self) -> bool:
        """Whether the network says something of the kind that is labelled."""
        return beginning.proposes(self.bundle, self.labelling.name)

    async def _event(self, event: events.GenericEventArguments) -> None:
        """Do what the page asks for, where it looks at the image that it asks for."""
        args = event.args if isinstance(event.args, dict) else {}
        what, found, row = str(args.get("do")), self.labelling, args.get("image")
        if not isinstance(row, int) or row not in range(len(found.order)):
            return
        try:
            shows = self._done(what, args) if row == found.row else self._late(what, args, row)
        except FoveaError as error:
            ui.run_javascript(f"label.refuse({json.dumps(str(error))})")
            shows = True
        if shows:
            await self._show()
        else:
            ui.run_javascript(f"label.kept({json.dumps(self._counts())})")

    def _tell_classes(self) -> None:
        ui.run_javascript(f"label.classes({json.dumps(setting(self.labelling, self.asked, self.proposes))})")

    def _late(self, what: str, args: Mapping[str, Any], row: int) -> bool:
        """Keep what was said of an image that the page has left since; return False, as nothing is shown anew."""
        if what == "give":
            self.labelling.give(args.get("label"), row=row)
        elif what == "paint":
            self.labelling.paint(args.get("path"), radius=args.get("radius"), label=args.get("label"), row=row)
        return False

    def _done(self, what: str, args: Mapping[str, Any]) -> bool:
        """Do one thing; return whether the page has to show an image anew."""
        found, self.touched = self.labelling, True
        match what:
            case "give":
                found.give(args.get("label"))
            case "paint":
                found.paint(args.get("path"), radius=args.get("radius"), label=args.get("label"))
            case "accept" if self._brushes and self.proposal is not None:
                mask, wanted = found.mask, mask_of(self.proposal, found.classes, found.size)
                mask[mask == VOID] = wanted[mask == VOID]
                found.give(label_of(mask, found.classes))
                return True
            case "accept" if self.proposal is not None:
                found.give(self.proposal)
            case "class":
                found.add_class(str(args.get("name"))[:1000])
                self._tell_classes()
            case "undo":
                found.undo()
                return True
            case "previous" | "next":
                found.go(-1 if what == "previous" else 1)
                return True
            case "skip":
                found.go(1)
                found.go_to_unlabelled()
                return True
        if args.get("further"):
            found.go_to_unlabelled()
        return bool(args.get("further"))

    async def _order(self, by: str) -> None:
        """Put the images in another order; what takes long shows its progress."""
        self.ordering.stop()
        found = self.labelling
        if by == beginning.BY_CHANCE:
            found.shuffle()
        elif by == beginning.AS_FOUND or self.bundle is None:
            found.put_first(found.pool.part.names)
        else:
            background_tasks.create(self._order_by(by, self.bundle))
            return
        self.order_told.set_text("")
        await self._show()

    async def _order_by(self, by: str, bundle: Bundle) -> None:
        found, ordering = self.labelling, Ordering()
        self.ordering = ordering
        work = asyncio.ensure_future(ordering.names(bundle, found, by))
        while not (await asyncio.wait([work], timeout=POLL_S))[0]:
            self.order_told.set_text(ordering.told)
        try:
            names = work.result()
        except FoveaError as error:
            self.order_told.set_text(str(error))
            return
        if names is None or self._gone:
            return
        with self.main:
            await self._put_first(names)
        self.order_told.set_text(f"by {by}: {len(names):,} images without a label, the most doubtful first")

    async def _put_first(self, names: list[str]) -> None:
        """Put images first; the one that is looked at stays where its user has begun."""
        found = self.labelling
        before = found.row
        found.put_first(names)
        if self.touched:
            found.place = found.order.index(before)
            ui.run_javascript(f"label.kept({json.dumps(self._counts())})")
        else:
            await self._show()

    async def _train(self) -> None:
        try:
            start = self.opened.inside(self.asked.model) if self.asked.model else self.opened.model
            launcher = launcher_of(self.opened.folder)
            begun = retraining.retrained(self.labelling, launcher, budget=self.budget, start=start)
        except FoveaError as error:
            self.training_told.set_text(str(error))
            return
        background_tasks.create(self._follow(begun))

    async def _follow(self, begun: retraining.Retraining) -> None:
        """Tell of a training until it ends; then its network is the one that is asked."""
        name = begun.run.folder.name
        self.watch._props["href"] = f"/train?{urlencode({'run': f'runs/{name}'})}"
        self.watch.set_visibility(True)
        while not begun.ended and not self._gone:
            self.training_told.set_text(f"{name} has been training for {begun.seconds:.0f} s; this page may be closed")
            await asyncio.sleep(POLL_S)
        if self._gone:
            return
        retraining.STARTED.pop(self.labelling.kept.file, None)
        if begun.fault:
            self.training_told.set_text(f"The training {name} has failed: {begun.fault}")
            return
        model = begun.run.model.relative_to(self.opened.folder).as_posix()
        with self.main:
            ui.navigate.to(beginning.with_model(self.asked, model).address)

    def _leave(self) -> None:
        """Let nothing go on for a page that is closed."""
        self._gone = True
        self.ordering.stop()
