"""A network as Python: one class made of PyTorch's own layers, which needs nothing of this project.

The names of its tensors are those of the network, so that `load_state_dict` takes the tensors of its model file.
"""

import keyword
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import fx, nn

from fovea.errors import UsageError, first_line

NAMES = ("x", "y", "z")
"""Of values in the forward pass; further ones are numbered."""
_OPERATORS: dict[Callable[..., Any], str] = {
    **{operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.floordiv: "//"},
    **{operator.matmul: "@", operator.pow: "**", operator.iadd: "+", operator.imul: "*"},
}
_USUAL = (
    *(", eps=1e-05", ", momentum=0.1", ", affine=True", ", track_running_stats=True", ", padding=0", ", dilation=1"),
    *(", ceil_mode=False", ", bias=True", ", inplace=False", "start_dim=1, end_dim=-1", ", elementwise_affine=True"),
    *("in_features=", "out_features=", "inplace=False", "negative_slope=0.01", "approximate='none'"),
)
"""What is the default in all layers that print it."""
_PLAIN = re.compile(
    r"(Lazy)?(Conv\w*|Linear|BatchNorm\dd|InstanceNorm\dd|LayerNorm|GroupNorm|LocalResponseNorm|RMSNorm|Identity|"
    r"(Max|Avg|AdaptiveAvg|AdaptiveMax)Pool\dd|(Zero|Reflection|Replication|Circular)Pad\dd|Dropout\d?d?|Flatten|"
    r"ReLU6?|LeakyReLU|PReLU|ELU|SELU|GELU|SiLU|Sigmoid|Hardsigmoid|Hardswish|Hardtanh|Tanh|Softmax|LogSoftmax|"
    r"Softplus|Mish|PixelShuffle|Upsample|UpsamplingNearest2d|UpsamplingBilinear2d)"
)
"""Layers whose printout is the call that makes them."""
_HEADING = '''"""{title}

Made by Fovea for inputs of {shape}. Only PyTorch is needed. The tensors of its model file fit by their names:

    model = {name}().eval()
    model.load_state_dict(safetensors.torch.load_file("model.safetensors"))

It computes what the network predicts: of what only training does, dropout layers are hereand no other field.
"""

import torch
from torch import nn

'''


def python_source(model: nn.Module, *, name: str = "Network", title: str = "", shape: str = "its size") -> str:
    """Return the text of a Python file with the network as class `name`; `title` and `shape` stand at the top.

    Raises:
        UsageError: the network takes its path by the data or its size, or has a layer that is not of PyTorch's.
    """
    training = model.training
    try:
        graph = fx.Tracer().trace(model.eval())
    except Exception as error:  # a network may raise anything
        raise UsageError(f"The network cannot be written as Python: {first_line(error)}") from error
    finally:
        model.train(training)
    title = title.replace("\\", "").replace('"""', "")
    lines = [f"class {name}(nn.Module):", "    def __init__(self):", "        super().__init__()"]
    lines += [f"        {line}" for line in _layers(model)]
    lines += ["", *(f"    {line}" for line in _forward(graph))]
    return _HEADING.format(title=title or name, shape=shape, name=name) + "\n" + "\n".join(lines) + "\n"


def _layers(model: nn.Module) -> Iterator[str]:
    """Yield the lines that make the layers."""
    tracer = fx.Tracer()
    whole: list[str] = []
    for path, module in model.named_modules():
        if any(path.startswith(f"{layer}.") for layer in whole):
            continue
        if path and tracer.is_leaf_module(module, path):
            whole.append(path)
            yield _assigned(path, f"nn.{_call(module, path)}")
        else:
            if path:
                yield _assigned(path, "nn.Module()")
            yield from _tensors(path, module)


def _tensors(path: str, module: nn.Module) -> Iterator[str]:
    """Yield the lines that make the parameters and buffers of a module that is not a layer of PyTorch's."""
    for name, parameter in module.named_parameters(recurse=False):
        yield _assigned(f"{path}.{name}".lstrip("."), f"nn.Parameter(torch.zeros({tuple(parameter.shape)}))")
    kept = module.state_dict(keep_vars=True)
    for name, buffer in module.named_buffers(recurse=False):
        persistent = "" if name in kept else ", persistent=False"
        zeros = f"torch.zeros({tuple(buffer.shape)}, dtype={buffer.dtype})"
        yield f"{_reached(path)}.register_buffer({name!r}, {zeros}{persistent})"
        if persistent:
            raise UsageError(
                f"The network cannot be written as Python: `{path}` computes with constant tensors of its own."
            )


