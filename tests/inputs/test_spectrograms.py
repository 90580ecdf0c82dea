"""Recordings: WAV files of every form, broken ones, one rate and duration, and what a spectrogram shows."""

import struct

import numpy as np
import pytest
import torch

from fovea import inputs
from fovea.errors import ImageError, UsageError
from fovea.inputs.sound import filters, fitted, log_mel, read_wav, resampled, wav_format
from fovea.inputs.spectrograms import SpectrogramPreprocess

KIND = inputs.kind("spectrograms")
RATE = 8000


def wav(path, content, *, coding=1, channels=1, rate=RATE, bits=16, extra=b"", announced=None, extensible=False):
    each = channels * bits // 8
    fmt = struct.pack("<HHIIHH", 0xFFFE if extensible else coding, channels, rate, rate * each, each, bits)
    if extensible:
        fmt += struct.pack("<HHIH", 22, bits, 0, coding) + bytes(14)
    data = struct.pack("<4sI", b"data", len(content) if announced is None else announced) + content
    chunks = struct.pack("<4sI", b"fmt ", len(fmt)) + fmt + extra + data
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks)
    return path


def way(**changes):
    return SpectrogramPreprocess(
        **{"rate": RATE, "seconds": 0.5, "bands": 32, "mean": (0.0,), "std": (1.0,), **changes}
    )


def tone(hertz, seconds=0.5):
    return np.sin(2 * np.pi * hertz * np.arange(int(RATE * seconds)) / RATE).astype(np.float32)


@pytest.mark.parametrize(
    ("bits", "coding", "content"),
    [
        (8, 1, bytes([128, 192, 0])),
        (16, 1, struct.pack("<3h", 0, 16384, -32768)),
        (24, 1, bytes([0, 0, 0, 0, 0, 0x40, 0, 0, 0x80])),
        (32, 1, struct.pack("<3i", 0, 1 << 30, -(1 << 31))),
        (32, 3, struct.pack("<3f", 0, 0.5, -1)),
        (64, 3, struct.pack("<3d", 0, 0.5, -1)),
    ],
)
@pytest.mark.parametrize("extensible", [False, True])
def test_every_form_gives_the_same_sound(tmp_path, bits, coding, content, extensible):
    file = wav(tmp_path / "a.wav", content, bits=bits, coding=coding, extensible=extensible)
    for source in (file, file.read_bytes()):
        sound, rate = read_wav(source)
        assert sound.tolist() == [0, 0.5, -1] and sound.dtype == np.float32 and rate == RATE


def test_channels_become_their_mean_and_other_chunks_are_passed_over(tmp_path):
    extra = struct.pack("<4sI", b"LIST", 3) + b"abc\0"
    file = wav(tmp_path / "a.wav", struct.pack("<4h", 16384, 0, -16384, 16384), channels=2, extra=extra)
    assert read_wav(file)[0].tolist() == [0.25, 0]
    assert wav_format(file).seconds == 2 / RATE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"coding": 7}, "its sound is mu-law; convert it to PCM"),
        ({"bits": 12}, "values of 12 bits; supported are 8, 16, 24, 32"),
        ({"channels": 0}, "0 channels"),
        ({"rate": 10}, "10 values per second"),
        ({"announced": 1000}, "it ends after 4 of 1,000 bytes of sound"),
        ({"content": b""}, "it contains no sound"),
        ({"coding": 3, "bits": 32, "content": struct.pack("<f", float("nan"))}, "not finite"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, changes, reason):
    content = changes.pop("content", b"\0\0\0\0")
    file = wav(tmp_path / "a.wav", content, **changes)
    with pytest.raises(ImageError, match=f"a.wav`: .*{reason}"):
        read_wav(file)
    with pytest.raises(ImageError, match=f"^[^`]*{reason}"):
        read_wav(file.read_bytes())


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff", b"no sound" * 9]
)
def test_bytes_that_are_no_recording_are_refused(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(ImageError, match="a.wav`: (this is not a|a) WAV file"):
        read_wav(tmp_path / "a.wav")
    with pytest.raises(ImageError, match="^(this is not a|a) WAV file"):
        read_wav(content)
    with pytest.raises(ImageError, match="No such file"):
        read_wav(tmp_path / "none.wav")


def test_a_longer_recording_keeps_its_middle_and_a_shorter_one_stands_between_silence():
    assert fitted(np.arange(5, dtype=np.float32), 3).tolist() == [1, 2, 3]
    assert fitted(np.ones(2, np.float32), 5).tolist() == [0, 1, 1, 0, 0]


def test_resampling_keeps_a_tone_and_its_duration():
    low = resampled(tone(440), RATE, 4000)
    assert len(low) == 2000 and low.dtype == np.float32
    assert np.abs(np.fft.rfft(low)).argmax() * 4000 / len(low) == 440
    assert resampled(low, 4000, 4000) is low


def test_a_higher_tone_lies_in_a_higher_band_and_the_loudest_is_at_zero():
    found = [log_mel(tone(hertz), rate=RATE, window=200, hop=80, bands=32, floor_db=60) for hertz in (300, 900, 2700)]
    bands = [int(each.mean(axis=1).argmax()) for each in found]
    assert bands == sorted(bands) and bands[2] - bands[0] > 8
    assert all(each.max() == 0 and each.min() == -60 and each.shape == (32, 48) for each in found)
    quieter = log_mel(0.01 * tone(300), rate=RATE, window=200, hop=80, bands=32, floor_db=60)
    np.testing.assert_allclose(quieter, found[0], atol=1e-3)
    assert (log_mel(np.zeros(400, np.float32), rate=RATE, window=200, hop=80, bands=8, floor_db=60) == -60).all()


def test_no_band_is_empty():
    assert (filters(RATE, 256, 128).sum(axis=1) > 0).all()


def test_the_shape_follows_from_rate_duration_and_window():
    preprocess = way(hop_ms=10)
    assert preprocess.shape == (1, 32, 48) and preprocess.stored_shape == (32, 48, 1)
    assert preprocess.read(tone(300)).shape == (32, 48, 1)
    assert inputs.from_dict(preprocess.to_dict()) == preprocess
    samples = np.stack([preprocess.read(tone(hertz)) for hertz in (300, 900)])
    settled = preprocess.with_normalisation((-30.0,), (20.0,))
    prepare = KIND.network_input(settled, torch.device("cpu"))
    np.testing.assert_allclose(prepare(prepare.arranged(samples)).numpy(), settled.normalise(samples), atol=1e-5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rate", 10),
        ("seconds", 0),
        ("window_ms", 0),
        ("bands", 1000),
        ("floor_db", 0),
        ("fit", "squash"),
        ("seconds", 0.01),
    ],
)
def test_a_field_out_of_range_is_refused(field, value):
    with pytest.raises(UsageError, match=f"`{field}`"):
        way(**{field: value})


def test_the_usual_duration_holds_nearly_all_recordings_whole(tmp_path):
    files = [wav(tmp_path / f"{i}.wav", bytes(2 * RATE * (4 if i else 40) // 10)) for i in range(40)]
    survey = KIND.survey(files)
    assert survey.size == (400, RATE) and "0.4 s are taken" in survey.notes[0]
    found = KIND.geometry(size=16, fit="crop", channels=1, native_size=survey.size, settings={"rate": 4000})
    assert (found.rate, found.seconds, found.bands) == (4000, 0.4, 16)
