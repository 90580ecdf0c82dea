import importlib.util

import pytest
from onnx_files import write_onnx

from fovea.errors import BundleError, MissingDependencyError, UsageError
from fovea.jobs.measure import measure
from fovea.model import opening
from fovea.model.bundle import Bundle, load
from fovea.model.container import is_exported
from fovea.model.opening import open_model
from fovea.runtime import Exported


def test_a_file_is_opened_by_its_container(make_bundle, tmp_path):
    assert isinstance(open_model(make_bundle(), device="cpu"), Bundle)
    assert isinstance(open_model(write_onnx(tmp_path / "net.ONNX")), Exported)
    assert is_exported("a/b.onnx") and not is_exported("a.onnx/b.safetensors")


def test_an_exported_network_runs_on_the_processor_or_cuda(tmp_path):
    path = write_onnx(tmp_path / "net.onnx")
    assert open_model(path, device="cpu").session.providers == ("CPUExecutionProvider",)
    with pytest.raises(UsageError, match="`--device mps` cannot run an exported network"):
        open_model(path, device="mps")


def test_a_container_under_the_suffix_of_another_is_refused(make_bundle, tmp_path):
    path = make_bundle()
    with pytest.raises(BundleError, match="`wrong.onnx` is not an ONNX file"):
        open_model(path.rename(tmp_path / "wrong.onnx"))
    with pytest.raises(BundleError, match="`wrong.safetensors` is not a safetensors file"):
        open_model(write_onnx(tmp_path / "wrong.safetensors"), device="cpu")


@pytest.mark.parametrize("use", [load, lambda path: measure(str(path))])
def test_what_needs_the_network_itself_refuses_an_exported_one(tmp_path, use):
    with pytest.raises(BundleError, match="is an exported network, which works with predict, evaluate, info and serve"):
        use(write_onnx(tmp_path / "net.onnx"))


def test_without_pytorch_a_bundle_says_what_it_needs(make_bundle, monkeypatch):
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name == "torch" else importlib.util.find_spec(name))
    with pytest.raises(MissingDependencyError, match=r"needs PyTorch, .* `pip install fovea-cnn`.* `fovea export"):
        open_model(make_bundle())