def _call(module: nn.Module, path: str) -> str:
    """Return the call that makes a layer, without what is the default."""
    if not _PLAIN.fullmatch(type(module).__name__) or list(module.children()):
        raise UsageError(f"The network cannot be written as Python: `{path}` is a {type(module).__name__}.")
    text = re.sub(r"\b(padding|padding_mode|mode)=([a-z]+)", r"\1='\2'", repr(module))
    text = re.sub(r"=\((\d+)(?:, \1)+\)", r"=\1", text)
    for usual in _USUAL:
        text = text.replace(usual, "")
    return text


def _forward(graph: fx.Graph) -> Iterator[str]:
    """Yield the forward pass; a name is taken again once nobody needs its value."""
    names: dict[fx.Node, str] = {}
    free: list[str] = []
    last = _last_uses(graph)
    for node in graph.nodes:
        if node.op == "placeholder":
            names[node] = NAMES[0] if not names else str(node.name)
            if len(names) == 1:
                yield f"def forward(self, {names[node]}):"
            continue
        if node.op == "output":
            yield f"    return {_text(node.args[0], names)}"
            return
        if node.op == "get_attr":
            names[node] = _reached(str(node.target))
            continue
        value = _value(node, names)
        free = sorted({*free, *(names[gone] for gone in last.get(node, []) if gone.op != "get_attr")}, key=_place)
        names[node] = free.pop(0) if free else _fresh(set(names.values()))
        yield f"    {names[node]} = {value}"


def _last_uses(graph: fx.Graph) -> dict[fx.Node, list[fx.Node]]:
    """Return for each operation the values that are not needed after it."""
    order = {node: number for number, node in enumerate(graph.nodes)}
    found: dict[fx.Node, list[fx.Node]] = {}
    for node in graph.nodes:
        if node.users:
            found.setdefault(max(node.users, key=order.__getitem__), []).append(node)
    return found


def _fresh(taken: set[str]) -> str:
    return next(name for name in (*NAMES, *(f"v{i}" for i in range(len(taken) + 2))) if name not in taken)


def _place(name: str) -> tuple[int, str]:
    return (NAMES.index(name), "") if name in NAMES else (len(NAMES), name)


def _value(node: fx.Node, names: dict[fx.Node, str]) -> str:
    """Return the expression of one operation."""
    args = [_text(value, names) for value in node.args]
    keywords = [f"{key}={_text(value, names)}" for key, value in node.kwargs.items()]
    target: Any = node.target
    if node.op == "call_module":
        return f"{_reached(target)}({', '.join([*args, *keywords])})"
    if node.op == "call_method":
        return f"{args[0]}.{target}({', '.join([*args[1:], *keywords])})"
    if target in _OPERATORS:
        return f"{args[0]} {_OPERATORS[target]} {args[1]}"
    if target is operator.getitem:
        return f"{args[0]}[{args[1].removeprefix('(').removesuffix(')') if args[1].startswith('(') else args[1]}]"
    if target is getattr:
        return f"{args[0]}.{node.args[1]}"
    return f"{_named(target)}({', '.join([*args, *keywords])})"


def _named(function: Any) -> str:
    """Return how a function is reached: those of PyTorch by their public names."""
    name = str(getattr(function, "__name__", ""))
    for place, where in ((torch, "torch"), (nn.functional, "nn.functional")):
        if getattr(place, name, None) is function:
            return f"{where}.{name}"
    if getattr(function, "__module__", "") == "builtins" or function in (int, float, max, min):
        return name
    raise UsageError(f"The network cannot be written as Python: it calls `{name or function}`.")


def _text(value: Any, names: dict[fx.Node, str]) -> str:
    if isinstance(value, fx.Node):
        return names[value]
    if isinstance(value, tuple | list):
        inner = ", ".join(_text(item, names) for item in value)
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, slice):
        parts = ["" if part is None else _text(part, names) for part in (value.start, value.stop)]
        return ":".join(parts) + ("" if value.step is None else f":{_text(value.step, names)}")
    if value is Ellipsis:
        return "..."
    return repr(value)


def _reached(path: str) -> str:
    """Return how a module is reached from the network; children that are numbered by `getattr`."""
    found = "self"
    for part in filter(None, path.split(".")):
        found = f"{found}.{part}" if _plain(part) else f"getattr({found}, {part!r})"
    return found


def _assigned(path: str, value: str) -> str:
    parent, _, name = path.rpartition(".")
    if _plain(name):
        return f"{_reached(parent)}.{name} = {value}"
    return f"{_reached(parent)}.add_module({name!r}, {value})"


def _plain(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)
