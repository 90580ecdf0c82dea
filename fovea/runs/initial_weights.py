"""The weights that a training begins with: drawn, whitened, or read from a file."""

from pathlib import Path

import torch
from torch import Tensor, nn

from fovea.data.dataset import Part
from fovea.data.sources.archives import Progress
from fovea.display import Display
from fovea.inputs.interface import Preprocessing
from fovea.model.weights import IMAGENET, Origin, load_into, published_file, read_weights
from fovea.plans.plan import Plan
from fovea.training.inference import as_evaluated, spread
from fovea.training.initialisation import initialise, whiten_first_convolution
from fovea.training.seeds import seed_of

WHITENING_IMAGES = 1000


def draw_weights(model: nn.Module, plan: Plan, train: Part, preprocess: Preprocessing) -> None:
    """Give `model` the initial weights of its plan."""
    generator = torch.Generator().manual_seed(seed_of(plan.recipe.seed))
    initialise(model, plan.recipe.initialisation, generator)
    if plan.recipe.whiten:
        images = sample_inputs(train, preprocess, WHITENING_IMAGES)
        whiten_first_convolution(model, images, bias_learns=plan.recipe.whiten_bias)


def sample_inputs(train: Part, preprocess: Preprocessing, count: int) -> Tensor:
    """Return `count` images spread over the train split, (n, C, H, W) float32, as the network gets them."""
    rows = spread(train, count)
    return next(as_evaluated(train, preprocess, torch.device("cpu"), rows=rows, batch=len(rows)))


def start_file(start: str, network: str, *, progress: Progress | None = None) -> Path:
    """Return the file of the weights `start` of a network, downloaded where that is `imagenet` and it is not here."""
    return published_file(network, progress=progress) if start == IMAGENET else Path(start)


def load_start(start: str, model: nn.Module, *, architecture: str, display: Display) -> Origin:
    """Give `model` the weights `start`, say so, and return where they are from; its head stays new where it must."""
    file = start_file(start, architecture, progress=display.fetched)
    origin = load_into(model, read_weights(file), network=architecture, new_head=True)
    head = "; the head is new" if origin.new else ""
    display.note(f"weights: {origin.file}, by the names of {origin.naming}, licence {origin.licence}{head}")
    return origin
