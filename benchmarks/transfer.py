"""Photographs of a few classes, from published weights: `fovea train` against what people do, in the same time.

    python benchmarks/transfer.py FOLDER... --weights mobilenet_v2.pth [--minutes 2] [--clock cpu] [--threads 1]

FOLDER has `train/` and `test/`, each with a folder per class. All sides begin with the same weights:

- `fovea`: the plan that `fovea train --from WEIGHTS --budget` chooses; validation is set aside within it.
- `loop`: the loop of PyTorch's tutorial on transfer learning: random resized crops of 224 pixels, mirrored or not, SGD
  with momentum 0.9, batch 4, the rate divided by ten after 7/25 of the time and again; all of the train part, the last
  weights. Scored on the centre of 224 of 256 pixels. Two things differ, as the batch norms of the weights at hand are
  folded into the convolutions: they keep their statistics, and the rate is 0.0001; at the tutorial's 0.001 the loop
  ends in one class.
- `regression`: logistic regression on features of the centres of 224 pixels, standardised, its strength by three-fold
  cross-validation, all of the train part. It takes what time it needs.

The peers are told the normalisation of the weights (`--mean`, `--std`); fovea has to find it. All is counted from the
start: decoding, planning, training. Every answer is kept in the record, so that differences are paired by image.
"""

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

from fovea import registry
from fovea.metrics.resampling import mean_interval
from fovea.model.reading import read_weights
from fovea.model.weights import load_into, network_of

STORED, SIZE, BATCH = 256, 224, 4
MOMENTUM = 0.9
DROPS = 7 / 25
"""The rate is divided by ten whenever so much of the time is over."""


def main() -> None:
    parser = contest.parser_of(__doc__, "classes", record="transfer.jsonl")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--mean", type=float, default=0.5, help="what the weights want, told to the peers")
    parser.add_argument("--std", type=float, default=0.5)
    parser.add_argument("--rate", type=float, default=0.0001, help="of the loop")
    parser.add_argument("--only", nargs="*", default=["fovea", "loop", "regression"])
    given, record, terms = contest.opened(parser)
    lines: dict[str, list[dict[str, Any]]] = {}
    for data in given.data:
        with tempfile.TemporaryDirectory() as folder:
            for method, run in sides(data, terms, given, Path(folder)).items():
                if method in given.only:
                    lines.setdefault(method, []).append(record.once(contest.key_of(data, method, terms), run))
        table(Path(data).name, {method: own[-1] for method, own in lines.items()})


def sides(data: str, terms: contest.Terms, given: Any, folder: Path) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return how the line of each method is made."""
    wanted = contest.samples(data, "classes")
    classes = sorted(path.name for path in (Path(data) / "train").iterdir() if path.is_dir())

    def line(found: Sequence[str], note: dict[str, Any]) -> dict[str, Any]:
        right = [answer == sample.file.parent.name for answer, sample in zip(found, wanted, strict=True)]
        return {**note, "images": len(right), "error": 1 - sum(right) / len(right), "right": list(map(int, right))}

    def ours() -> dict[str, Any]:
        side = contest.train_ours(data, terms, ("--from", given.weights), folder)
        return line([answer.label for answer in contest.answers(side.predictor, wanted)], side.note)

    def loop() -> dict[str, Any]:
        torch.manual_seed(terms.seed)
        torch.set_num_threads(terms.threads)
        began = terms.used_s()
        x, y = pixels(Path(data) / "train", classes)
        model, steps = fine_tuned(body(given, len(classes)), x, y, terms, given, began=began)
        found = [classes[row] for row in outputs(model, [sample.file for sample in wanted], given).argmax(1)]
        return line(found, {"seconds": terms.used_s() - began, "steps": steps})

    def regression() -> dict[str, Any]:
        torch.set_num_threads(terms.threads)
        began = terms.used_s()
        model = body(given, len(classes))
        model.head.logits = nn.Identity()
        x, y = pixels(Path(data) / "train", classes)
        features = outputs_of(model, centres(x), given)
        answer = regressed(features, y.numpy())
        test = outputs(model, [sample.file for sample in wanted], given)
        return line([classes[row] for row in answer(test)], {"seconds": terms.used_s() - began})

    return {"fovea": ours, "loop": loop, "regression": regression}


def body(given: Any, classes: int) -> nn.Module:
    """Return the network with the weights, and a new head."""
    network = network_of(given.weights) or ""
    model = registry.build(network, classes=classes)
    load_into(model, read_weights(given.weights), network=network, new_head=True)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def square(file: Path) -> NDArray[np.uint8]:
    """Return the centre of an image whose shorter side has become 256 pixels."""
    with Image.open(file) as image:
        image = image.convert("RGB")
        scale = STORED / min(image.size)
        image = image.resize((max(STORED, round(image.width * scale)), max(STORED, round(image.height * scale))))
        left, top = (image.width - STORED) // 2, (image.height - STORED) // 2
        return np.asarray(image.crop((left, top, left + STORED, top + STORED)))


def pixels(folder: Path, classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return images (N, 3, 256, 256) uint8 and labels (N,) of a folder."""
    rows = [(file, i) for i, name in enumerate(classes) for file in sorted((folder / name).iterdir())]
    images = torch.from_numpy(np.stack([square(file) for file, _ in rows])).permute(0, 3, 1, 2)
    return images, torch.tensor([label for _, label in rows])


