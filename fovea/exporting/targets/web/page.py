"""The page around a network: facts from its card, its own scripts, and rules that let it reach no other host."""

import base64
import gzip
import hashlib
import importlib.util
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import fovea
from fovea.card import Card
from fovea.exporting.folders import MARK
from fovea.exporting.targets import card_file
from fovea.exporting.targets.web.runtime_files import RuntimeFiles
from fovea.preprocess import Preprocess
from fovea.tasks.task import Task

PARTS = Path(__file__).parent / "page"
MODULES = (
    *("suppression", "decoding", "answers", "pixels", "resize", "placed", "sources", "network", "camera", "drawing"),
    *("overlay", "placing", "view", "main"),
)
"""The scripts of the page, each after those that it imports."""
MODEL, RUNTIME = "model.onnx", "onnxruntime"
DRAWN = 64
"""Grey inputs of so many pixels a side at most are drawn by hand."""
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./\w+\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=function|async function|class)", re.MULTILINE)
_FROM_FILE = (
    'if (location.protocol === "file:") document.getElementById("loading").textContent = '
    '"This page needs a web server. On this machine: python -m http.server, in its folder. '
    'Or export it as one file, by --single-file.";'
)
_RULES = (
    "default-src 'none'; {scripts}; {styles}; {connect}img-src 'self' blob: data:; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, kw_only=True)
class Page:
    """A network as a page."""

    card: Card
    """With the key `export`; of a network of images."""
    model: bytes
    """The ONNX file."""
    runtime: RuntimeFiles
    title: str

    def folder(self) -> dict[str, bytes]:
        """Return the files of a folder, by their path in it, `index.html` first."""
        scripts = {f"{name}.js": (PARTS / f"{name}.js").read_bytes() for name in ("runtime", *MODULES)}
        tags = Markup(  # noqa: S704 (nothing from outside is in it)
            f"<script>{_FROM_FILE}</script>\n"
            '<script type="module" src="runtime.js"></script>\n<script type="module" src="main.js"></script>'
        )
        policy = _RULES.format(
            scripts=f"script-src 'self' {_digest(_FROM_FILE)} 'wasm-unsafe-eval'",
            styles="style-src 'self'",
            connect="connect-src 'self'; ",
        )
        page = self._rendered(
            inside=False, policy=policy, scripts=tags, styles=Markup('<link rel="stylesheet" href="style.css">')
        )
        return {
            "index.html": page,
            "style.css": (PARTS / "style.css").read_bytes(),
            **scripts,
            MODEL: self.model,
            MARK: card_file(self.card),
            **self._runtime_parts(),
        }

    def single_file(self) -> bytes:
        """Return one HTML file with everything inside."""
        style = (PARTS / "style.css").read_text("utf-8")
        scripts = [self.runtime.as_global.decode(), bundled(MODULES)]
        policy = _RULES.format(
            scripts=f"script-src {' '.join(map(_digest, scripts))} 'wasm-unsafe-eval'",
            styles=f"style-src {_digest(style)}",
            connect="",
        ).replace("'self' ", "")
        tags = "\n".join(f'<script type="module">{script}</script>' for script in scripts)
        return self._rendered(
            inside=True,
            policy=policy,
            scripts=Markup(tags),  # noqa: S704 (the page's own files, and the runtime)
            styles=Markup(f"<style>{style}</style>"),  # noqa: S704
            runtime_bytes=_base64(gzip.compress(self.runtime.module, 6, mtime=0)),
            model_bytes=_base64(self.model),
        )

    def _runtime_parts(self) -> dict[str, bytes]:
        """Return the files of the runtime, with its licence and those of what it is made of."""
        parts = {
            "ort.wasm.bundle.min.js": self.runtime.script,
            "ort-wasm-simd-threaded.wasm": self.runtime.module,
            "LICENSE": self._licence.encode(),
        }
        found = importlib.util.find_spec("onnxruntime")
        notices = Path(found.origin).with_name("ThirdPartyNotices.txt") if found and found.origin else None
        if notices and notices.is_file():
            parts["ThirdPartyNotices.txt"] = notices.read_bytes()
        return {f"{RUNTIME}/{name}": content for name, content in parts.items()}

    @cached_property
    def _licence(self) -> str:
        return (PARTS / "onnxruntime-LICENSE.txt").read_text("utf-8")

    def _rendered(self, *, inside: bool, **values: Any) -> bytes:
        environment = Environment(
            loader=FileSystemLoader(PARTS, encoding="utf-8"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        config = self.config(inside=inside)
        target = self.card.target
        page = environment.get_template("page.html").render(
            version=fovea.__version__,
            title=self.title,
            lead=f"{_lead(target)} Images stay on this device.",
            draws=config["draws"],
            places=config["places"],
            inside=inside,
            megabytes=f"{(len(self.model) + len(self.runtime.module)) / 1e6:.1f}",
            input=_input_text(self.preprocess),
            facts=list(facts(self.card, model_bytes=len(self.model))),
            classes=target.classes,
            class_noun=_nouns(target),
            licences=_licences(self.card),
            runtime_licence=self._licence,
            runtime_version=self.runtime.version,
            config=Markup(json.dumps(config).replace("<", r"\u003c")),  # noqa: S704 (no tag begins in it)
            **values,
        )
        return page.encode("utf-8", "backslashreplace")

    @property
    def preprocess(self) -> Preprocess:
        """How an image becomes the input."""
        found = self.card.preprocess
        if not isinstance(found, Preprocess):
            raise TypeError("a page can be written only for networks that take images")
        return found

    def config(self, *, inside: bool) -> dict[str, Any]:
        """Return what the scripts know of the network, as JSON values."""
        target = self.card.target
        places = target.on_page()
        return {
            "classes": list(target.classes),
            "several": target.several,
            "ordered": target.ordered,
            "target": target.card_fields().get("target", {}),
            "places": places,
            "preprocess": self.preprocess.to_dict(),
            "draws": self.preprocess.channels == 1 and max(self.preprocess.size) <= DRAWN and not places,
            "light_ink": self.preprocess.mean[0] < 0.5,
            "inside": inside,
            "model_file": MODEL,
            "model_bytes": len(self.model),
            "runtime_file": f"{RUNTIME}/ort-wasm-simd-threaded.wasm",
            "runtime_bytes": len(self.runtime.module),
        }


def facts(card: Card, *, model_bytes: int) -> Iterable[tuple[str, str]]:
    """Yield what a person may want to know of a network, as names and values."""
    target, export = card.target, card.other.get("export", {})
    yield "Network", card.architecture
    if target.has_classes:
        yield _nouns(target).capitalize(), f"{len(target.classes):,}"
    yield "Input", _input_text(card.preprocess)
    for result in card.results or ():
        yield "Result", target.result_text(result)
    if not card.results:
        yield "Result", "not measured"
    if card.trained_on.name:
        images = card.trained_on.images or {}
        parts = ", ".join(f"{count:,} {part}" for part, count in images.items())
        yield "Learned from", f"{card.trained_on.name}{f' ({parts} images)' if parts else ''}"
    yield "Size", f"{model_bytes / 1e6:.2f} MB, {export.get('precision', 'float32')}"


def _lead(target: Task) -> str:
    """Return what the network does, in a sentence."""
    if lead := target.on_page().get("lead"):
        return str(lead)
    if not target.has_classes:
        return f"Predicts {target.noun} from an image."
    verb = "apply to an image" if target.several else "an image shows"
    return f"Predicts which of {len(target.classes):,} {_nouns(target)} {verb}."


def _nouns(target: Task) -> str:
    """Return what its classes are called."""
    if target.of_objects:
        return target.noun
    return "labels" if target.several else "grades" if target.ordered else "classes"


def bundled(names: Iterable[str]) -> str:
    """Return modules of the page as one, in this order: a module inside a page can import no other."""
    texts = ((PARTS / f"{name}.js").read_text("utf-8") for name in names)
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


def _input_text(preprocess: Any) -> str:
    H, W = preprocess.size
    return f"{W} x {H} pixels, {'grey' if preprocess.channels == 1 else 'colour'}"


def _licences(card: Card) -> list[tuple[str, str]]:
    given = card.licences or {}
    return [(name.capitalize(), str(given.get(name) or "not stated")) for name in ("weights", "data")]


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
