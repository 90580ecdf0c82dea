"""Clips that are made, not filmed: a handwritten digit moves left, right, up or down, and that is its class.

    python experiments/moving_digits.py FOLDER

writes FOLDER/train and FOLDER/test with a folder of frames for each clip: CLASS/CLIP/01.png and so on. Digits are those
of scikit-learn, of its train part and of its test part. They leave the picture on one side and enter it on the other,
so that one frame, and the frames in any other order, say nothing of the class.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from fovea.data.sources.arrays import load_digits

SIDE, FRAMES, LARGER = 32, 8, 2
DIRECTIONS = {"down": (1, 0), "left": (0, -1), "right": (0, 1), "up": (-1, 0)}
SPEEDS = (1, 2, 3)
COUNTS = {"train": 200, "test": 100}
"""Clips of each class."""
NOISE = 12.0


def clip(digit: np.ndarray, direction: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Return the frames (T, H, W) uint8 of a digit (8, 8) uint8 that moves from a random place, with noise."""
    canvas = np.zeros((SIDE, SIDE), np.float64)
    large = np.repeat(np.repeat(digit, LARGER, 0), LARGER, 1)
    canvas[: len(large), : len(large)] = large
    place, speed = generator.integers(0, SIDE, 2), int(generator.choice(SPEEDS))
    frames = [np.roll(canvas, place + frame * speed * np.array(direction), axis=(0, 1)) for frame in range(FRAMES)]
    noisy = np.stack(frames) + generator.normal(0, NOISE, (FRAMES, SIDE, SIDE))
    return noisy.clip(0, 255).astype(np.uint8)


def write(folder: Path, *, counts: dict[str, int] = COUNTS, seed: int = 0) -> None:
    """Write the clips of both parts below `folder`."""
    generator = np.random.default_rng(seed)
    for name, part in load_digits().parts.items():
        for direction, step in DIRECTIONS.items():
            for number in range(counts[name]):
                digit = part.decoded[int(generator.integers(len(part)))][..., 0]
                target = folder / name / direction / f"{number:03}"
                target.mkdir(parents=True, exist_ok=True)
                for index, frame in enumerate(clip(digit, step, generator), 1):
                    Image.fromarray(frame).save(target / f"{index:02}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    write(parser.parse_args().folder)
