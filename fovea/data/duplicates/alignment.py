"""Which box of one image shows the same as another image: Lucas and Kanade 1981, for place and size of the box.

Arrays are float32, images on the scale of pixels from 0 to 255, as `likeness.planes` gives them.
"""

from functools import cache

import numpy as np

from fovea.data.duplicates.likeness import Floats

STEPS = 3
MIN_BOX = 0.5
"""Sides of the box, at least, as a fraction of the image."""
FINE, COARSE = 0.6, 2.5
"""Standard deviations of Gaussians, in pixels: images are aligned under the one; detail is what both differ by."""
DAMPING = 1e-3  # share of the trace on the diagonal: a direction in which nothing changes takes no leap
MAX_CHANGE = 0.1  # of the image's side in a step: slopes say nothing of what is further away
EPSILON = 1e-6  # of a plain image the trace is 0


def align(inner: Floats, outer: Floats, boxes: Floats) -> Floats:
    """Return the boxes (N, 4) of `outer` that look most like `inner`, found from `boxes` on; both are luma (N, S, S).

    Rows of `boxes` are `Box`es; they stay within the image. Gauss-Newton on brightness of mean 0 and deviation 1.
    """
    target, source = _normalised(_blurred(inner, FINE)), _blurred(outer, FINE)
    for _ in range(STEPS):
        boxes = _bounded(boxes + _step(target, source, boxes))
    return boxes


def cut(images: Floats, boxes: Floats) -> Floats:
    """Return the boxes of images (N, C, S, S), enlarged to (N, C, S, S)."""
    rows, columns = _sampling(boxes, images.shape[-1])
    return rows[:, None] @ images @ columns[:, None]


def detail_correlation(first: Floats, second: Floats) -> Floats:
    """Return the correlation (N,), -1..1, of the details of luma (N, S, S), whatever the brightness and contrast.

    Where one image has none it is 0, where neither has any 1.
    """
    a, b = ((_blurred(images, FINE) - _blurred(images, COARSE)).reshape(len(images), -1) for images in (first, second))
    energy = (a * a).sum(1), (b * b).sum(1)
    correlation: Floats = ((a * b).sum(1) + 1) / np.sqrt((energy[0] + 1) * (energy[1] + 1))
    return correlation


def _step(target: Floats, source: Floats, boxes: Floats) -> Floats:
    """Return the change of the boxes (N, 4) that one step of Gauss-Newton suggests."""
    N, S = target.shape[:2]
    rows, columns = _sampling(boxes, S)
    warped = _normalised(rows @ source @ columns)
    place = (np.arange(S, dtype=np.float32) + 0.5) / S
    # d warped / d (top, left, height, width): a side has S / height pixels of `warped`, and a longer side moves each
    # point by its place on it
    slopes = np.empty((N, 4, S, S), np.float32)
    slopes[:, 0] = np.gradient(warped, axis=1) * (S / boxes[:, 2, None, None])
    slopes[:, 1] = np.gradient(warped, axis=2) * (S / boxes[:, 3, None, None])
    slopes[:, 2] = slopes[:, 0] * place[:, None]
    slopes[:, 3] = slopes[:, 1] * place
    flat = slopes.reshape(N, 4, -1)
    # the normal equations, (N, 4, 4)
    square = flat @ flat.transpose(0, 2, 1)
    damping = DAMPING * np.trace(square, axis1=1, axis2=2) + EPSILON
    square += damping[:, None, None] * np.eye(4, dtype=np.float32)
    change: Floats = np.linalg.solve(square, flat @ (target - warped).reshape(N, -1, 1))[..., 0]
    return np.clip(change, -MAX_CHANGE, MAX_CHANGE)


def _bounded(boxes: Floats) -> Floats:
    """Return boxes that lie inside the image and are no smaller than MIN_BOX."""
    size = np.clip(boxes[:, 2:], MIN_BOX, 1)
    return np.concatenate([np.clip(boxes[:, :2], 0, 1 - size), size], axis=1)


def _sampling(boxes: Floats, S: int) -> tuple[Floats, Floats]:
    """Return the matrices (N, S, S), for rows from the left and for columns from the right, that read a box."""
    pixels = np.arange(S, dtype=np.float32)
    # (N, 2, S): where each row and each column of the result lies in the image, in pixels; centres are at + 0.5
    points = boxes[:, :2, None] * S + (pixels + 0.5) * boxes[:, 2:, None] - 0.5
    # bilinear: 1 on a pixel, 0 from the next one on; beyond the border the border counts
    weights = np.maximum(0, 1 - np.abs(np.clip(points, 0, S - 1)[..., None] - pixels))
    return weights[:, 0], weights[:, 1].transpose(0, 2, 1)


def _normalised(images: Floats) -> Floats:
    centred = images - images.mean((1, 2), keepdims=True)
    # + 1 grey level, so that the noise of a plain image does not become a pattern
    scaled: Floats = centred / (centred.std((1, 2), keepdims=True) + 1)
    return scaled


def _blurred(images: Floats, sigma: float) -> Floats:
    matrix = _blur(images.shape[-1], sigma)
    return matrix @ images @ matrix.T


@cache
def _blur(S: int, sigma: float) -> Floats:
    """Return the matrix (S, S) that blurs columns by a Gaussian; its rows sum to 1."""
    apart = np.subtract.outer(np.arange(S), np.arange(S))
    weights = np.exp(-(apart**2) / (2 * sigma**2))
    matrix: Floats = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return matrix
