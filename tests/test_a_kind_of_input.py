"""The proof that a kind of input is one object: float32 waves (C, T), which no release has, go the same way as images.

Cache, training, resumption, model file and prediction, by public functions; no line of the package knows them.
"""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import fovea
from fovea import inputs
from fovea.data.cache.decoded import cache_folder
from fovea.data.dataset import Dataset, Part
from fovea.data.sources.source import Reader, reading_also
from fovea.display import Display
from fovea.errors import ImageError, UsageError
from fovea.inputs.interface import InputKind
from fovea.inputs.views import PLAIN, Protocol

C, T = 2, 32
NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, classes=2, c_in=2):
        super().__init__(nn.Conv1d(c_in, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(4),
                         nn.Conv1d(8, 8, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
                         nn.Linear(8, classes))
"""


@dataclass(frozen=True, kw_only=True)
class WavesPreprocess:
    """A series is cut to its first `length` samples."""

    input: ClassVar[str] = "waves"
    length: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def shape(self):
        return self.channels, self.length

    stored_shape = shape
    dtype = "float32"

    @property
    def cache_key(self):
        return ["waves", self.channels, self.length]

    def read(self, source):
        try:
            values = source if isinstance(source, np.ndarray) else np.load(source, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ImageError(f"`{source}`: no array") from error
        if values.shape[0] != self.channels or values.shape[1] < self.length:
            raise ImageError(f"`{source}`: its shape is {values.shape}")
        return self.fit_stored(values.astype(np.float32))

    def fit_stored(self, sample):
        return np.ascontiguousarray(sample[:, : self.length])

    def roomy(self, room):
        return self

    def normalise(self, samples):
        mean, std = (np.array(values, np.float32)[:, None] for values in (self.mean, self.std))
        return (samples - mean) / std

    def with_normalisation(self, mean, std):
        return replace(self, mean=mean, std=std)

    def to_dict(self):
        lists = {"mean": list(self.mean), "std": list(self.std)}
        return {"input": "waves", "length": self.length, "channels": self.channels, **lists}


class WavesInput:
    """Makes network inputs of stored series."""

    def __init__(self, preprocess, device):
        self.device = device
        self.mean, self.std = (torch.tensor(v, device=device)[:, None] for v in (preprocess.mean, preprocess.std))

    def arranged(self, samples):
        return torch.from_numpy(np.array(samples)).to(self.device)

    def __call__(self, samples):
        return (samples - self.mean) / self.std

    def undo(self, given):
        return given * self.std + self.mean


class Waves(InputKind):
    """The kind of input."""

    name = "waves"
    nouns = "waves"

    def geometry(self, *, size, fit, channels, native_size, settings):
        return WavesPreprocess(length=native_size[1], channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels)

    def from_dict(self, given):
        if set(given) != {"input", "length", "channels", "mean", "std"}:
            raise UsageError("The preprocessing of a series has other fields.")
        lists = {name: tuple(given[name]) for name in ("mean", "std")}
        return WavesPreprocess(length=given["length"], channels=given["channels"], **lists)

    def per_channel(self, sample):
        return sample.T.astype(np.float64)

    def network_input(self, preprocess, device):
        return WavesInput(preprocess, device)

    def laid(self, values, sample):
        return np.repeat(values[None], C, axis=0)

    def described(self, sample):
        return f"wave, {T} steps"

    def thumbnail(self, sample):
        scaled = (sample - sample.min()) / max(float(np.ptp(sample)), 1e-9)
        return (255 * scaled).astype(np.uint8)[..., None]


def found(path: Path, source, _) -> Dataset:
    """Return the series in the folder `path/LABEL`, every fourth of them the test part."""
    files = sorted(path.glob("*/*.npy"))
    chosen = {"train": [f for i, f in enumerate(files) if i % 4], "test": files[::4]}
    labels, classes = fovea_classes({part: [f.parent.name for f in own] for part, own in chosen.items()})
    parts = {
        part: Part(
            labels=labels[part],
            names=tuple(f.relative_to(path).as_posix() for f in own),
            files=tuple(own),
        )
        for part, own in chosen.items()
    }
    return Dataset(
        name=path.name, parts=parts, classes=classes, channels=C, input="waves", native_size=(C, T), fingerprint="f"
    )


def fovea_classes(texts):
    from fovea import tasks

    return tasks.kind("classes").encode(texts)


@pytest.fixture(scope="module", autouse=True)
def registered():
    inputs.register(Waves())
    with ExitStack() as stack:
        stack.enter_context(reading_also(Reader(lambda path, _: path.name == "waves", found)))
        yield
    inputs.unregister("waves")


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """Return a folder of slow and fast waves, one broken file among them."""
    folder, generator = tmp_path_factory.mktemp("data") / "waves", np.random.default_rng(0)
    for label, rate in (("slow", 1.5), ("fast", 4.0)):
        (folder / label).mkdir(parents=True)
        for index in range(48):
            phase = generator.uniform(0, 6.28, (C, 1)) + np.linspace(0, 6.28 * rate, T)
            np.save(folder / label / f"{index:02}.npy", 3 + np.sin(phase) + 0.2 * generator.normal(size=(C, T)))
    (folder / "slow" / "02.npy").write_bytes(b"no array")
    return folder


@pytest.fixture
def options(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    given = {"model": f"{tmp_path / 'net.py'}:Net", "epochs": 8, "batch": 8, "lr": 0.01, "threads": 1}
    return {**given, "precision": "float32", "device": "cpu"}


def network():
    namespace = {}
    exec(NET, namespace)
    return namespace["Net"]()


def quiet(*arguments, **given):
    return fovea.train(*arguments, display=Display(quiet=True), **given)


def test_they_are_cached_trained_saved_evaluated_and_predicted(waves, options, tmp_path):
    run = quiet(waves, out=tmp_path / "run", **options)
    [entry] = cache_folder().glob("waves-train-2x32-*")
    rows = np.memmap(entry / "rows.u8", np.float32, mode="r").reshape(-1, C, T)
    card = fovea.info(run.model).card
    assert len(rows) == card["training"]["data"]["images"]["train"] and rows.mean() == pytest.approx(3, abs=0.2)
    assert run.results[-1]["accuracy"] > 0.9
    assert card["preprocess"]["input"] == "waves" and card["preprocess"]["length"] == T
    assert card["preprocess"]["mean"] == pytest.approx([3, 3], abs=0.1)
    bundle = fovea.load(run.model, model=network())
    assert fovea.evaluate(bundle, waves).accuracy == run.results[-1]["accuracy"]
    results = list(fovea.predict(bundle, [waves / "fast" / "00.npy", waves / "slow" / "02.npy"]))
    assert results[0].prediction.label == "fast" and results[1].error == "no array"
    assert "slow/02.npy" in (run.run / "report.html").read_text()


def test_a_killed_run_goes_on_to_the_same_bits(waves, options, tmp_path, dying_after):
    options["epochs"] = 3
    whole = quiet(waves, out=tmp_path / "whole", **options)
    with dying_after(11):
        quiet(waves, out=tmp_path / "stopped", checkpoint_minutes=1e-9, **options)
    resumed = quiet(resume=tmp_path / "stopped", model=options["model"])
    ours, theirs = (fovea.load(run.model, model=network()).model.state_dict() for run in (whole, resumed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours) and resumed.results == whole.results


def test_what_only_images_have_is_refused(waves, options, tmp_path):
    run = quiet(waves, out=tmp_path / "run", **{**options, "epochs": 1})
    bundle = fovea.load(run.model, model=network())
    with pytest.raises(UsageError, match="only for images, not for waves"):
        fovea.evaluate(bundle, waves, flip=True)
    with pytest.raises(UsageError, match="only for images, not for waves"):
        fovea.predict(bundle, waves, flip=True)
    assert isinstance(bundle.model[0], nn.Conv1d) and bundle.first_layer() is None
    assert Protocol() == PLAIN


def test_the_network_sees_what_numpy_computes(waves, options, tmp_path):
    run = quiet(waves, out=tmp_path / "run", **{**options, "epochs": 1})
    bundle = fovea.load(run.model, model=network())
    sample = bundle.preprocess.read(waves / "fast" / "00.npy")
    prepared = bundle.inputs(torch.from_numpy(sample[None])).numpy()
    np.testing.assert_allclose(prepared, bundle.preprocess.normalise(sample[None]), rtol=1e-5)


def test_their_networks_are_exported_channels_first_as_they_are(waves, options, tmp_path):
    run = quiet(waves, out=tmp_path / "run", **options)
    loaded = fovea.load(run.model, model=network())
    done = fovea.export(loaded, out=tmp_path / "net.onnx", images=waves / "fast" / "*.npy")
    assert done.facts["proof"]["source"] == "waves of *.npy"
    paths = sorted((waves / "fast").glob("*.npy"))[:5]
    found, expected = (list(fovea.predict(model, paths)) for model in (done.path, loaded))
    assert [row.prediction.label for row in found] == [row.prediction.label for row in expected]
