"""What tests of annotated images are made of."""

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def put():
    """Return a function that writes an image, black or of an array, and makes its folder."""

    def write(path, array=None, *, size=(20, 10)):
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", size) if array is None else Image.fromarray(np.asarray(array, np.uint8))
        image.save(path)

    return write


@pytest.fixture
def coco():
    """Return a function that gives what a file of COCO holds: images of 20 x 10 pixels, two classes."""

    def content(annotations, *, names=("a.png", "b.png"), points=None):
        extra = {} if points is None else {"keypoints": points}
        return {
            "images": [{"id": i, "file_name": name, "width": 20, "height": 10} for i, name in enumerate(names)],
            "categories": [{"id": 7, "name": "cat", **extra}, {"id": 3, "name": "dog"}],
            "annotations": [{"id": i, "image_id": 0, "category_id": 7, **each} for i, each in enumerate(annotations)],
        }

    return content


@pytest.fixture
def written(tmp_path, put, coco):
    """Return a function that writes a folder with two images and a file of COCO."""

    def write(annotations, *, file="annotations.json", folder="images", **more):
        content = coco(annotations, **more)
        for image in content["images"]:
            put(tmp_path / folder / image["file_name"])
        place = tmp_path / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(content))
        return tmp_path

    return write
