"""What a path or name is, and which files a page may ask for."""

import pytest
from seeded_bundles import seeded_bundle

from fovea.errors import UsageError
from fovea.model.bundle import save_bundle
from fovea.studio.opened import Opened, found, opened


@pytest.mark.parametrize(("file", "name"), [("net.safetensors", "net"), ("model.safetensors", "first")])
def test_a_model_file_is_called_by_its_name_or_that_of_its_run(tmp_path, file, name):
    bundle, place = seeded_bundle(), tmp_path / "first" / file
    place.parent.mkdir()
    save_bundle(place, bundle.model, bundle.card)
    assert found(place).name == name and found(place).bundle is None
    assert opened(place).bundle.classes == bundle.classes


def test_a_run_data_and_an_exported_network_are_told_apart(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").write_text("")
    assert found(tmp_path / "run").run == tmp_path / "run"
    assert found(tmp_path / "x.onnx").exported == tmp_path / "x.onnx"
    assert found("digits").data == "digits" and found(None).name == ""
    with pytest.raises(UsageError, match="no model file, run, or data"):
        found("no-such-thing")
    with pytest.raises(UsageError, match="`--network` works only with a model file or a run"):
        found(None, network="net.py:Net")


def test_pages_read_what_lies_in_the_folder_of_the_studio_and_nothing_else(tmp_path):
    (tmp_path / "in").mkdir()
    for place in ("in/a.png", "b.png"):
        (tmp_path / place).write_text("")
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "b.png")
    here = Opened(folder=tmp_path / "in")
    assert here.inside("a.png") == tmp_path / "in" / "a.png"
    for outside in ("../b.png", "link.png", str(tmp_path / "b.png")):
        with pytest.raises(UsageError, match="is not in the folder"):
            here.inside(outside)
    with pytest.raises(UsageError, match="There is no"):
        here.inside("c.png")
