"""The one place where onnxruntime is asked: a session of checked bytes, and its errors in one line."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.budget import most_threads
from fovea.errors import BundleError, MissingDependencyError, UsageError, first_line
from fovea.fields import is_whole

FATAL = 4
"""onnxruntime says on standard error what it also raises: only what ends the process is left to it."""
PREFERRED = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""What runs a network where nothing else is asked for, of these what is there."""


class Session:
    """A network in onnxruntime; `run` may be called by several threads at once."""

    def __init__(
        self, content: bytes, source: str, *, threads: int | None = None, providers: Sequence[str] | None = None
    ) -> None:
        self._source = source
        runtime = onnxruntime(source)
        options = _options(runtime, threads)
        chosen = _providers(runtime, providers)
        try:
            self._session = runtime.InferenceSession(content, options, providers=chosen)
        except Exception as error:  # whatever it makes of a graph that it does not like
            raise BundleError(f"`{source}` cannot be used: onnxruntime refuses it: {_reason(error)}.") from error
        self._session.disable_fallback()
        # it keeps the whole file to begin anew on another provider, which has just been ruled out
        vars(self._session)["_model_bytes"] = None
        self._run_options = runtime.RunOptions()
        self._run_options.log_severity_level = FATAL

    @property
    def providers(self) -> tuple[str, ...]:
        """What runs the network, the first that can."""
        return tuple(self._session.get_providers())

    def run(self, outputs: Sequence[str], given: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the outputs by their names, each (N, ...) float32 or bool. Raises: BundleError if it fails."""
        try:
            found: list[NDArray[Any]] = self._session.run(list(outputs), given, self._run_options)
        except Exception as error:  # whatever a node fails with
            raise BundleError(f"`{self._source}` fails on its input: {_reason(error)}.") from error
        return [np.asarray(values) for values in found]


def onnxruntime(source: str) -> Any:
    """Return the library. Raises: MissingDependencyError if it is not installed."""
    try:
        import onnxruntime as runtime
    except ImportError as error:
        raise MissingDependencyError(
            f"`{source}` is run by onnxruntime, which is not installed: `pip install onnxruntime` "
            '(or `pip install "fovea-cnn[export]"`).'
        ) from error
    return runtime


def _options(runtime: Any, threads: int | None) -> Any:
    if threads is not None and (not is_whole(threads) or not 1 <= threads <= most_threads()):
        raise UsageError(f"`threads` (={threads}) must be a whole number from 1 to {most_threads()}.")
    runtime.disable_telemetry_events()
    options = runtime.SessionOptions()
    options.log_severity_level = FATAL
    options.inter_op_num_threads = 1
    if threads is not None:
        options.intra_op_num_threads = threads
    return options


def _providers(runtime: Any, asked: Sequence[str] | None) -> list[str]:
    there = runtime.get_available_providers()
    if asked is None:
        return [name for name in PREFERRED if name in there]
    if missing := [name for name in asked if name not in there]:
        known = ", ".join(name for name in there)
        raise UsageError(f"onnxruntime has no provider `{missing[0]}` here; it has {known}.")
    if not asked:
        raise UsageError("`providers` is empty; name one, or leave it out.")
    return list(asked)


def _reason(error: Exception) -> str:
    """Return what onnxruntime says, without its codes and places in its source."""
    said = first_line(error).rpartition(" : ")[2]
    return re.sub(r"\S+\.(?:cc|h):\d+ ", "", said).strip(" .:") or type(error).__name__
