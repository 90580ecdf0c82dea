"""`--to ncnn`: `.param` and `.bin` for ncnn on phones and boards, weights in float or half; the card lies beside."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fovea.errors import UsageError, first_line
from fovea.exporting.core import LOGITS
from fovea.exporting.library import optional, silenced
from fovea.exporting.reference import ProofError
from fovea.exporting.targets import Request, Written, card_file
from fovea.exporting.whole import Outputs, Whole, one_by_one, proven_by, refuse
from fovea.inputs.interface import Stored
from fovea.storage import write_atomically
from fovea.zoo.resnet import PaddedIdentity

EXTRA = "ncnn"
INPUT, OUTPUT = "in0", "out"
"""What the converter calls the input, and what the names of outputs begin with, before their number."""
CONVERSION_S = 600


class _Subsampled(nn.Module):
    """The shortcut of `PaddedIdentity` with a pool of one pixel in place of slices with a step, which ncnn lacks."""

    def __init__(self, shortcut: PaddedIdentity) -> None:
        super().__init__()
        self.stride, self.padding = shortcut.stride, (0, 0, 0, 0, shortcut.before, shortcut.after)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(nn.functional.max_pool2d(x, 1, self.stride), self.padding)


class _Answers(nn.Module):
    """A whole network, of which the rows and the logits are given out: ncnn has no comparisons.

    Of masks, boxes and points, whose rows need such, the logits alone.
    """

    def __init__(self, whole: Whole) -> None:
        super().__init__()
        self.whole = whole
        self.names = (LOGITS,) if whole.target.lies_on_image else whole.names[:2]
        for parent in whole.modules():
            for name, child in parent.named_children():
                if isinstance(child, PaddedIdentity):
                    setattr(parent, name, _Subsampled(child))

    def forward(self, samples: Tensor) -> tuple[Tensor, ...]:
        found = dict(zip(self.whole.names, self.whole(samples), strict=True))
        return tuple(found[name] for name in self.names)


def write(request: Request) -> Written:
    """Write the proven pair for one sample at a time, its input float values 0..255 of (C, H, W), and its card.

    Raises:
        ProofError: the pair computes something else; nothing is written.
        UsageError: the network has an operator that ncnn lacks.
        MissingDependencyError: the libraries are not installed.
    """
    refuse(request.settings, "ncnn", "raw", "dynamic-size")
    for library in ("ncnn", "pnnx"):
        optional(library, EXTRA)
    half = request.settings.precision == "float16"
    answers = _Answers(Whole(request.bundle, channels_first=True)).eval()
    with tempfile.TemporaryDirectory() as folder:
        pair = _converted(answers, Path(folder), half=half)
        run = _Net(*pair, answers).run
        proof, card = proven_by(lambda samples: one_by_one(run, samples), request)
        contents = [path.read_bytes() for path in pair]
    files = tuple(request.out.with_suffix(suffix) for suffix in (".param", ".bin", ".json"))
    # the card last: it says that the pair is whole
    for path, content in zip(files, [*contents, card_file(card)], strict=True):
        write_atomically(path, content)
    size = sum(map(len, contents))
    facts = {"bytes": size, **request.settings.to_dict(), "proof": proof.to_dict()}
    blobs = ", ".join(f"{OUTPUT}{index} {name}" for index, name in enumerate(answers.names))
    lines = [
        f"Proof    {proof.line}",
        f"Size     {size / 1e6:.2f} MB, weights in {'half' if half else 'float32'}",
        f"Blobs    {INPUT} pixels 0..255, channels first, not normalised; {blobs}",
        "Note     Verified on this machine's processor with float arithmetic; not tested on ARM",
    ]
    return Written(files, facts, lines)


def _converted(answers: _Answers, folder: Path, *, half: bool) -> tuple[Path, Path]:
    """Return the `.param` and `.bin` that pnnx makes in a folder."""
    traced = folder / "net.pt"
    with silenced(), torch.no_grad():
        try:
            torch.jit.trace(answers, (answers.whole.example[:1],), check_trace=False).save(str(traced))  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever the tracer makes of a network
            raise UsageError(f"This network cannot be traced for ncnn: {first_line(error)}") from error
        program = optional("pnnx", EXTRA).EXEC_PATH
    made = folder / "net.ncnn.param", folder / "net.ncnn.bin"
    try:
        done = subprocess.run(
            [program, str(traced), f"fp16={int(half)}"], cwd=folder, capture_output=True, timeout=CONVERSION_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"pnnx cannot convert this network: {first_line(error)}") from error
    if done.returncode or not all(path.is_file() for path in made):
        raise UsageError(f"pnnx cannot convert this network (it ended with {done.returncode}).")
    return made


class _Net:
    """A pair of files in ncnn, on one thread, with arithmetic in float32."""

    def __init__(self, param: Path, model: Path, answers: _Answers) -> None:
        self.names, self.rank = answers.names, len(answers.whole.target.output_shape)
        with silenced():
            self.ncnn: Any = optional("ncnn", EXTRA)
        _check_operators(param)
        self.net = self.ncnn.Net()
        options = self.net.opt
        options.num_threads = 1
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_storage = False
        if self.net.load_param(os.fspath(param)) or self.net.load_model(os.fspath(model)):
            raise ProofError("ncnn cannot load the converted network.")

    def run(self, sample: Stored) -> Outputs:
        """Return the outputs for one sample (1, ..., C)."""
        values = np.ascontiguousarray(np.moveaxis(sample[0], -1, 0), np.float32)
        extractor = self.net.create_extractor()
        extractor.input(INPUT, self.ncnn.Mat(values).clone())
        found = {}
        for index, name in enumerate(self.names):
            code, mat = extractor.extract(f"{OUTPUT}{index}")
            if code:
                raise ProofError(f"ncnn fails on the converted network: it returns no `{OUTPUT}{index}`.")
            values = np.array(mat, np.float32)
            found[name] = values.reshape(1, *values.shape[-self.rank :])
        return found if LOGITS in found else {}


def _check_operators(param: Path) -> None:
    """Raise UsageError if the converter left operators of PyTorch in, which ncnn has no layer for."""
    names = {line.split()[0] for line in param.read_text().splitlines()[2:] if line.strip()}
    if lacking := sorted(name for name in names if "." in name or "::" in name):
        raise UsageError(f"ncnn lacks an operator of this network: {', '.join(f'`{name}`' for name in lacking[:5])}.")