def centres(x: Tensor) -> Tensor:
    edge = (STORED - SIZE) // 2
    return x[:, :, edge : edge + SIZE, edge : edge + SIZE]


def normalised(x: Tensor, given: Any) -> Tensor:
    return ((x.float() / 255 - given.mean) / given.std).contiguous(memory_format=torch.channels_last)


def resized_crops(x: Tensor, generator: torch.Generator) -> Tensor:
    """Return crops of 8 % to all of each image's area, of sides 3:4 to 4:3, at 224 pixels, half of them mirrored."""
    crops = []
    for image in x:
        area, ratio, left, top, mirrored = torch.rand(5, generator=generator).tolist()
        area, ratio = (0.08 + 0.92 * area) * STORED**2, np.exp((2 * ratio - 1) * np.log(4 / 3))
        width, height = (min(STORED, round(float(np.sqrt(side)))) for side in (area * ratio, area / ratio))
        x0, y0 = int(left * (STORED - width + 1)), int(top * (STORED - height + 1))
        crop = image[:, y0 : y0 + height, x0 : x0 + width].float()
        crop = F.interpolate(crop[None], size=(SIZE, SIZE), mode="bilinear", antialias=True)[0]
        crops.append(crop.flip(2) if mirrored < 0.5 else crop)
    return torch.stack(crops)


def fine_tuned(
    model: nn.Module, x: Tensor, y: Tensor, terms: contest.Terms, given: Any, *, began: float
) -> tuple[nn.Module, int]:
    """Return the network after the loop, which ends when the time since `began` is up, and how many steps it took."""
    generator = torch.Generator().manual_seed(terms.seed)
    optimiser = torch.optim.SGD(model.parameters(), lr=given.rate, momentum=MOMENTUM)
    begun, steps = terms.used_s(), 0
    left = 60 * terms.minutes - (begun - began)
    for indices in contest.batches(len(x), BATCH):
        progress = (terms.used_s() - begun) / left
        if progress >= 1:
            break
        optimiser.param_groups[0]["lr"] = given.rate * 0.1 ** int(progress / DROPS)
        optimiser.zero_grad()
        images = normalised(resized_crops(x[indices], generator), given)
        F.cross_entropy(in_training(model)(images), y[indices]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        steps += 1
    return model, steps


def in_training(model: nn.Module) -> nn.Module:
    """Return the network in training, with the statistics that it came with: those of these weights are folded."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return model


@torch.inference_mode()
def outputs_of(model: nn.Module, x: Tensor, given: Any) -> NDArray[np.float32]:
    found: NDArray[np.float32] = torch.cat([model.eval()(normalised(rows, given)) for rows in x.split(32)]).numpy()
    return found


def outputs(model: nn.Module, files: Sequence[Path], given: Any) -> NDArray[np.float32]:
    """Return the outputs (N, K) of the network for files."""
    x = torch.from_numpy(np.stack([square(file) for file in files])).permute(0, 3, 1, 2)
    return outputs_of(model, centres(x), given)


def regressed(x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """Return the answers of logistic regression on features (N, D)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    strengths = {"logisticregression__C": [0.0001, 0.001, 0.01, 0.1, 1.0]}
    model = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)), strengths, cv=3).fit(x, y)
    predict: Callable[[NDArray[np.float32]], NDArray[Any]] = model.predict
    return predict


def table(name: str, lines: dict[str, dict[str, Any]]) -> None:
    """Print the errors on a folder, and how far fovea's is from each peer's, with the paired interval."""
    print(f"{name}: errors of {next(iter(lines.values()))['images']} images")
    for method, line in lines.items():
        print(f"  {method:10} {line['error']:6.2%}  {line['seconds']:5.0f} s")
    ours = np.array(lines["fovea"]["right"]) if "fovea" in lines else None
    for method, line in lines.items():
        if ours is None or method == "fovea":
            continue
        differences = ours - np.array(line["right"])
        low, high = mean_interval(-100.0 * differences)
        print(f"  fovea less {method}: {-100 * differences.mean():+.2f} points of error ({low:+.2f} to {high:+.2f})")


if __name__ == "__main__":
    main()
