"""`fovea`, but the budget of a training is counted in processor time, divided by the threads: for shared machines.

python benchmarks/on_processor_time.py train DATA --budget 10m --threads 2
"""

import time
from types import SimpleNamespace
from typing import Any, cast

import torch

import fovea.cli as cli
import fovea.display as display
import fovea.plans.transfer_budget as transfer_budget
import fovea.runs.timekeeping as timekeeping
import fovea.training.engine as engine
import fovea.training.tuning as tuning
from fovea.__main__ import main


def processor_seconds() -> float:
    return time.process_time() / torch.get_num_threads()


if __name__ == "__main__":
    clock = SimpleNamespace(monotonic=processor_seconds, perf_counter=processor_seconds)
    cast(Any, cli).BEGAN_AT = 0.0
    for module in (display, engine, timekeeping, transfer_budget, tuning):
        cast(Any, module).time = clock
    main()
