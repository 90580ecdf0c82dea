"""The figures of COCO by its own code, pycocotools, where that is installed."""

import contextlib
import io

import numpy as np
import pytest


def figures(truth, found, *, kind="bbox"):
    """Return the figures of annotations per image and results per image, both lists of dicts without ids of images."""
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    annotations = [{**each, "image_id": i + 1} for i, image in enumerate(truth) for each in image]
    results = [{**each, "image_id": i + 1} for i, image in enumerate(found) for each in image]
    classes = sorted({each["category_id"] for each in annotations + results})
    with contextlib.redirect_stdout(io.StringIO()):
        reference = coco.COCO()
        reference.dataset = {
            "info": {},
            "images": [{"id": i + 1, "width": 640, "height": 480} for i in range(len(truth))],
            "categories": [{"id": index, "name": str(index)} for index in classes],
            "annotations": [{**each, "id": i + 1} for i, each in enumerate(annotations)],
        }
        reference.createIndex()
        run = evaluation.COCOeval(reference, reference.loadRes(results), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return np.where(run.stats == -1, np.nan, run.stats)
