"""`fovea doctor`: what this machine offers, and what is missing for which command."""

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from fovea.data.sources.download import CATALOGUE
from fovea.devices import matmul_rate, memory_bytes
from fovea.storage import cache_root

OPTIONAL = {
    "executorch": ("executorch", "fovea export --to executorch"),
    "export": ("onnxscript", "fovea export"),
    "keras": ("h5py", "fovea train --from WEIGHTS.h5"),
    "litert": ("litert_torch", "fovea export --to litert"),
    "ncnn": ("ncnn", "fovea export --to ncnn"),
    "pandas": ("pandas", "result.to_frame()"),
    "parquet": ("pyarrow", "fovea train DATA.parquet"),
    "search": ("faiss", "fovea search --approximate"),
    "serve": ("fastapi", "fovea serve MODEL"),
    "tensorboard": ("tensorboard", "fovea train --tensorboard"),
    "tiff": ("tifffile", "fovea predict MODEL LARGE.tif"),
}
"""The library that each extra brings, and the command that needs it."""

DISTRIBUTED_AS = {"faiss": "faiss-cpu"}
"""Libraries that are distributed under another name than they are imported by."""

LOW_DISK_BYTES = 5e9


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    value: str
    ok: bool = True
    """False if a command will lack something."""
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def doctor() -> list[Check]:
    """Return what this machine and this environment have for Fovea; takes about a second."""
    return [*_software(), *_processor(), *_accelerators(), *_storage()]


def _software() -> Iterator[Check]:
    yield Check("Python", platform.python_version())
    yield Check("PyTorch", torch.__version__)
    for name, (library, command) in OPTIONAL.items():
        if importlib.util.find_spec(library):
            yield Check(name, f"{library} {_version(library)}")
        else:
            yield Check(name, f"absent, which `{command}` needs", ok=False, advice=f'pip install "fovea-cnn[{name}]"')


def _version(library: str) -> str:
    try:
        return metadata.version(DISTRIBUTED_AS.get(library, library))
    except metadata.PackageNotFoundError:  # there are several of faiss
        return "unknown version"


def _processor() -> Iterator[Check]:
    features: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    fast = [name for name in ("avx512_bf16", "amx_bf16", "avx512_vnni") if features.get(name)]
    yield Check("processor", ", ".join([torch.backends.cpu.get_cpu_capability(), *fast]))
    yield Check("threads", f"{torch.get_num_threads()} of {os.cpu_count()} processors")
    yield Check("matrix products", f"{matmul_rate() / 1e9:.0f} GFLOP/s, float32")
    memory = memory_bytes()
    value = f"{memory[0] / 1e9:.1f} GB available of {memory[1] / 1e9:.1f} GB" if memory else "unknown on this system"
    yield Check("memory", value)


def _accelerators() -> Iterator[Check]:
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            yield Check(f"cuda:{index}", f"{properties.name}, {properties.total_memory / 1e9:.0f} GB")
    else:
        yield Check("CUDA", "none")
    yield Check("MPS", "available" if torch.backends.mps.is_available() else "none")


def _storage() -> Iterator[Check]:
    cache = cache_root()
    there = next(folder for folder in (cache.absolute(), *cache.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    writable = os.access(there, os.W_OK)
    value = f"{cache}, {free / 1e9:.0f} GB free{'' if writable else ', read-only'}"
    yield Check(
        "cache", value, ok=writable and free > LOW_DISK_BYTES, advice="set FOVEA_CACHE, or `fovea cache --clear`"
    )
    data = os.environ.get("FOVEA_DATA")
    if not data:
        yield Check("FOVEA_DATA", "not set: published data sets are downloaded")
    elif not Path(data).is_dir():
        yield Check("FOVEA_DATA", f"{data}, which is not a folder", ok=False, advice="correct or unset it")
    else:
        found = [name for name in CATALOGUE if (Path(data) / name).exists()]
        yield Check("FOVEA_DATA", f"{data}, with {', '.join(found) or 'no published data set'}")
