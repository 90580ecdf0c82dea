"""Copies are found after known edits, different images are not; groups know leaks, conflicts and equal pixels."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.fft import dctn

from fovea.data.cache.decoded import decode_dataset
from fovea.data.dataset import Dataset, Part
from fovea.data.duplicates.alignment import align, cut, detail_correlation
from fovea.data.duplicates.candidates import CANDIDATE, each_pair_once
from fovea.data.duplicates.groups import Copy, Member, _digests, connected, find_copies, find_duplicates
from fovea.data.duplicates.likeness import SIDE, Box, Likeness, planes
from fovea.data.sources.folders import load_folder
from fovea.preprocess import Preprocess

SCENE = 96


def scenes(count, *, channels=3, seed=0):
    """Return `count` different pictures (SCENE x SCENE) of smooth random shapes, with power 1/f^2 as photographs."""
    generator = np.random.default_rng(seed)
    rows, columns = np.indices((SCENE, SCENE // 2 + 1))
    frequency = np.hypot(np.minimum(rows, SCENE - rows), columns)
    waves = generator.normal(size=(count, channels, *frequency.shape, 2)) @ (1, 1j) / np.maximum(frequency, 1) ** 1.3
    images = np.fft.irfft2(waves, (SCENE, SCENE))
    scaled = 128 + 45 * images / images.std((2, 3), keepdims=True)
    return [
        Image.fromarray(image) for image in np.clip(scaled, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1).squeeze()
    ]


def thumbnails(images):
    reduced = [np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for image in images]
    return np.stack(reduced).reshape(len(images), SIDE, SIDE, -1)


def jpeg(image, quality):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def crop(image, side):
    length = round(SCENE * side)
    return image.crop((SCENE - length, 2, SCENE, 2 + length))


EDITS = {
    "re-encoded": lambda image: jpeg(image, 30),
    "smaller": lambda image: image.resize((48, 40)),
    "larger": lambda image: image.resize((200, 300)),
    "brighter": lambda image: image.point(lambda value: min(255, 0.8 * value + 40)),
    "mirrored": ImageOps.mirror,
    "cropped": lambda image: crop(image, 0.85),
    "slightly cropped": lambda image: crop(image, 0.95),
    "mirrored, cropped, re-encoded": lambda image: jpeg(crop(ImageOps.mirror(image), 0.9), 75),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_copy_is_found_and_nothing_else(edit, channels):
    originals = scenes(60, channels=channels)
    copies = find_copies(thumbnails([*originals, *(EDITS[edit](image) for image in originals[:20])]))
    assert {frozenset(copy[:2]) for copy in copies} == {frozenset((index, 60 + index)) for index in range(20)}
    assert all(copy.mirrored == ("mirrored" in edit) for copy in copies)
    assert all(0.9 <= copy.similarity <= 1 for copy in copies)


def test_a_crop_tells_how_much_of_the_image_it_shows():
    originals = scenes(30)
    (copy,) = find_copies(thumbnails([*originals, crop(originals[3], 0.8)]))
    assert {copy.first, copy.second} == {3, 30}
    assert copy.overlap == pytest.approx(0.64, abs=0.03)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_handful_of_images_is_enough(count):
    originals = scenes(count)
    copies = find_copies(thumbnails([*originals, jpeg(originals[0], 60)]))
    assert [{copy.first, copy.second} for copy in copies] == [{0, count}]
    assert find_copies(thumbnails(originals)) == []


def test_identical_images_are_chained_to_the_first():
    a, b = thumbnails(scenes(2))
    assert find_copies(np.stack([a, b, a, a])) == [Copy(0, 2, 1.0), Copy(0, 3, 1.0)]
    assert find_copies(np.stack([a, a])) == [Copy(0, 1, 1.0)]
    assert find_copies(a[None]) == []


def test_the_same_shapes_in_other_colours_are_no_copies():
    originals = scenes(40)
    swapped = [Image.merge("RGB", image.split()[::-1]) for image in originals]
    assert find_copies(thumbnails([*originals, *swapped])) == []


def test_single_colours_are_copies_of_their_like_only():
    red, blue, grey = (np.full((SIDE, SIDE, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255), (9, 9, 9)))
    assert find_copies(np.stack([red, blue, grey, blue])) == [Copy(1, 3, 1.0)]


def test_small_things_in_one_sky_are_no_copies():
    originals = scenes(40)
    skies = [Image.new("RGB", (SCENE, SCENE), (90, 140, 220)) for _ in range(2)]
    skies[0].paste((20, 20, 20), (42, 46, 54, 50))
    skies[1].paste((20, 20, 20), (46, 42, 50, 54))
    assert find_copies(thumbnails([*originals, *skies])) == []


def test_stretched_strips_are_not_taken_for_crops():
    originals = scenes(40)
    strips = [original.crop((2, 19, SCENE - 3, 19 + 58)) for original in originals[:12]]
    assert find_copies(thumbnails([*originals, *strips])) == []


def test_a_data_set_in_which_every_image_has_copies_is_no_exception():
    originals = scenes(40)
    edited = [EDITS[edit](image) for edit in ("re-encoded", "smaller", "mirrored") for image in originals]
    groups = connected(find_copies(thumbnails([*originals, *edited])))
    assert groups == [[index, 40 + index, 80 + index, 120 + index] for index in range(40)]


def test_the_result_does_not_depend_on_the_run():
    pictures = thumbnails([*scenes(30), *(jpeg(image, 50) for image in scenes(5))])
    assert find_copies(pictures) == find_copies(pictures)


def test_groups_are_connected_components():
    chained = [Copy(5, 2, 1.0), Copy(2, 9, 1.0), Copy(0, 7, 1.0)]
    assert connected(chained) == [[0, 7], [2, 5, 9]]
    assert connected([]) == []


def test_each_pair_is_kept_once_the_best_first():
    found = np.zeros(4, CANDIDATE)
    found["inner"], found["outer"], found["similarity"] = (1, 2, 0, 1), (2, 1, 3, 2), (0.5, 0.9, 0.7, 0.6)
    assert each_pair_once(found, 4).tolist() == [1, 2]


def test_coefficients_are_those_of_a_cosine_transform():
    picture = thumbnails(scenes(1, channels=1))
    likeness = Likeness(picture, luma=32, colour=0, generator=np.random.default_rng(0))
    expected = dctn(picture[0, :, :, 0].astype(float), type=2)
    k = np.arange(1, SIDE)
    pixel = np.concatenate([[1], 2 * SIDE / (np.pi * k) * np.sin(np.pi * k / (2 * SIDE))])  # waves averaged in a pixel
    expected = (expected * np.outer(pixel, pixel)).ravel()[1:]
    np.testing.assert_allclose(likeness.coefficients(picture)[0], expected / np.linalg.norm(expected), atol=2e-5)


def test_a_box_is_described_as_the_image_cut_out_would_be():
    pictures = thumbnails(scenes(5))
    likeness = Likeness(pictures, luma=8, colour=3, generator=np.random.default_rng(0))
    box = Box(0.25, 0.5, 0.5, 0.25)
    inside = pictures[:, 8:24, 16:24].repeat(2, axis=1).repeat(4, axis=2)
    np.testing.assert_allclose(
        likeness.coefficients(pictures, box=box), likeness.of_planes(planes(inside)), rtol=0, atol=1e-5
    )


def test_mirrored_descriptors_are_those_of_mirrored_images():
    pictures = thumbnails(scenes(5))
    likeness = Likeness(pictures, luma=8, colour=3, generator=np.random.default_rng(0))
    mirrored = likeness.mirrored(likeness.coefficients(pictures))
    np.testing.assert_allclose(mirrored, likeness.coefficients(pictures[:, :, ::-1]), rtol=0, atol=1e-5)


def test_whitened_images_of_one_data_set_are_unlike():
    pictures = thumbnails(scenes(150))
    likeness = Likeness(pictures, luma=4, colour=2, generator=np.random.default_rng(0))
    whitened = likeness.whiten(likeness.coefficients(pictures))
    np.testing.assert_allclose(np.linalg.norm(whitened, axis=1), 1, rtol=1e-5)
    assert np.abs(whitened.mean(0)).max() < 0.1


def test_alignment_finds_the_box_that_was_cut_out():
    luma = planes(thumbnails(scenes(20, channels=1)))
    boxes = np.tile(np.array([[0.06, 0.1, 0.88, 0.85]], np.float32), (20, 1))
    found = align(cut(luma, boxes)[:, 0], luma[:, 0], np.tile(np.array([[0, 0, 1, 1]], np.float32), (20, 1)))
    np.testing.assert_allclose(found, boxes, atol=0.01)


def test_details_correlate_whatever_the_brightness_and_contrast():
    a, b = planes(thumbnails(scenes(2, channels=1)))
    np.testing.assert_allclose(detail_correlation(a, 0.5 * a + 40), 1, atol=1e-3)
    np.testing.assert_allclose(detail_correlation(a, 255 - a), -1, atol=1e-2)
    assert abs(detail_correlation(a, b)[0]) < 0.3
    flat = np.full_like(a, 90)
    np.testing.assert_allclose([detail_correlation(flat, flat)[0], detail_correlation(a, flat)[0]], [1, 0], atol=1e-2)


def test_cutting_out_all_changes_nothing():
    images = planes(thumbnails(scenes(3)))
    np.testing.assert_allclose(cut(images, np.tile(np.array([[0, 0, 1, 1]], np.float32), (3, 1))), images, atol=1e-3)


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """Return a function of {part: [(file name, class index, picture)]} that gives the data set and its thumbnails."""
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))

    def load(content):
        parts = {}
        for part, entries in content.items():
            files = tuple(tmp_path / f"{part}-{name}" for name, _, _ in entries)
            for file, (_, _, picture) in zip(files, entries, strict=True):
                file.write_bytes(picture) if isinstance(picture, bytes) else picture.save(file)
            labels, names = np.array([label for _, label, _ in entries]), tuple(name for name, _, _ in entries)
            parts[part] = Part(labels=labels, names=names, files=files)
        dataset = Dataset(name="photos", parts=parts, classes=("cat", "dog"), channels=3)
        plan = Preprocess(size=(SIDE, SIDE), channels=3, fit="squash", mean=(0.0,) * 3, std=(1.0,) * 3)
        return dataset, decode_dataset(dataset, plan, allow_bad=True)

    return load


def test_groups_know_leaks_conflicts_and_equal_pixels(photographs):
    a, b, c, *others = scenes(20)
    train = [("a.png", 0, a), ("b.png", 0, b), ("c.png", 0, c), ("c2.bmp", 0, c), ("bad.png", 0, b"no image")]
    train += [(f"{index}.png", 1, picture) for index, picture in enumerate(others)]
    dataset, decoded = photographs(
        {"train": train, "test": [("a.jpg", 0, a), ("b.bmp", 1, crop(ImageOps.mirror(b), 0.9))]}
    )
    found = {group.images[0].name: group for group in find_duplicates(dataset, decoded)}
    assert [(image.part, image.name, image.label) for image in found["b.png"].images] == [
        ("train", "b.png", "cat"),
        ("test", "b.bmp", "dog"),
    ]
    facts = {
        name: (group.leak, group.conflict, group.exact, group.mirrored, group.cropped) for name, group in found.items()
    }
    assert facts == {
        "a.png": (True, False, False, False, False),
        "b.png": (True, True, False, True, True),
        "c.png": (False, False, True, False, False),
    }


def test_equal_thumbnails_of_different_images_are_no_exact_duplicates(photographs):
    plain = Image.new("RGB", (64, 64), "white")
    dataset, decoded = photographs({"train": [("a.png", 0, plain), ("b.png", 0, plain.resize((80, 60)))]})
    (group,) = find_duplicates(dataset, decoded)
    assert not group.exact and group.similarity == 1


def test_numbers_as_labels_conflict_where_they_differ():
    pixels = np.stack([thumbnails(scenes(1))[0]] * 2)
    part = Part(labels=np.array([1.5, 2], np.float32), names=("0", "1"), pixels=pixels)
    dataset = Dataset(name="ages", parts={"train": part}, classes=(), channels=3, task="number")
    (group,) = find_duplicates(dataset, dataset)
    assert group.conflict and group.exact and [image.label for image in group.images] == ["1.5", "2"]


def test_images_too_large_to_be_decoded_whole_are_compared_by_their_bytes(tmp_path, monkeypatch):
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (2000, 2000), "red" if name[0] == "a" else "blue").save(tmp_path / name)
    dataset = load_folder(tmp_path)
    monkeypatch.setenv("FOVEA_IMAGE_MB", "20")
    digests = _digests(dataset, [Member("train", name, "") for name in dataset.parts["train"].names])
    assert len(digests) == 3 and len(set(digests.values())) == 2
