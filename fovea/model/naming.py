"""Names of tensors in others' files: what tools put around a network, and so before or into all its names."""

from collections.abc import Collection, Iterator, Mapping

WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Modules around others, at any depth: of several devices, averages, the compiler, sharding, checkpoints."""
PREFIXES = frozenset(
    {*("model", "net", "network", "state_dict", "params", "weights"), *("ema", "model_ema", "ema_model", "params_ema")}
)
"""What begins all names of a network that is a part of a larger one, or of a file without keys around its tensors."""
COUNTERS = frozenset({"n_averaged"})
"""Tensors of such tools that are none of the network's."""
MAX_NESTED = 8


def unwrapped(names: Collection[str]) -> Iterator[Mapping[str, str]]:
    """Yield the ways in which tensors of these names may be meant: each maps a name there to the network's own.

    First as they are. Names that are left out of a mapping are passed over.

    >>> list(unwrapped(["module.fc.weight", "n_averaged"]))[-1]
    {'module.fc.weight': 'fc.weight'}
    """
    yield {name: name for name in names}
    yield from _inner({name: name for name in names}, MAX_NESTED)


def _inner(given: Mapping[str, str], depth: int) -> Iterator[Mapping[str, str]]:
    """Yield the mapping without wrappers, then without each prefix that stands before all names or a set of them."""
    bare = {there: _without_wrappers(name) for there, name in given.items() if _last(name) not in COUNTERS}
    if len(set(bare.values())) < len(bare) or not bare or not depth:
        return
    if bare != given:
        yield bare
    starts = {name.partition(".")[0] for name in bare.values()}
    if starts <= PREFIXES:
        # plain weights before their averages
        for prefix in sorted(starts, key=lambda start: ("ema" in start, start)):
            within = {t: name.partition(".")[2] for t, name in bare.items() if name.startswith(f"{prefix}.")}
            yield within
            yield from _inner(within, depth - 1)


def _without_wrappers(name: str) -> str:
    *parents, last = name.split(".")
    return ".".join([*(part for part in parents if part not in WRAPPERS), last])


def _last(name: str) -> str:
    return name.rpartition(".")[2]
