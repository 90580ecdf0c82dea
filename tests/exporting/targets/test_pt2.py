import io
import json

import pytest
import torch
from seeded_bundles import seeded_bundle

from fovea.card import Card
from fovea.errors import UsageError
from fovea.jobs.export import export

SAMPLES = torch.randint(0, 256, (5, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.filterwarnings("ignore:`isinstance.treespec")
@pytest.mark.parametrize(("task", "options"), [("labels", {}), ("classes", {"half": True})])
def test_the_program_answers_as_the_network_and_holds_the_card(tmp_path, task, options):
    bundle = seeded_bundle(task)
    done = export(bundle, to="pt2", out=tmp_path / "net.pt2", **options)
    files = {"card.json": ""}
    module = torch.export.load(io.BytesIO(done.path.read_bytes()), extra_files=files).module()
    rows, logits, *_ = module(SAMPLES)
    torch.testing.assert_close(logits, bundle.outputs(SAMPLES.numpy()), atol=0.05 if options else 1e-4, rtol=0)
    assert rows.shape == (5, 3)
    card = Card.parse(files["card.json"], "net.pt2")
    assert card.target == bundle.target and card.other["export"] == {
        **{"precision": "float16" if options else "float32", "raw": False, "dynamic_size": False, "opset": 20},
        "proof": json.loads(json.dumps(done.facts["proof"])),
    }


def test_an_open_size_is_refused(tmp_path):
    with pytest.raises(UsageError, match="`--dynamic-size` cannot be combined with `--to pt2`"):
        export(seeded_bundle(), to="pt2", out=tmp_path / "net.pt2", dynamic_size=True)
