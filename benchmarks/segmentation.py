"""Masks: `fovea train` by its own plan against a plain padded U-Net in the usual loop, for the same time.

    python benchmarks/segmentation.py FOLD... [--minutes 10] [--clock cpu] [--record segmentation.jsonl]
    python benchmarks/segmentation.py FOLD --judge val --setting turned    # a candidate of our plan, by validation

FOLD is a folder with `train/` and `test/`, each with `images/` and `masks/`. The plain side: U-Net's figure, padded,
`--width` channels and batch norm, Adam at 1e-3, cross-entropy, batch 4, flips and quarter turns, our input size (or
`--plain-size`), all of the train part. Both are scored on the test images at their own size, all folds together, with
the interval of the difference by a bootstrap over images. Beside them: the commonest class of the train part for all
pixels, and, for two classes, the threshold of Otsu 1979.

`--judge val` never reads the test part: every fourth training image by name is what is scored.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import contest
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.data.sources.source import find
from fovea.metrics.masks import VOID, PixelCounts, dice, mask_interval, mean_iou, pixel_confusion, pixel_counts
from fovea.metrics.resampling import bootstrap_interval
from fovea.preprocess import Preprocess
from fovea.tasks.mask_prediction import MaskPrediction
from fovea.tasks.task import Task

Masks = list[NDArray[np.uint8]]
Score = Callable[[PixelCounts], NDArray[np.float64]]
JUDGED = 4
"""Of so many training images one is scored under `--judge val`."""
TURNED = "augment=flip, affine 180 0.1 0.2, colour 0.2"
SETTINGS: dict[str, tuple[str, ...]] = {
    "plan": (),
    "turned": ("--set", TURNED),
    "fine": ("--size", "512", "--set", "stride=2"),
    "fine-turned": ("--size", "512", "--set", "stride=2", "--set", TURNED),
    "full": ("--size", "512"),
    "full-turned": ("--size", "512", "--set", TURNED),
    "tiles": ("--fit", "tile", "--size", "256"),
    "wide": ("--set", "width=32"),
    "wide-384": ("--set", "width=32", "--size", "384"),
}
"""Candidates of our plan, as options of `fovea train`."""


class PlainUNet(nn.Module):
    """Ronneberger et al. 2015, figure 1, padded, with batch norm, as it is written everywhere."""

    def __init__(self, c_in: int, classes: int, width: int) -> None:
        super().__init__()
        channels = [width * 2**i for i in range(5)]
        self.downs = nn.ModuleList(map(pair, [c_in, *channels[:-1]], channels))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, stride=2) for c in channels[-2::-1])
        self.convs = nn.ModuleList(pair(2 * c, c) for c in channels[-2::-1])
        self.last = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) -> (N, classes, H, W), the sides multiples of 16."""
        skips = []
        for i, down in enumerate(self.downs):
            x = down(F.max_pool2d(x, 2) if i else x)
            skips.append(x)
        for up, conv, skip in zip(self.ups, self.convs, skips[-2::-1], strict=True):
            x = conv(torch.cat([skip, up(x)], dim=1))
        logits: Tensor = self.last(x)
        return logits


