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
    examples: tuple[str, ...]
    """Command lines that its help shows, without `fovea` in front."""

    @property
    def parser(self) -> str:
        """The module that parses its options, with a function of the same name."""
        return f"fovea.cli.{self.name}"

    @property
    def epilog(self) -> str:
        """What stands below its help: its examples, each a paragraph."""
        return "\n\n".join(("Examples:" if len(self.examples) > 1 else "Example:", *_shown(self.examples)))

    @property
    def row(self) -> str:
        """The row of the README's table."""
        usage = self.usage.replace("|", r"\|")
        return f"| `{f'fovea {self.name} {usage}'.rstrip()}` | {self.does} |"


def _shown(examples: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"$ fovea {example}" for example in examples)


COMMANDS = (
    Command(
        "train",
        "DATA",
        "trains a network and writes a run folder with model file and report: "
        "[docs/training.md](docs/training.md), [docs/report.md](docs/report.md); from published weights: "
        "[docs/pretrained.md](docs/pretrained.md); growing a shallower network, unsupervised pretraining: "
        "[docs/growing.md](docs/growing.md)",
        ("fovea.jobs.train:train", "fovea.jobs.preview:preview", "fovea.jobs.find_lr:find_lr"),
        ("train digits", "train photos --budget 5m --out runs/photos"),
    ),
    Command(
        "evaluate",
        "MODEL DATA",
        "measures accuracy with its interval, figures per class, confusion and calibration, also over several "
        "views, per slice and on disturbed images: [docs/evaluate.md](docs/evaluate.md); with `--retrieval` how "
        "well images of a class find each other: [docs/labels.md](docs/labels.md)",
        ("fovea.jobs.evaluate:evaluate", "fovea.jobs.retrieval:evaluate_retrieval"),
        ("evaluate runs/photos photos --html evaluation.html", "evaluate runs/photos photos --min-accuracy 0.9"),
    ),
    Command(
        "predict",
        "MODEL IMAGE...",
        "prints the most probable classes of files, folders and globs as text, JSON or CSV: "
        "[docs/evaluate.md](docs/evaluate.md#predict)",
        ("fovea.jobs.predict:predict",),
        ("predict runs/photos cat.jpg", "predict runs/photos new/ --csv"),
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
        ("explain runs/photos cat.jpg", "explain runs/photos --mistakes photos"),
    ),
    Command(
        "style",
        "CONTENT STYLE",
        "makes an image with the content of one image and the style of another: "
        "[docs/explain.md](docs/explain.md#style)",
        ("fovea.jobs.style:style",),
        ("style beach.jpg painting.jpg --model vgg16.safetensors",),
    ),
    Command(
        "trust",
        "MODEL DATA",
        "tests which explanation methods can be believed for this network: insertion and deletion, the sanity "
        "check, boxes, a planted cue: [docs/explain.md](docs/explain.md#is-it-to-be-believed)",
        ("fovea.jobs.trust:trust",),
        ("trust runs/photos photos --images 8",),
    ),
    Command(
        "compare",
        "RUN...",
        "compares runs, seeds of one recipe as one group: results with intervals, time, arithmetic, curves: "
        "[docs/evaluate.md](docs/evaluate.md#comparing-runs)",
        ("fovea.jobs.compare:compare",),
        ("compare runs", "compare runs/first runs/second --html compare.html"),
    ),
    Command(
        "check",
        "DATA",
        "finds damaged files, duplicates, leaks between splits, label conflicts and imbalance, with a page: "
        "[docs/check.md](docs/check.md)",
        ("fovea.jobs.check:check",),
        ("check photos --html check.html", "check photos --strict"),
    ),
    Command(
        "index",
        "MODEL DATA",
        "stores the embedding of every image in a file to search in; only new or changed files are embedded "
        "again: [docs/search.md](docs/search.md)",
        ("fovea.jobs.index:index",),
        ("index runs/photos photos --out photos.fovea-index",),
    ),
    Command(
        "search",
        "INDEX IMAGE...",
        "finds the images of an index that are most similar to others for a network, exactly or approximately, as "
        "a table or a page: [docs/search.md](docs/search.md#search)",
        ("fovea.jobs.search:search",),
        ("search photos.fovea-index cat.jpg --html found.html",),
    ),
    Command(
        "label",
        "MODEL DATA",
        "lists the images to label next: where the network is least certain, or what is least like its labels: "
        "[docs/labels.md](docs/labels.md)",
        ("fovea.jobs.label:label",),
        ("label runs/photos unlabelled --out labels.csv --count 50",),
    ),
    Command(
        "duplicates",
        "MODEL DATA",
        "finds copies in a data set by their pixels and by their embeddings, also rotated and recoloured ones: "
        "[docs/search.md](docs/search.md#duplicates)",
        ("fovea.jobs.duplicates:duplicates",),
        ("duplicates runs/photos photos --html duplicates.html",),
    ),
    Command(
        "models",
        "[PATTERN]",
        "lists the networks with year, authors, parameters, multiply-adds and published accuracy; filters, "
        "`--tree`, `--plot`: [docs/zoo.md](docs/zoo.md)",
        ("fovea.jobs.models:models",),
        ("models resnet", "models --year 2014-2016 --max-params 10M"),
    ),
    Command(
        "build",
        "NAME|PATTERN",
        "writes a network as a model file, with published weights or from the letters of lecture 000: "
        "[docs/zoo.md](docs/zoo.md), [docs/pretrained.md](docs/pretrained.md)",
        ("fovea.jobs.build:build_file",),
        ("build resnet18 --classes 10", "build resnet18 --weights imagenet"),
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
        ("measure resnet18 --depth 1", "measure net.py:Net --input 3x64x64", "measure --compare resnet18 mobilenet_v2"),
    ),
    Command(
        "filter",
        "IMAGE|SIGNAL.csv",
        "applies a classic kernel to an image or a signal and draws input, kernel and output: "
        "[docs/filters.md](docs/filters.md)",
        ("fovea.jobs.filter:filter",),
        ("filter cat.jpg --kernel sobel-x",),
    ),
    Command(
        "shrink",
        "MODEL DATA",
        "makes a network smaller and faster step by step, and measures it after each step: "
        "[docs/shrink.md](docs/shrink.md)",
        ("fovea.jobs.shrink:shrink",),
        ("shrink runs/photos photos --steps fold,prune=0.5,finetune=5",),
    ),
    Command(
        "export",
        "MODEL",
        "writes a network for other programs and proves that it computes the same: ONNX with preprocessing, "
        "decoding and card inside: [docs/ship.md](docs/ship.md); a page for the browser, files for phones and "
        "boards, for Triton: [docs/phones-and-boards.md](docs/phones-and-boards.md)",
        ("fovea.jobs.export:export",),
        ("export runs/photos --out photos.onnx", "export runs/photos --int8 photos"),
    ),
    Command(
        "serve",
        "MODEL...",
        "serves models over HTTP: predictions in batches, a page for uploads, metrics: [docs/serve.md](docs/serve.md)",
        ("fovea.jobs.serve:serve",),
        ("serve photos.onnx --port 8000",),
    ),
    Command(
        "studio",
        "[MODEL|RUN|DATA]",
        "opens the network in the browser, live: steer and watch a training, see every layer and unit for any "
        "image, compare explanations, change and measure networks, label images, follow the course: "
        "[docs/studio.md](docs/studio.md), for lecturers [docs/teaching.md](docs/teaching.md)",
        ("fovea.studio.start:open_studio",),
        ("studio runs/photos",),
    ),
    Command(
        "errata",
        "[DECK]",
        "lists where the slides of the lectures are wrong, each with the command that shows the right figure: "
        "[docs/studio.md](docs/studio.md#errata)",
        ("fovea.jobs.errata:errata",),
        ("errata 001",),
    ),
    Command(
        "info",
        "MODEL",
        "prints what a model file is and how good it is: [docs/bundle.md](docs/bundle.md)",
        ("fovea.jobs.info:info",),
        ("info runs/photos", "info runs/photos --all"),
    ),
    Command(
        "doctor",
        "",
        "shows what this machine has, and what is missing for which command",
        ("fovea.jobs.doctor:doctor",),
        ("doctor",),
    ),
    Command(
        "cache",
        "",
        "lists and clears what is kept to save time: decoded images, unpacked archives, downloads",
        ("fovea.jobs.cache:cache",),
        ("cache", "cache --clear"),
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
