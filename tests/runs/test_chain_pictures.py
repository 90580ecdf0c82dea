"""What a step has found out, beside the result."""

from PIL import Image
from torch import nn

from fovea.compression.pruning.prune import Pruned
from fovea.compression.pruning.sensitivity import Curve, Sensitivity
from fovea.compression.step import Done
from fovea.runs.chain.pictures import picture_of

FOUND = Sensitivity(base=0.5, curves=(Curve(name="stem.conv", channels=8, points=((8, 0.5), (4, 1.5))),))


def test_what_pruning_has_measured_is_drawn_beside_the_result(tmp_path):
    done = Pruned(model=nn.Identity(), before=2.0, after=1.0, sensitivity=FOUND)
    path = picture_of(done, tmp_path / "small.safetensors", step=2)
    assert path == tmp_path / "small.2-sensitivity.png"
    with Image.open(path) as picture:
        assert picture.width > 400


def test_steps_that_measured_nothing_have_no_picture(tmp_path):
    pruned = Pruned(model=nn.Identity(), before=2.0, after=1.0)
    assert all(picture_of(done, tmp_path / "a.b", step=1) is None for done in (pruned, Done(model=nn.Identity())))
    assert not list(tmp_path.iterdir())
