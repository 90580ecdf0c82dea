import pytest
import torch
from torch import nn

from fovea.errors import StorageError, UsageError
from fovea.jobs.latency import latency
from fovea.jobs.measure import measure
from fovea.jobs.memory import memory
from fovea.measurement.memory import COUNTED, Memory
from fovea.report.measurement import write_measurement


def test_memory_of_a_name_a_network_and_a_file_is_that_of_the_network(make_bundle):
    # mlp of 48 inputs, 3 and 3 units: 147 + 12 weights
    assert memory(make_bundle(), batch=2).weight_bytes == 4 * (147 + 12)
    assert memory("lenet5", batch=2).weight_bytes == 4 * 61_706
    assert memory(nn.Linear(10, 5), (10,), batch=1).weight_bytes == 4 * 55


@pytest.mark.parametrize("batch", [0, -3, 1_000_001])
def test_a_batch_that_is_none_is_refused(batch):
    with pytest.raises(UsageError, match=r"must be from 1 to 1,000,000 images"):
        memory("lenet5", batch=batch)


def test_memory_is_said_for_people_with_what_counts():
    found = Memory(batch=32, weight_bytes=46_800_000, inference_bytes=271_600_000, training_bytes=1_829_400_000)
    lines = found.summary()
    assert lines[:2] == ["Inference  271.6 MB for 32 images, 46.8 MB of which are weights", "Training   1.83 GB"]
    assert " ".join(lines[2:]) == COUNTED and all(len(line) <= 100 for line in lines)
    unknown = Memory(batch=1, weight_bytes=0, inference_bytes=4, training_bytes=None, missing="it fails")
    assert unknown.summary()[:2] == [
        "Inference  0.0 MB for 1 image, 0.0 MB of which are weights",
        "Training   unknown: it fails",
    ]


def test_latency_has_the_macs_of_the_network_and_is_said_with_its_threads():
    found = latency("lenet5", device="cpu")
    assert found.macs_per_s == pytest.approx(416_520 / found.median_s)
    first, second = found.summary()
    assert first.endswith(f"(90 %) in {found.passes} passes, 1 thread") and second.endswith("GMAC/s")
    assert found.to_dict()["threads"] == torch.get_num_threads()


def test_latency_leaves_the_network_as_it_was():
    model = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1)).train()
    latency(model, (8, 6, 6), device="cpu")
    assert model.training and model[0].weight.is_contiguous()


def test_a_device_that_is_not_here_is_refused():
    with pytest.raises(UsageError, match="this machine has"):
        latency("lenet5", device="npu")


def test_page_is_written_whole_or_not_at_all(tmp_path):
    measured = measure("lenet5")
    path = write_measurement(measured, tmp_path / "page.html", lines=["one more line"])
    assert path.read_text().rstrip().endswith("</html>") and "one more line" in path.read_text()
    with pytest.raises(StorageError):
        write_measurement(measured, tmp_path / "nowhere" / "page.html")
