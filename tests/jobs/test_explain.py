"""`fovea explain`: which files there are, what they say, and what is refused before any work."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import fovea
from fovea import registry
from fovea.cli import run
from fovea.errors import DataError, UsageError
from fovea.jobs.explain import explain
from fovea.jobs.trust import trust
from fovea.model.bundle import Bundle, load

SIDE = 32


@pytest.fixture
def lenet_of(make_bundle):
    """Return a function that writes a small network that knows red, green and blue, its weights drawn."""

    def write(channels):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = registry.build("lenet5", classes=3, c_in=channels, size=SIDE)
        normalisation = {"mean": [0.0] * channels, "std": [1.0] * channels}
        decoding = {"decoder": "pillow", "resample": "bilinear", "antialias": True, "alpha_over": "white", "fill": 128}
        return make_bundle(
            model=model,
            architecture="lenet5",
            arguments={"classes": 3, "c_in": channels, "size": SIDE},
            preprocess={"size": [SIDE, SIDE], "channels": channels, "fit": "squash", **normalisation, **decoding},
        )

    return write


@pytest.fixture
def lenet(lenet_of):
    """Return the file of such a network that sees colours."""
    return lenet_of(3)


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_one_image_has_a_page_pictures_and_maps(lenet, photo, tmp_path):
    result = explain(lenet, photo, method="gradcam, hirescam", target="green", out=tmp_path / "page.html")
    assert result.page == tmp_path / "page.html"
    (written,) = result.written
    assert [path.name for path in written.pictures] == ["page-gradcam-green.png", "page-hirescam-green.png"]
    with np.load(written.maps) as maps:
        assert list(maps["names"]) == ["gradcam: green", "hirescam: green"]
        assert maps["map0"].dtype == np.float32 and maps["map0"].min() >= 0
    with Image.open(written.pictures[0]) as drawn:
        assert drawn.size == (SIDE, SIDE)
    page = result.page.read_text()
    assert "Grad-CAM" in page and "<script>" in page and "script-src 'sha256-" in page
    (said,) = result.to_dict()["images"]
    assert [(one["method"], one["answer"]) for one in said["explanations"]] == [
        ("gradcam", "green"),
        ("hirescam", "green"),
    ]
    assert said["explanations"][0]["layer"]


def test_a_folder_has_a_gallery_and_its_name_is_the_truth(lenet, colour_folder, tmp_path):
    folder = colour_folder("colours", count=1)
    result = explain(lenet, folder, out=tmp_path / "album")
    assert result.page == tmp_path / "album" / "index.html" and len(result.written) == 3
    assert sorted(said["truth"] for said in result.explanations) == ["blue", "green", "red"]
    gallery = result.page.read_text()
    assert all(f'href="{written.page.name}"' in gallery for written in result.written)


def test_what_cannot_be_read_is_named_and_the_rest_explained(lenet, photo, tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    arguments = ["explain", str(lenet), str(tmp_path / "broken.png"), str(photo), "--out", str(tmp_path / "both")]
    assert run([*arguments, "--json"]) == 1
    out, error = capsys.readouterr()
    assert [("error" in image) for image in json.loads(out)["images"]] == [True, False]
    assert "broken.png" in error and "1 of the inputs cannot be read" in error
    with pytest.raises(DataError, match=r"None of the images can be read. The first: .*broken.png"):
        explain(lenet, tmp_path / "broken.png", out=tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_the_worst_mistakes_of_a_data_set(lenet, colour_folder, tmp_path):
    result = explain(lenet, mistakes=colour_folder("colours"), out=tmp_path / "album")
    wrong = result.explanations[0]
    assert wrong["truth"] != wrong["predictions"][0]["label"]
    assert [one["answer"] for one in wrong["explanations"]] == [wrong["predictions"][0]["label"], wrong["truth"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "gradcm"}, "Unknown method `gradcm`; did you mean `gradcam`"),
        ({"target": "grean"}, "Unknown class `grean`; did you mean `green`"),
        ({"target": "3"}, "Unknown class `3`"),
        ({"against": "purple"}, "Unknown class `purple`"),
        ({"layer": "stage9"}, "Unknown layer `stage9`; did you mean `stage"),
        (
            {"layer": "head.logits"},
            (
                r"The output of `head.logits` is \(1, 3\), not a feature map .* the output of "
                r"`stage2.* is one"
            ),
        ),
        (
            {"layer": "stage1", "method": "lrp,saliency"},
            ("works only for methods that weigh feature maps; lrp, saliency explain"),
        ),
        ({"mistakes": "digits"}, "Give images or `mistakes` with a data set, not both"),
        ({"target": "green", "against": "1"}, r"`against` \(=1\) is the explained answer itself"),
        ({"method": "rise", "settings": {"masks": 0}}, r"`masks` \(=0\) must be from 1 to 1,000,000"),
        ({"method": "rise", "settings": {"masks": 10**8}}, r"`masks` \(=100000000\) must be from 1"),
        ({"method": "rise", "settings": {"grid": 0}}, r"`grid` \(=0\) must be from 1 to 64"),
        ({"method": "smoothgrad", "settings": {"n": -2}}, r"`n` \(=-2\) must be from 1"),
        ({"method": "smoothgrad", "settings": {"sigma": "nan"}}, r"`sigma` \(=nan\) must be a finite number"),
        ({"method": "integrated_gradients", "settings": {"steps": 0}}, r"`steps` \(=0\) must be from 1"),
        ({"method": "occlusion", "settings": {"patch": 0}}, r"`patch` \(=0\) must be from 1"),
        ({"method": "occlusion", "settings": {"fill": "glue"}}, r"`fill` \(=glue\) must be one of mean"),
        ({"method": "lrp", "settings": {"epsilon": -1}}, r"`epsilon` \(=-1.0\) must be from 0"),
        ({"method": "counterfactual", "settings": {"steps": -1}}, r"`steps` \(=-1\) must be from 1"),
        ({"out": "album"}, r"`out` \(=album\) must end in .html"),
        ({"out": "nowhere/page.html"}, "there is no folder `nowhere`"),
    ],
)
def test_what_cannot_be_explained_is_refused(lenet, photo, options, message):
    with pytest.raises(UsageError, match=message):
        explain(lenet, photo, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layer", "stage9"], "error: Unknown layer `stage9`; did you mean `stage"),
        (
            ["--layer", "head.logits"],
            ("error: The output of `head.logits` is (1, 3), not a feature map (N, C, h, w); the output of"),
        ),
        (["--target", "grean"], "error: Unknown class `grean`; did you mean `green`?"),
        (["--target", "green", "--against", "7"], "error: Unknown class `7`"),
        (["--method", "gradcm"], "error: Unknown method `gradcm`; did you mean `gradcam`"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong_before_an_image_is_read(lenet, tmp_path, capsys, options, message):
    assert run(["explain", str(lenet), str(tmp_path / "nowhere.png"), *options]) == 2
    out, error = capsys.readouterr()
    assert error.startswith(message) and error.count("\n") == 1 and not out


def test_a_network_without_maps_is_said_before_an_image_is_read(make_bundle, tmp_path):
    with pytest.raises(UsageError, match="No layer of this network has a feature map"):
        explain(make_bundle(), tmp_path / "nowhere.png")


def test_what_is_named_twice_is_explained_once(lenet, photo, tmp_path):
    out = tmp_path / "page.html"
    result = explain(lenet, photo, method="gradcam,gradcam", target=["green", "1", "green"], out=out)
    assert len(result.explanations[0]["explanations"]) == len(result.written[0].pictures) == 1


@pytest.mark.parametrize("names", [("a b", "a-b", "a/b"), tuple(end + "\u72ac" * 80 for end in "abc")])
def test_answers_whose_names_are_alike_or_long_have_a_picture_each(names, photo, tmp_path, make_bundle):
    network = make_bundle(
        model=registry.build("lenet5", classes=3, c_in=3, size=SIDE),
        architecture="lenet5",
        arguments={"classes": 3, "c_in": 3, "size": SIDE},
        preprocess={"size": [SIDE, SIDE], "channels": 3, "mean": [0.0] * 3, "std": [1.0] * 3, "fit": "squash"}
        | {"decoder": "pillow", "resample": "bilinear", "antialias": True, "alpha_over": "white", "fill": 128},
        classes=list(names),
    )
    image = photo.rename(tmp_path / ("\u72ac" * 80 + ".png"))
    result = explain(network, [image, image], target=names, out=tmp_path / "album")
    assert len({path for written in result.written for path in written.pictures if path.exists()}) == 6


@pytest.mark.parametrize("target", ["blue", "2"])
def test_the_command_takes_a_class_by_name_or_number(lenet, photo, tmp_path, capsys, target):
    page = str(tmp_path / "page.html")
    assert run(["explain", str(lenet), str(photo), "--target", target, "--against", "0", "--out", page, "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["images"]
    assert (said["explanations"][0]["answer"], said["explanations"][0]["against"]) == ("blue", "red")


@pytest.mark.parametrize(
    ("channels", "mode", "said"),
    [
        (1, "RGB", "converted from colour to grey: "),
        (1, "P", "converted from a palette to grey: "),
        (1, "RGBA", "converted from colour with transparency to grey: "),
        (3, "L", "converted from grey to colour: "),
        (3, "RGBA", "converted from colour with transparency to colour: "),
        (3, "RGB", ""),
        (1, "L", ""),
    ],
)
def test_an_image_of_other_channels_is_converted_as_for_a_prediction_and_said(
    lenet_of, photo, tmp_path, capsys, channels, mode, said
):
    model, path = lenet_of(channels), tmp_path / f"{mode}.png"
    with Image.open(photo) as image:
        image.convert(mode).save(path)
    assert run(["explain", str(model), str(path), "--out", str(tmp_path / "page.html"), "--json"]) == 0
    out, error = capsys.readouterr()
    assert error == (f"{said}{path}\n" if said else "")
    (predicted,) = fovea.predict(model, path)
    assert json.loads(out)["images"][0]["predictions"] == predicted.to_dict()["predictions"]


def test_of_many_images_that_are_converted_alike_one_line_is_said(lenet_of, colour_folder, tmp_path, capsys):
    folder, model = colour_folder("colours", count=1), lenet_of(1)
    assert run(["explain", str(model), str(folder), "--out", str(tmp_path / "album")]) == 0
    assert capsys.readouterr().err == f"converted from colour to grey: {folder / 'blue' / '0.png'} and 2 more\n"


@pytest.fixture
def checked(lenet, colour_folder, tmp_path):
    """Return the result of a check of two methods."""
    given = {"method": "gradcam,saliency", "images": 2, "steps": 2, "planted": False}
    return trust(lenet, colour_folder("colours"), out=tmp_path / "checks.html", **given)


def test_methods_carry_the_badges_of_the_model(lenet, photo, checked, tmp_path):
    assert checked.file == lenet.with_name("model-trust.json")
    found = explain(lenet, photo, method="gradcam,lrp", out=tmp_path / "page.html")
    first, second = found.explanations[0]["explanations"]
    assert first["trust"] == checked.to_dict()["methods"]["gradcam"]["checks"] and second["trust"] is None
    page = found.page.read_text()
    passes = first["trust"]["sanity"]
    assert f"{'✓ passes' if passes else '✗ fails'} the sanity check" in page
    assert page.count("not checked: <code>fovea trust MODEL DATA</code>") == 1


@pytest.mark.parametrize("kind", [("--method", "saliency"), ("--show", "maps")])
def test_it_computes_on_as_many_threads_as_asked(lenet, photo, kind, tmp_path, monkeypatch):
    before, seen, inputs_of = torch.get_num_threads(), set(), Bundle.inputs_of

    def watched(*given):
        seen.add(torch.get_num_threads())
        return inputs_of(*given)

    monkeypatch.setattr(Bundle, "inputs_of", watched)
    threads = ["--threads", str(before + 1)]
    assert run(["explain", str(lenet), str(photo), *kind, *threads, "--out", str(tmp_path / "page.html")]) == 0
    assert (seen, torch.get_num_threads()) == ({before + 1}, before)


def test_badges_of_another_model_are_not_used(lenet, photo, checked, make_bundle, tmp_path, capsys):
    lenet.write_bytes(make_bundle("other.safetensors").read_bytes())
    saliency = ["--method", "saliency", "--out", str(tmp_path / "page.html")]
    assert run(["explain", str(lenet), str(photo), *saliency]) == 0
    assert "trust: not used: " in (error := capsys.readouterr().err) and "belongs to another model file" in error
    assert "not checked" in (tmp_path / "page.html").read_text()
    # named, it is refused before anything is written
    with pytest.raises(
        UsageError, match="belongs to another model file than `model.safetensors`; run `fovea trust` again"
    ):
        explain(lenet, photo, method="saliency", trust=checked.file, out=tmp_path / "refused.html")
    checked.file.write_text("{}")
    with pytest.raises(DataError, match="is not a result of `fovea trust`: `format` is missing"):
        explain(lenet, photo, method="saliency", trust=checked.file, out=tmp_path / "refused.html")
    assert not (tmp_path / "refused.html").exists()


def test_badges_are_looked_for_where_one_works_and_where_pages_go(lenet, photo, checked, tmp_path, monkeypatch):
    for place, (here, out) in {
        "work": (tmp_path / "work", tmp_path / "page.html"),
        "pages": (tmp_path, tmp_path / "pages" / "page.html"),
    }.items():
        (tmp_path / place).mkdir()
        monkeypatch.chdir(here)
        checked.file.rename(tmp_path / place / checked.file.name)
        assert explain(lenet, photo, out=out).explanations[0]["explanations"][0]["trust"]
        (tmp_path / place / checked.file.name).rename(checked.file)


def test_a_network_that_is_no_file_has_no_badges(lenet, photo, checked, tmp_path):
    bundle = load(lenet)
    assert explain(bundle, photo, out=tmp_path / "page.html").explanations[0]["explanations"][0]["trust"] is None
    with pytest.raises(UsageError, match="belongs to a model file, and no file was given; give the path"):
        explain(bundle, photo, trust=checked.file)


def test_an_answer_has_a_number_too(lenet, photo, tmp_path):
    first, second = (
        explain(lenet, photo, target=name, out=tmp_path / f"{name}.html").explanations[0] for name in ("2", "blue")
    )
    assert first["explanations"][0]["answer"] == second["explanations"][0]["answer"] == "blue"


def test_numbers_have_no_answer_to_choose(make_number_bundle, photo):
    with pytest.raises(UsageError, match="this model predicts a number"):
        explain(make_number_bundle(), photo, target="3")


def test_the_evidence_of_tasks():
    from fovea.tasks.classes import Classes
    from fovea.tasks.grade import Grade

    binary = Classes(loss="binary", names=("no", "yes"))
    outputs = torch.tensor([[2.0], [2.0]])
    assert binary.evidence(outputs, torch.tensor([0, 1])).tolist() == [-2.0, 2.0]
    grade = Grade(loss="corn", names=("0", "1", "2"))
    rows = torch.tensor([[0.5, -1.0]])
    expected = grade.log_probabilities(rows)[0]
    assert [float(grade.evidence(rows, torch.tensor([k]))) for k in range(3)] == expected.tolist()


def test_the_command_is_offered_in_python():
    assert fovea.explain is explain
