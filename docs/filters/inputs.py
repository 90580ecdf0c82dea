"""Write the inputs of docs/filters.md into this folder: python docs/filters/inputs.py."""

from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parent

PATCH = [
    [60, 113, 56, 139, 85],
    [73, 121, 54, 84, 128],
    [131, 99, 70, 129, 127],
    [80, 57, 115, 69, 134],
    [104, 126, 123, 95, 130],
]
"""The image of lecture 002, "Kernel"."""


def plane(seconds: int = 120) -> np.ndarray:
    """Return times in s and noisy positions in km of a plane, measured once a second."""
    t = np.arange(seconds)
    course = 30 + 0.12 * t + 6 / (1 + np.exp((60 - t) / 4))
    return np.column_stack([t, course + np.random.default_rng(0).normal(0, 0.8, seconds)])


def ramp_sine(cycle: int = 16, rest: int = 24) -> np.ndarray:
    """Return a slowly rising ramp, with three cycles of a sine wave on its middle."""
    i = np.arange(2 * rest + 3 * cycle + 1)
    wave = np.sin(2 * np.pi * (i - rest) / cycle)
    return 3 * i / i[-1] + np.where((rest <= i) & (i <= rest + 3 * cycle), wave, 0)


def pulse(samples: int = 31) -> np.ndarray:
    """Return a short signal: up at once, then decaying."""
    return np.exp(-np.arange(samples) / 7)


def write(name: str, values: np.ndarray, header: str) -> None:
    """Write one signal."""
    np.savetxt(FOLDER / name, values, fmt="%.4g", delimiter=",", header=header, comments="")


if __name__ == "__main__":
    Image.fromarray(np.array(PATCH, np.uint8)).save(FOLDER / "patch.png")
    write("plane.csv", plane(), "seconds,position (km)")
    write("ramp-sine.csv", ramp_sine(), "value")
    write("pulse.csv", pulse(), "value")
