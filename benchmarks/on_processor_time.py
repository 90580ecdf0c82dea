"""`fovea`, but the budget of a training is counted in processor time, divided by the threads: for shared machines.

python benchmarks/on_processor_time.py train DATA --budget 10m --threads 2
"""

import time
from types import SimpleNamespace
from typing import Any, cast

import torch

from fovea.__main__ import main
from fovea.training import engine


def processor_seconds() -> float:
    return time.process_time() / torch.get_num_threads()


if __name__ == "__main__":
    cast(Any, engine).time = SimpleNamespace(monotonic=processor_seconds)
    main()
