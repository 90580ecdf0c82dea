"""What explaining costs, as a multiple of the network's own passes: Grad-CAM at the last stage, and occlusion.

ResNet-18, 224 x 224 pixels, batch 16. A pass is `model(x)` without gradients, in turn with what it is compared with.
And the seconds in which the image is found that maximises a channel at 28 x 28 pixels, grey, as `maximise` is set.
"""

from time import perf_counter

import torch
from machine import Contestant, arguments, begun, in_turn, print_figures, print_verdict, rate, ratio

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea.devices import using_threads
from fovea.explanation.attribution.cam import grad_cam
from fovea.explanation.attribution.occlusion import occlusion, patches_of
from fovea.explanation.maximise.search import channel, maximise
from fovea.explanation.objective import Objective
from fovea.registry import build, entry
from fovea.training.tuning import available_threads

NETWORK, BATCH, PATCH, STRIDE = "resnet18", 16, 32, 24


def contestants(*, channels_last: bool) -> dict[str, Contestant]:
    """Return what runs: each gives images/s, or for occlusion passes of changed images/s."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    torch.manual_seed(0)
    model = build(NETWORK).eval().to(memory_format=layout)  # type: ignore[call-overload]
    x = torch.randn(BATCH, *entry(NETWORK).input).contiguous(memory_format=layout)
    objective = Objective(answers=torch.arange(BATCH))
    passes = 1 + len(patches_of((224, 224), PATCH, STRIDE).top)

    @torch.no_grad()
    def forward() -> int:
        return len(model(x))

    def cam() -> int:
        return len(grad_cam(model, x, objective, layer="stage4").values)

    def occluded() -> int:
        occlusion(model, x[:1], objective.of(0), patch=PATCH, stride=STRIDE, batch=BATCH)
        return passes

    return {
        "forward": lambda: rate(forward, steps=3, warm_up=1),
        "gradcam": lambda: rate(cam, steps=3, warm_up=1),
        "occlusion": lambda: rate(occluded, steps=1, warm_up=0),
    }


def seconds_of_maximising() -> float:
    """Return the seconds in which the image of a channel of CIFAR's ResNet-20 is found, 28 x 28 pixels, grey."""
    model = build("cifar_resnet20", c_in=1, classes=10).eval()
    began = perf_counter()
    maximise(model, channel("stage2", 3), (1, 28, 28, 1), mean=[0.5], std=[0.5])
    return perf_counter() - began


def main() -> None:
    parser = arguments(__doc__, quick="one round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--default-layout", action="store_true", help="not channels-last")
    args = begun(parser)
    with using_threads(available_threads()):
        rivals = contestants(channels_last=not args.default_layout)
        maximising = seconds_of_maximising()
        figures = in_turn(rivals, rounds=1 if args.quick else args.rounds)
    print_figures(figures, unit="images/s")
    print_verdict("Grad-CAM, passes", ratio(figures["forward"], figures["gradcam"]), at_most=1.15)
    print_verdict("occlusion, share of inference", ratio(figures["occlusion"], figures["forward"]), at_least=0.8)
    print(f"maximising a channel at 28 x 28 pixels: {maximising:.1f} s")


if __name__ == "__main__":
    main()
