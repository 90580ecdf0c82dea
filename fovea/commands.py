"""The one table of commands: the command line, `fovea.__all__` and the README's list are made of it.

A command is a file in `cli/`, which parses and prints, a function in `jobs/`, which does it, and a row here.
"""

from typing import NamedTuple


class Command(NamedTuple):
    """One command."""

    name: str
    usage: str
    """What stands behind the name: the arguments, without options."""
    does: str
    """What it does, for the README, in Markdown."""
    functions: tuple[str, ...]
    """What the package offers of it in Python, as `module:function`; the first is the command itself."""

    @property
    def parser(self) -> str:
        """The module that parses its options, with a function of the same name."""
        return f"fovea.cli.{self.name}"

    @property
    def row(self) -> str:
        """The row of the README's table."""
        usage = self.usage.replace("|", r"\|")
        return f"| `{f'fovea {self.name} {usage}'.rstrip()}` | {self.does} |"


COMMANDS = (
    Command(
        "train",
        "DATA",
        "trains a network and writes a run folder with model file and report: "
        "[docs/training.md](docs/training.md), [docs/report.md](docs/report.md); from published weights: "
        "[docs/pretrained.md](docs/pretrained.md); growing a shallower network, unsupervised pretraining: "
        "[docs/growing.md](docs/growing.md)",
        ("fovea.jobs.train:train", "fovea.jobs.preview:preview", "fovea.jobs.find_lr:find_lr"),
    ),
    Command(
        "evaluate",
        "MODEL DATA",
        "measures accuracy with its interval, figures per class, confusion and calibration, also over several "
        "views, per slice and on disturbed images: [docs/evaluate.md](docs/evaluate.md); with `--retrieval` how "
        "well images of a class find each other: [docs/labels.md](docs/labels.md)",
        ("fovea.jobs.evaluate:evaluate", "fovea.jobs.retrieval:evaluate_retrieval"),
    ),
    Command(
        "predict",
        "MODEL IMAGE...",
        "prints the most probable classes of files, folders and globs as text, JSON or CSV: "
        "[docs/evaluate.md](docs/evaluate.md#predict)",
        ("fovea.jobs.predict:predict",),
    ),
    Command(
        "explain",
        "MODEL IMAGE...",
        "draws where in an image the network finds its answer, by many methods, or its worst mistakes on a data "
        "set; with `--show` filters, feature maps and what excites a channel: [docs/explain.md](docs/explain.md)",
        (
            "fovea.jobs.explain:explain",
            "fovea.jobs.picture:picture",
            "fovea.explanation.attribution.attribute:attribute",
        ),
    ),
    Command(
        "style",
        "CONTENT STYLE",
        "makes an image with the content of one image and the style of another: "
        "[docs/explain.md](docs/explain.md#style)",
        ("fovea.jobs.style:style",),
    ),
    Command(
        "trust",
        "MODEL DATA",
        "tests which explanation methods can be believed for this network: insertion and deletion, the sanity "
        "check, boxes, a planted cue: [docs/explain.md](docs/explain.md#is-it-to-be-believed)",
        ("fovea.jobs.trust:trust",),
    ),
    Command(
        "compare",
        "RUN...",
        "compares runs, seeds of one recipe as one group: results with intervals, time, arithmetic, curves: "
        "[docs/evaluate.md](docs/evaluate.md#comparing-runs)",
        ("fovea.jobs.compare:compare",),
    ),
    Command(
        "check",
        "DATA",
        "finds damaged files, duplicates, leaks between splits, label conflicts and imbalance, with a page: "
        "[docs/check.md](docs/check.md)",
        ("fovea.jobs.check:check",),
    ),
    Command(
        "index",
        "MODEL DATA",
        "stores the embedding of every image in a file to search in; only new or changed files are embedded "
        "again: [docs/search.md](docs/search.md)",
        ("fovea.jobs.index:index",),
    ),
    Command(
        "search",
        "INDEX IMAGE...",
        "finds the images of an index that are most similar to others for a network, exactly or approximately, as "
        "a table or a page: [docs/search.md](docs/search.md#search)",
        ("fovea.jobs.search:search",),
    ),
    Command(
        "label",
        "MODEL DATA",
        "lists the images to label next, those that the network is least sure of or has seen least like: "
        "[docs/labels.md](docs/labels.md)",
        ("fovea.jobs.label:label",),
    ),
    Command(
        "duplicates",
        "MODEL DATA",
        "finds copies in a data set by their pixels and by their embeddings, also rotated and recoloured ones: "
        "[docs/search.md](docs/search.md#duplicates)",
        ("fovea.jobs.duplicates:duplicates",),
    ),
    Command(
        "models",
        "[PATTERN]",
        "lists the networks with year, authors, parameters, multiply-adds and published accuracy; filters, "
        "`--tree`, `--plot`: [docs/zoo.md](docs/zoo.md)",
        ("fovea.jobs.models:models",),
    ),
    Command(
        "build",
        "NAME|PATTERN",
        "writes a network as a model file, with published weights or from the letters of lecture 000: "
        "[docs/zoo.md](docs/zoo.md), [docs/pretrained.md](docs/pretrained.md)",
        ("fovea.jobs.build:build_file",),
    ),
    Command(
        "measure",
        "MODEL",
        "measures shapes, parameters, multiply-adds, memory and receptive field of each layer: "
        "[docs/measure.md](docs/measure.md)",
        (
            "fovea.jobs.measure:measure",
            "fovea.jobs.memory:memory",
            "fovea.jobs.latency:latency",
            "fovea.jobs.unit:see_unit",
        ),
    ),
    Command(
        "filter",
        "IMAGE|SIGNAL.csv",
        "applies a classic kernel to an image or a signal and draws input, kernel and output: "
        "[docs/filters.md](docs/filters.md)",
        ("fovea.jobs.filter:filter",),
    ),
    Command(
        "shrink",
        "MODEL DATA",
        "makes a network smaller and faster step by step, and measures it after each step: "
        "[docs/shrink.md](docs/shrink.md)",
        ("fovea.jobs.shrink:shrink",),
    ),
    Command(
        "export",
        "MODEL",
        "writes a network for other programs and proves that it computes the same: ONNX with preprocessing, "
        "decoding and card inside: [docs/ship.md](docs/ship.md); a page for the browser, files for phones and "
        "boards, for Triton: [docs/phones-and-boards.md](docs/phones-and-boards.md)",
        ("fovea.jobs.export:export",),
    ),
    Command(
        "serve",
        "MODEL...",
        "serves models over HTTP: predictions in batches, a page for uploads, metrics: [docs/serve.md](docs/serve.md)",
        ("fovea.jobs.serve:serve",),
    ),
    Command(
        "studio",
        "[MODEL|RUN|DATA]",
        "opens the network in the browser, live: steer and watch a training, see every layer and unit for any "
        "image, compare explanations, change and measure networks, label images, follow the course: "
        "[docs/studio.md](docs/studio.md), for lecturers [docs/teaching.md](docs/teaching.md)",
        ("fovea.studio.start:open_studio",),
    ),
    Command(
        "errata",
        "[DECK]",
        "lists where the slides of the lectures are wrong, each with the command that shows the right figure: "
        "[docs/studio.md](docs/studio.md#errata)",
        ("fovea.jobs.errata:errata",),
    ),
    Command(
        "info",
        "MODEL",
        "prints the card of a model file: [docs/bundle.md](docs/bundle.md)",
        ("fovea.jobs.info:info",),
    ),
    Command(
        "doctor",
        "",
        "shows what this machine has, and what is missing for which command",
        ("fovea.jobs.doctor:doctor",),
    ),
    Command(
        "cache",
        "",
        "lists and clears what is kept to save time: decoded images, unpacked archives, downloads",
        ("fovea.jobs.cache:cache",),
    ),
)

FURTHER = (
    "fovea.model.bundle:Bundle",
    "fovea.model.bundle:load",
    "fovea.model.weights:build",
    "fovea.tasks.prediction:Prediction",
    "fovea.data.sources.source:find",
    "fovea.errors:FoveaError",
    "fovea.registry:names",
)
"""What the package offers beside its commands."""


def homes() -> dict[str, str]:
    """Return the module of every public name of the package."""
    offered = [function for command in COMMANDS for function in command.functions]
    pairs = (entry.partition(":") for entry in (*offered, *FURTHER))
    return {name: module for module, _, name in pairs}
