import sys

import numpy as np
import onnxruntime
import pytest
from onnx_files import network, onnx_model, write_onnx

from fovea import runtime
from fovea.errors import BundleError, MissingDependencyError, UsageError
from fovea.runtime.session import PREFERRED, Session


def content(**changes):
    return onnx_model(**changes).SerializeToString()


def test_the_processor_runs_it_where_there_is_nothing_better():
    there = onnxruntime.get_available_providers()
    assert Session(content(), "x").providers == tuple(name for name in PREFERRED if name in there)
    assert Session(content(), "x", providers=["CPUExecutionProvider"]).providers == ("CPUExecutionProvider",)


@pytest.mark.parametrize("threads", [0, -1, 10**6, 1.5, True, "2"])
def test_another_number_of_threads_is_refused(threads, tmp_path):
    with pytest.raises(UsageError, match="`threads`"):
        runtime.load(write_onnx(tmp_path / "x.onnx"), threads=threads)


def test_threads_do_not_change_the_answer(tmp_path):
    path = write_onnx(tmp_path / "x.onnx")
    samples = np.full((2, 4, 4, 3), 77, np.uint8)
    assert np.array_equal(*(runtime.load(path, threads=threads).scores(samples) for threads in (1, 2)))


def test_providers_that_are_not_there_are_named():
    with pytest.raises(UsageError, match=r"no provider `XExecutionProvider` here; it has .*CPUExecutionProvider"):
        Session(content(), "x", providers=["XExecutionProvider"])
    with pytest.raises(UsageError, match="`providers` is empty"):
        Session(content(), "x", providers=[])


def test_what_onnxruntime_says_is_one_line_and_stays_off_the_terminal(capfd):
    strange = [("Cast", "normalised", "i", {"to": 7}), ("Gather", "table i", "features")]
    session = Session(
        content(**network(strange, table=np.zeros((2, 1), np.float32), head=np.zeros((48, 3), np.float32))), "x.onnx"
    )
    with pytest.raises(BundleError, match=r"`x.onnx` fails on its input: .*out of data bounds.*\.$") as raised:
        session.run(["logits"], {"images": np.full((1, 4, 4, 3), 255, np.uint8)})
    assert "/onnxruntime" not in str(raised.value) and "\n" not in str(raised.value)
    with pytest.raises(BundleError, match="onnxruntime refuses it"):
        Session(b"\x08\x0a\x3a\x00", "x.onnx")
    assert capfd.readouterr() == ("", "")


def test_without_onnxruntime_it_is_said_what_to_install(monkeypatch, tmp_path):
    path = write_onnx(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"`net.onnx` is run by onnxruntime, .* `pip install onnxruntime`"):
        runtime.load(path)


def test_the_file_is_not_kept_beside_the_session():
    assert all(not isinstance(value, bytes) for value in vars(Session(content(), "x")._session).values())
