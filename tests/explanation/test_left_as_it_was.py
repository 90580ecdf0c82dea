"""Whatever is asked of a network, and however it ends, no hook, no gradient and no mode of it is changed.

Methods of attribution have their own contract: `attribution/test_every_method.py`.
"""

import numpy as np
import pytest
import torch
from small_networks import images, same_state, state
from torch import nn

from fovea.explanation.attribution.behind import Behind
from fovea.explanation.attribution.cam import grad_cam
from fovea.explanation.attribution.methods import METHODS
from fovea.explanation.attribution.occlusion import occlusion_grid
from fovea.explanation.attribution.rectified import project
from fovea.explanation.features.channels import feature_maps, filters, responses
from fovea.explanation.features.concepts import tcav
from fovea.explanation.features.craft import craft
from fovea.explanation.features.embedding import embed
from fovea.explanation.features.strongest import excited, strongest
from fovea.explanation.maximise.search import Search, channel, maximise
from fovea.explanation.maximise.style import Transfer, transfer_style
from fovea.explanation.objective import Objective
from fovea.explanation.outputs import gradient_at
from fovea.explanation.target_layer import check_map, target_layer
from fovea.explanation.trust.curves import areas_of
from fovea.explanation.trust.sanity import sanity_check
from fovea.explanation.trust.table import Checks, trust

X = images(3).float()
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 3), np.uint8)
SCALE = {"mean": (0.5,) * 3, "std": (0.2,) * 3}
ONE = Objective(answers=torch.tensor([1]))
QUICK = Checks(steps=3, sanity_steps=2, sanity_images=1)


class Small(nn.Module):
    """Fails in the middle of a pass, when it has passed so often."""

    def __init__(self):
        super().__init__()
        self.first, self.relu, self.second = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3)
        self.norm, self.last = nn.BatchNorm2d(5), nn.ReLU(inplace=True)
        self.pool, self.flat, self.dense = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4)
        self.left = -1

    def forward(self, x):
        x = self.relu(self.first(x))
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.dense(self.flat(self.pool(self.last(self.norm(self.second(x))))))


def inputs(pixels):
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255


def excited_by_most(model):
    return excited(model, strongest(model, [X], "relu", count=1), 0, PIXELS, inputs, project=project)


ASKED = {
    "filters": lambda model: filters(model, X),
    "feature_maps": lambda model: feature_maps(model, X, "second"),
    "responses": lambda model: responses(model, X.split(1), "relu"),
    "strongest": excited_by_most,
    "tcav": lambda model: tcav(model, X, ONE, layer="relu", concepts={"c": X}, randoms=[X.flip(2), X.flip(3)]),
    "craft": lambda model: craft(model, X, ONE, layer="last", concepts=2),
    "embed": lambda model: embed(model, X.split(1)),
    "maximise": lambda model: maximise(model, channel("second", 1), (1, 12, 12, 3), search=Search(steps=3), **SCALE),
    "transfer_style": lambda model: transfer_style(model, PIXELS[0], PIXELS[1], transfer=Transfer(steps=3), **SCALE),
    "gradient_at": lambda model: gradient_at(model, X, ONE, "second"),
}
"""What sets evaluation mode itself."""

IN_EVALUATION = {
    "target_layer": lambda model: target_layer(model, X),
    "check_map": lambda model: check_map(model, X, "relu"),
    "project": lambda model: project(model, X, "relu", 1),
    "behind": lambda model: Behind(model, X[:1], "second").one_image,
    "occlusion_grid": lambda model: occlusion_grid(model, X[:1], [ONE], patches=(3, 5)),
    "areas_of": lambda model: areas_of(model, X, X[:, 0], ONE, steps=3, batch=4, seed=0),
    "sanity_check": lambda model: sanity_check(model, X, ONE, METHODS["gradcam"], steps=3),
    "trust": lambda model: [*trust(model, X, ONE, [METHODS["gradcam"], METHODS["saliency"]], checks=QUICK)],
}


@pytest.mark.parametrize("name", [*ASKED, *IN_EVALUATION])
def test_an_interruption_in_any_pass_leaves_nothing_behind(name):
    torch.manual_seed(0)
    asked, model = {**ASKED, **IN_EVALUATION}[name], Small().train(name in ASKED)
    model.pool.eval()  # not all of one mode
    modes, before, kept, passes = [m.training for m in model.modules()], state(model), X.clone(), 0
    while passes < 25:
        model.left = passes
        try:
            asked(model)
        except KeyboardInterrupt:
            assert same_state(before, state(model)) and modes == [m.training for m in model.modules()]
            assert torch.is_grad_enabled() and not torch.overrides._get_current_function_mode_stack()
            passes += 1
        else:
            break
    assert passes >= 1
    model.left = -1
    asked(model)
    assert same_state(before, state(model)) and modes == [m.training for m in model.modules()] and torch.equal(X, kept)


def test_a_hook_of_someone_else_stays():
    model, seen = Small().eval(), []
    model.relu.register_forward_hook(lambda *_: seen.append(1))
    grad_cam(model, X, ONE)
    assert len(model.relu._forward_hooks) == 1 and seen
