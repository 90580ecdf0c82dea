import json
import warnings

import onnx
import pytest
from seeded_bundles import TASKS, exported, seeded_bundle

from fovea.errors import UsageError
from fovea.exporting.targets.triton import configuration, model_name, resource_name
from fovea.jobs.export import export

ROWS = {"classes": 3, "labels": 3, "grade": 4, "number": 1}


@pytest.fixture(scope="module")
def messages():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library's generated code
        return pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="tritonclient[grpc] is not installed")


@pytest.mark.parametrize("task", TASKS)
def test_the_configuration_says_what_the_graph_takes_and_gives(messages, task):
    from google.protobuf import text_format

    content, _, card = exported(task)
    text = configuration(onnx.load_from_string(content), "net", labelled=card.target.has_classes)
    config = text_format.Parse(text, messages.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("net", "onnxruntime", 64)
    assert config.HasField("dynamic_batching")
    (given,) = config.input
    assert (given.name, given.data_type, list(given.dims)) == ("images", messages.TYPE_UINT8, [8, 8, 3])
    outputs = {output.name: list(output.dims) for output in config.output}
    rows = "numbers" if task == "number" else "probabilities"
    present = {"present": [3]} if task == "labels" else {}
    assert outputs == {rows: [ROWS[task]], "logits": [1 if task == "number" else 3], **present}
    labelled = [output.name for output in config.output if output.label_filename]
    assert labelled == ([] if task == "number" else ["probabilities"])


def test_the_folder_holds_labels_card_and_an_example_for_kserve(tmp_path):
    bundle = seeded_bundle(classes=["a cat", "two\nlines", "dog"])
    (tmp_path / "other" / "1").mkdir(parents=True)
    done = export(bundle, to="triton", out=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlp", "other"]
    assert done.path == tmp_path / "mlp" / "1" / "model.onnx" and done.path.is_file()
    assert (tmp_path / "mlp" / "labels.txt").read_text().splitlines() == ["a cat", "two lines", "dog"]
    assert json.loads((tmp_path / "mlp" / "card.json").read_text())["export"]["precision"] == "float32"
    assert "kind: InferenceService" in (tmp_path / "mlp" / "kserve.yaml").read_text()


def test_a_folder_of_other_files_is_refused_before_any_work(tmp_path):
    (tmp_path / "mlp").mkdir()
    (tmp_path / "mlp" / "config.pbtxt").write_text("by hand")
    with pytest.raises(UsageError, match="contains other files"):
        export(seeded_bundle(), to="triton", out=tmp_path)


@pytest.mark.parametrize(
    ("text", "name"), [("runs/net.safetensors", "net"), ("ä ö.x", "model"), ("a b(1).onnx", "a_b_1"), ("..", "model")]
)
def test_names_are_those_that_a_server_takes(text, name):
    assert model_name(text) == name


@pytest.mark.parametrize(("name", "resource"), [("Net_V2", "net-v2"), ("18_net", "model-18-net"), ("_", "model")])
def test_resources_are_named_as_kubernetes_wants(name, resource):
    assert resource_name(name) == resource
