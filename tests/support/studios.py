"""A studio in a process of its own."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import fovea


@contextmanager
def studio(*what, folder=None):
    """Give the address of a studio that was opened with `what` in a folder; it ends with the body."""
    command = [sys.executable, "-m", "fovea", "studio", *map(str, what), "--no-browser"]
    settings = os.environ | {"PYTHONPATH": str(Path(fovea.__file__).parents[1])}  # elsewhere it is the same package
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder, env=settings) as started:
        try:
            yield re.search(r"http://\S+", started.stderr.readline())[0]
        finally:
            started.terminate()
            started.stderr.close()
