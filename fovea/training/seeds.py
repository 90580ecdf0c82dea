"""Seeds that follow from where a training is, so that one that continues draws what it would have drawn."""

import numpy as np


def seed_of(*position: int) -> int:
    """Return a 63-bit seed that depends on every number of `position`, as (seed, epoch, step)."""
    counted = (len(position), *position)  # trailing zeros do not count in a SeedSequence
    return int(np.random.SeedSequence(counted).generate_state(1, np.uint64)[0] >> 1)
