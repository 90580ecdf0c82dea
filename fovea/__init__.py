"""Fovea, the CNN workbench: one function per command, and what they hand to each other.

Names are imported on first use, so that `import fovea` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fovea.commands import homes

if TYPE_CHECKING:  # what `homes` says, for type checkers and editors
    from fovea.data.sources.source import find as find
    from fovea.errors import FoveaError as FoveaError
    from fovea.explanation.attribution.attribute import attribute as attribute
    from fovea.jobs.build import build_file as build_file
    from fovea.jobs.cache import cache as cache
    from fovea.jobs.check import check as check
    from fovea.jobs.compare import compare as compare
    from fovea.jobs.doctor import doctor as doctor
    from fovea.jobs.duplicates import duplicates as duplicates
    from fovea.jobs.errata import errata as errata
    from fovea.jobs.evaluate import evaluate as evaluate
    from fovea.jobs.explain import explain as explain
    from fovea.jobs.export import export as export
    from fovea.jobs.filter import filter as filter
    from fovea.jobs.find_lr import find_lr as find_lr
    from fovea.jobs.index import index as index
    from fovea.jobs.info import info as info
    from fovea.jobs.label import label as label
    from fovea.jobs.latency import latency as latency
    from fovea.jobs.measure import measure as measure
    from fovea.jobs.memory import memory as memory
    from fovea.jobs.models import models as models
    from fovea.jobs.picture import picture as picture
    from fovea.jobs.predict import predict as predict
    from fovea.jobs.preview import preview as preview
    from fovea.jobs.retrieval import evaluate_retrieval as evaluate_retrieval
    from fovea.jobs.search import search as search
    from fovea.jobs.serve import serve as serve
    from fovea.jobs.shrink import shrink as shrink
    from fovea.jobs.style import style as style
    from fovea.jobs.train import train as train
    from fovea.jobs.trust import trust as trust
    from fovea.jobs.unit import see_unit as see_unit
    from fovea.model.bundle import Bundle as Bundle
    from fovea.model.bundle import load as load
    from fovea.model.weights import build as build
    from fovea.registry import names as names
    from fovea.studio.start import open_studio as open_studio
    from fovea.tasks.prediction import Prediction as Prediction

    __version__: str

_HOMES = homes()

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata  # which imports much that nothing else needs

        value: Any = metadata.version("fovea-cnn")
    elif name in _HOMES:
        if _HOMES[name] == "fovea.registry":
            import_module("fovea.zoo")  # its import makes the networks known to the registry
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module `fovea` has no attribute `{name}`")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
