"""`--to triton`: a model repository for Triton, which KServe takes too: `NAME/1/model.onnx`, `config.pbtxt`, labels."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fovea.card import Card
from fovea.exporting.folders import MARK, check_replaceable, write_folder
from fovea.exporting.library import library
from fovea.exporting.targets import Request, Written, card_file
from fovea.exporting.targets.onnx import content_of

if TYPE_CHECKING:
    from onnx import ModelProto

LARGEST_BATCH = 64
LONGEST_QUEUE = 256
"""Requests that wait; more are refused, so that answers come in time."""
LABELS = "labels.txt"
_TYPES = {1: "TYPE_FP32", 2: "TYPE_UINT8", 9: "TYPE_BOOL", 10: "TYPE_FP16"}
"""Triton's names of element types by ONNX's numbers."""

KSERVE = """\
# For KServe. The storage holds the folder `{name}`, as a bucket or a volume: point storageUri at the folder around it.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {resource}
spec:
  predictor:
    model:
      modelFormat:
        name: triton
      protocolVersion: v2
      runtime: kserve-tritonserver
      storageUri: pvc://models/repository
"""


def write(request: Request) -> Written:
    """Write `NAME` into the repository `out`, beside other networks that are there."""
    name = model_name(request.name)
    folder = request.out / name
    check_replaceable(folder)
    made = content_of(request)
    content, card = made.content, made.card
    model = library("onnx").load_from_string(content)
    # of what lies on an image no output has a value for each class
    labelled = card.target.has_classes and not request.settings.raw and not card.target.lies_on_image
    files = {
        "config.pbtxt": configuration(model, name, labelled=labelled),
        "1/model.onnx": content,
        **({LABELS: labels(card)} if card.target.has_classes else {}),
        "kserve.yaml": KSERVE.format(name=name, resource=resource_name(name)).encode(),
        MARK: card_file(card),
    }
    write_folder(folder, files)
    facts = {"bytes": len(content), "name": name, **made.facts}
    lines = [
        *made.lines,
        f"Size     {len(content) / 1e6:.2f} MB, {made.facts['precision']}",
        f"Next     tritonserver --model-repository={request.out} (not tested: the configuration is only parsed)",
    ]
    return Written(tuple(folder / file for file in ("1/model.onnx", *(f for f in files if "/" not in f))), facts, lines)


def configuration(model: "ModelProto", name: str, *, labelled: bool) -> bytes:
    """Return the `config.pbtxt` of an exported graph, whose first dimension is that of the batch.

    `labelled` says that the first output has a value for each line of the labels.
    """
    rows = model.graph.output[0].name
    outputs = [_tensor(value, label=labelled and value.name == rows) for value in model.graph.output]
    return "\n".join(
        [
            f'name: "{name}"',
            'backend: "onnxruntime"',
            f"max_batch_size: {LARGEST_BATCH}",
            f"input [\n{','.join(map(_tensor, model.graph.input))}\n]",
            f"output [\n{','.join(outputs)}\n]",
            "dynamic_batching {",
            f"  default_queue_policy {{ max_queue_size: {LONGEST_QUEUE} }}",
            "}\n",
        ]
    ).encode("ascii")


def _tensor(value: Any, *, label: bool = False) -> str:
    kind = value.type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim[1:]]
    labelled = f'\n    label_filename: "{LABELS}"' if label else ""
    return (
        f'  {{\n    name: "{value.name}"\n    data_type: {_TYPES[kind.elem_type]}\n'
        f"    dims: [ {', '.join(map(str, sizes))} ]{labelled}\n  }}"
    )


def labels(card: Card) -> bytes:
    """Return the names of the classes, a line each, in the order of the outputs."""
    return "".join(f"{' '.join(name.split())}\n" for name in card.target.classes).encode()


def model_name(text: str) -> str:
    """Return a name that Triton takes as a folder and in its addresses: letters, digits, `_`, `-` and dots.

    >>> model_name("runs/my net (2).safetensors")
    'my_net_2'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(text).stem).strip("_.") or "model"


def resource_name(name: str) -> str:
    """Return a name that Kubernetes takes: small letters, digits and hyphens, beginning with a letter.

    >>> resource_name("MobileNet_V2.1")
    'mobilenet-v2-1'
    """
    small = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-")
    return small if small[:1].isalpha() else f"model-{small}".strip("-")