def pair(c_in: int, c_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for c in (c_in, c_out):
        layers += [nn.Conv2d(c, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def turned(images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror a whole batch left to right or not, and turn it by quarters."""
    mirrored, quarters = (int(torch.randint(count, (), generator=generator)) for count in (2, 4))
    if mirrored:
        images, masks = images.flip(-1), masks.flip(-1)
    return images.rot90(quarters, (-2, -1)), masks.rot90(quarters, (-2, -1))


def plain_unet(width: int) -> contest.Plain:
    def network(target: Task, geometry: Preprocess) -> nn.Module:
        return PlainUNet(geometry.channels, target.outputs, width)

    return contest.Plain(
        network=network,
        loss=lambda _: lambda logits, masks: F.cross_entropy(logits, masks.long(), ignore_index=VOID),
        optimiser=lambda network: torch.optim.Adam(network.parameters(), lr=1e-3),
        batch=4,
        change=lambda *_: turned,
    )


def truths(wanted: Sequence[contest.Sample]) -> Masks:
    """Return the true masks (h, w) of images, at their own size."""
    masks = []
    for sample in wanted:
        with Image.open(sample.file) as image:
            masks.append(sample.label.read((image.height, image.width)))
    return masks


def counted(truth: Masks, found: Masks, classes: int) -> dict[str, Any]:
    """Return the confusions (K, K) of images, for the record."""
    pairs = zip(truth, found, strict=True)
    return {"confusions": [pixel_confusion(a[None], b[None], classes=classes)[0].tolist() for a, b in pairs]}


def masks_of(side: contest.Trained, wanted: Sequence[contest.Sample], **options: Any) -> Masks:
    answers = contest.answers(side.predictor, wanted, **options)
    return [answer.mask for answer in answers if isinstance(answer, MaskPrediction)]


def otsu(grey: NDArray[np.uint8]) -> float:
    """Return the threshold that parts grey levels best: Otsu 1979, doi:10.1109/TSMC.1979.4310076, equation 18."""
    shares = np.bincount(grey.ravel(), minlength=256) / grey.size
    below, mean = shares.cumsum(), (shares * np.arange(256)).cumsum()
    parted = np.maximum(below * (1 - below), 1e-12)
    between = (mean[-1] * below - mean) ** 2 / parted
    return float(between.argmax())


def baselines(data: str, wanted: Sequence[contest.Sample]) -> dict[str, Masks]:
    """Return the masks of no network at all."""
    train = contest.samples(data, "masks", "train")
    truth = truths(train)
    classes = len(find(data, task="masks").classes)
    shares = np.bincount(np.concatenate([mask.ravel() for mask in truth]), minlength=VOID + 1)[:classes]
    grey = [greys(sample) for sample in wanted]
    found = {"constant": [np.full(image.shape, shares.argmax(), np.uint8) for image in grey]}
    if classes == 2:
        dark = [image <= otsu(image) for image in map(greys, train)]
        right = np.mean([(below == mask).mean() for below, mask in zip(dark, truth, strict=True)])
        darker = int(right > 0.5)  # the class that most of the train part agrees with
        found["otsu"] = [np.where(image <= otsu(image), darker, 1 - darker).astype(np.uint8) for image in grey]
    return found


def greys(sample: contest.Sample) -> NDArray[np.uint8]:
    with Image.open(sample.file) as image:
        return np.asarray(image.convert("L"))


def judged(data: str, folder: Path) -> str:
    """Return a copy of the training images of `data` in which every fourth by name is the test part."""
    copy = folder / Path(data).name
    for kind in ("images", "masks"):
        for i, file in enumerate(sorted((Path(data) / "train" / kind).iterdir())):
            part = copy / ("test" if i % JUDGED == JUDGED - 1 else "train") / kind
            part.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, part / file.name)
    for table in Path(data).glob("*.csv"):
        shutil.copy(table, copy / table.name)
    return str(copy)


def sides(data: str, terms: contest.Terms, given: Any, folder: Path) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return how the line of each method is made."""
    wanted = contest.samples(data, "masks")
    truth, classes = truths(wanted), len(find(data, task="masks").classes)

    def line(found: Masks, note: dict[str, Any]) -> dict[str, Any]:
        names = {"classes": list(find(data, task="masks").classes), "images": [sample.file.name for sample in wanted]}
        return {**note, **names, **counted(truth, found, classes)}

    def ours() -> dict[str, Any]:
        weights = ("--from", given.weights) if given.weights else ()
        side = contest.train_ours(data, terms, (*SETTINGS[given.setting], *weights), folder)
        flipped = masks_of(side, wanted, flip=True)
        return {**line(masks_of(side, wanted), side.note), "flipped": counted(truth, flipped, classes)["confusions"]}

    def plain() -> dict[str, Any]:
        side = contest.train_plain(data, plain_unet(given.width), terms, size=given.plain_size)
        return line(masks_of(side, wanted), {**side.note, "width": given.width})

    made = {"fovea": ours, "plain": plain}
    return made | {name: lambda found=found: line(found, {}) for name, found in baselines(data, wanted).items()}


def table(lines: dict[str, list[dict[str, Any]]]) -> None:
    """Print the scores of each method over all folds, and the difference of the first two with its interval."""
    counts = {name: pooled(own) for name, own in lines.items()}
    if all("flipped" in line for line in lines["fovea"]):
        counts["with flip"] = pooled(lines["fovea"], "flipped")
    classes = next(iter(lines.values()))[0]["classes"]
    rarest = int(next(iter(counts.values())).truth.sum(axis=0).argmin())
    scores: dict[str, Score] = {
        f"Dice of `{classes[rarest]}`": lambda found: dice(found)[..., rarest],
        "mean IoU": mean_iou,
    }
    for title, score in scores.items():
        print(f"{title}, {len(next(iter(counts.values())).hits)} images of {len(lines['fovea'])} folds")
        for name, own in counts.items():
            low, high = mask_interval(own, score)
            print(f"  {name:10} {float(score(own.pooled())):.2%} ({low:.2%} to {high:.2%})")
        if "plain" in counts:
            print(f"  {difference(counts['fovea'], counts['plain'], score)}", flush=True)


def pooled(lines: list[dict[str, Any]], field: str = "confusions") -> PixelCounts:
    """Return the counts (N, K) of all images of several lines."""
    return pixel_counts(np.concatenate([np.array(line[field], np.int64) for line in lines]))


def difference(ours: PixelCounts, plain: PixelCounts, score: Score) -> str:
    """Return by how much ours is better, with the paired interval."""
    low, high = bootstrap_interval(lambda w: score(ours.weighted(w)) - score(plain.weighted(w)), len(ours.hits))
    return f"fovea - plain: {float(score(ours.pooled()) - score(plain.pooled())):+.2%} ({low:+.2%} to {high:+.2%})"


def main() -> None:
    parser = contest.parser_of(__doc__, "masks", record="segmentation.jsonl")
    parser.add_argument("--judge", choices=("test", "val"), default="test")
    parser.add_argument("--setting", choices=sorted(SETTINGS), default="plan")
    parser.add_argument("--from", dest="weights", default="", help="the weights that our side begins with")
    parser.add_argument("--width", type=int, default=16, help="channels of the plain U-Net's first stage")
    parser.add_argument("--plain-size", type=int, default=256, help="input of the plain U-Net in pixels")
    parser.add_argument("--only", nargs="+", help="methods, as fovea plain constant otsu")
    given, record, terms = contest.opened(parser)
    lines: dict[str, list[dict[str, Any]]] = {}
    begun = {"weights": Path(given.weights).name} if given.weights else {}
    keys = {"fovea": {"setting": given.setting, **begun}, "plain": {"size": given.plain_size}}
    for data in given.data:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            shown = judged(data, folder) if given.judge == "val" else data
            for method, made in sides(shown, terms, given, folder).items():
                if not given.only or method in given.only:
                    key = contest.key_of(data, method, terms, judge=given.judge, **keys.get(method, {}))
                    lines.setdefault(method, []).append(record.once(key, made))
    if "fovea" in lines:
        table(lines)


if __name__ == "__main__":
    main()
