import numpy as np
import pytest

from fovea.data.sources.source import DataSource
from fovea.display import Display
from fovea.evaluation.embedded import embedded
from fovea.model.bundle import load
from fovea.model.embedding import embedder_of


def test_parts_come_one_after_the_other_beside_their_labels_and_names(make_bundle, colour_folder):
    colour_folder("parts/train", count=2)
    root = colour_folder("parts/test", count=1).parent
    (root / "train" / "red" / "bad.png").write_bytes(b"no image")
    source = DataSource(data=root, allow_bad=True)
    found = embedded(source.find(), source, embedder_of(load(make_bundle())), batch=4, display=Display(quiet=True))
    assert found.features.shape == (9, 3) and found.rows.shape == (9, 3)
    assert found.places[0] == ("train", "train/blue/0.png")
    assert found.places[-1] == ("test", "test/red/0.png")
    # blue, green, red are 0, 1, 2 in the data; what enters the last layer is the mean of red, green, blue
    assert (2 - found.features.argmax(1) == found.labels).all()
    assert found.rows.sum(1) == pytest.approx(np.ones(9))
    assert [bad.name for bad in found.decoded.bad_files] == ["train/red/bad.png"]
