"""Reads a Keras `.h5` in a process of its own, and writes its tensors as `.safetensors`: `keras_reader.py IN OUT`.

Its library is C code that a damaged file can crash; here that ends nothing else. Values are of the shape and kind of
number that they have in the file. Imports nothing of fovea, so that it starts soon.

Exit codes: 0 done; 3 refused, with the reason on standard output; 4 the library cannot be imported.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REFUSED, NO_LIBRARY = 3, 4
MAX_TENSORS = 20_000
MAX_ATTRIBUTE_BYTES = 16 << 20
MAX_NAME = 1000
"""Characters."""
MAX_BYTES = 2 << 30
"""Of all tensors."""
MAX_RATIO = 16
"""Of their bytes to those of the file: weights hardly compress."""
MEMORY_BYTES = 3 << 30
"""Address space of the process; the file is refused where it asks for more."""
SECONDS = 20
"""Of the processor. Two gigabytes take a tenth of it; a damaged file may let HDF5 spin for ever."""


class Refused(Exception):
    """What the file holds is not read; the message continues `it`."""


def main(source: str, target: str) -> int:
    """Write the tensors of `source` to `target`, and return the exit code."""
    try:
        import h5py
        from safetensors.numpy import save_file
    except ImportError:
        return NO_LIBRARY
    _limit()
    try:
        with h5py.File(source, "r", locking=False) as file:
            tensors = dict(_arrays(h5py, file, most=_most(source)))
        save_file(tensors, target)
    except Refused as reason:
        print(str(reason).encode("ascii", "backslashreplace").decode()[:300])
        return REFUSED
    except MemoryError:
        print(f"needs more than {MEMORY_BYTES >> 30} GiB of memory to read")
        return REFUSED
    except Exception:  # a damaged file: the library raises whatever it meets
        print("is an incomplete download, or not a Keras weights file in the format before version 3")
        return REFUSED
    return 0


def _limit() -> None:
    """Bound memory and time of this process, where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_BYTES + MAX_ATTRIBUTE_BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _most(source: str) -> int:
    return min(MAX_BYTES, MAX_RATIO * Path(source).stat().st_size)


def _arrays(h5py: Any, file: Any, *, most: int) -> Iterator[tuple[str, Any]]:
    """Yield `layer/name` and the values of every tensor, layer by layer: the names that the layers list."""
    root = _at(h5py, file, "model_weights") if "model_weights" in file else file
    count = total = 0
    for layer in _names(h5py, root, "layer_names"):
        group = _at(h5py, root, layer)
        for name in _names(h5py, group, "weight_names"):
            data = _at(h5py, group, name)
            _check(h5py, data, name)
            count, total = count + 1, total + data.nbytes
            if count > MAX_TENSORS or total > most:
                raise Refused(f"lists more than {MAX_TENSORS} tensors, or tensors of more than {most} bytes")
            kind = name.rpartition("/")[2].partition(":")[0]
            yield f"{layer.replace('/', '_')}.{kind}", data[()].astype(data.dtype.newbyteorder("="))


def _at(h5py: Any, group: Any, path: str) -> Any:
    """Return what lies at `path`, reached by links within the file that name it directly."""
    for part in filter(None, path.split("/")):
        if not isinstance(group, h5py.Group):
            raise Refused(f"has no `{path[:100]}`")
        link = group.get(part, getlink=True) if part in group.keys() else None  # noqa: SIM118 (`in` follows links)
        if not isinstance(link, h5py.HardLink):
            kind = "no" if link is None else "a link to another file or place for"
            raise Refused(f"has {kind} `{path[:100]}`")
        group = group[part]
    return group


def _check(h5py: Any, data: Any, name: str) -> None:
    """Raise Refused for what is no plain array of numbers in this file."""
    fault = ""
    if not isinstance(data, h5py.Dataset):
        fault = "not an array"
    elif data.is_virtual or data.external:
        fault = "kept in other files"
    elif data.dtype.kind not in "fiu" or data.dtype.itemsize > 8 or data.shape is None:
        fault = "not an array of numbers"
    if fault:
        raise Refused(f"has `{name[:100]}`, which is {fault}")


def _names(h5py: Any, group: Any, key: str) -> list[str]:
    """Return the names in an attribute; Keras writes a long list in parts, `layer_names0`, `layer_names1`, ..."""
    if not isinstance(group, h5py.Group):
        raise Refused("is not a Keras weights file in the format before version 3")
    keys = [key] if key in group.attrs else []
    if not keys:
        while f"{key}{len(keys)}" in group.attrs:
            keys.append(f"{key}{len(keys)}")
    if not keys:
        raise Refused("is not a Keras weights file in the format before version 3")
    return [name for part in keys for name in _texts(group.attrs, part)]


def _texts(attrs: Any, key: str) -> Iterator[str]:
    found = attrs.get_id(key)
    count = found.shape[0] if len(found.shape) == 1 else None
    if count is None or count > MAX_TENSORS or count * found.dtype.itemsize > MAX_ATTRIBUTE_BYTES:
        raise Refused(f"lists `{key}` in an unknown format, or more than {MAX_TENSORS} names")
    for name in attrs[key]:
        text = name.decode() if isinstance(name, bytes) else str(name)
        if len(text) > MAX_NAME:
            raise Refused(f"has a name of {len(text)} characters; the limit is {MAX_NAME}")
        yield text


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
