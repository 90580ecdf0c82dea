"""`fovea search`: what is nearest, by the right model only; as a table, as JSON and as a page."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fovea.cli import run
from fovea.errors import BundleError, UsageError
from fovea.jobs.index import index
from fovea.jobs.search import search
from fovea.retrieval.index_file import read_index, write_index


@pytest.fixture
def made(tmp_path, make_bundle, colour_folder):
    """Return an index of plain images beside its model and its data."""
    model, images = make_bundle(), colour_folder("images")
    index(model, images, out=tmp_path / "x.fovea-index", device="cpu")
    return tmp_path / "x.fovea-index"


@pytest.fixture
def query(tmp_path):
    """Return an image that is nearly green, a little blue."""
    Image.fromarray(np.full((9, 9, 3), (0, 255, 51), np.uint8)).save(tmp_path / "query.png")
    return tmp_path / "query.png"


def test_the_nearest_come_first_with_their_distances(made, query):
    result = search(made, query, k=5)
    (answer,) = result.answers
    # embeddings are 6 x the share of each channel: the query is at (0, 6, 1.2)
    assert [found.label for found in answer.nearest] == ["green", "green", "blue", "blue", "red"]
    assert [found.name for found in answer.nearest[:2]] == ["green/0.png", "green/1.png"]
    far = np.hypot(6, 4.8)
    np.testing.assert_allclose([found.distance for found in answer.nearest[:3]], [1.2, 1.2, far], rtol=1e-5)
    by_angle = search(made, query, k=1, metric="cosine").answers[0].nearest[0]
    assert by_angle.distance == pytest.approx(1 - 6 / np.hypot(6, 1.2), rel=1e-4)


def test_the_nearest_vote_on_a_label_and_of_as_many_the_nearer_wins(made, query):
    (answer,) = search(made, query, k=4).answers
    assert tuple(answer.vote) == ("green", 2, 4)  # two green, then two blue
    assert answer.to_dict()["vote"] == {"label": "green", "votes": 2, "of": 4}
    assert any(line.endswith("query.png: green, 2 of 4") for line in search(made, query, k=4).summary())


def test_images_are_answered_in_their_order_and_bad_ones_with_a_reason(made, query, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    answers = search(made, [query, tmp_path / "bad.png", tmp_path / "images" / "red"], k=1).answers
    assert [answer.nearest[0].label if answer.nearest else "" for answer in answers] == ["green", "", "red", "red"]
    assert answers[1].error and answers[1].to_dict().keys() == {"image", "error"}


def test_the_model_is_found_below_the_index_wherever_that_is_moved(made, query, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.copy(made, moved / "x.fovea-index")
    with pytest.raises(UsageError, match="made with the model `model.safetensors`, which no longer exists"):
        search(moved / "x.fovea-index", query)
    shutil.copy(tmp_path / "model.safetensors", moved)
    assert search(moved / "x.fovea-index", query).answers[0].nearest
    with pytest.raises(UsageError, match="`none.safetensors` is not a file"):
        search(made, query, model="none.safetensors")


def test_another_model_is_refused(made, query, make_bundle):
    other = make_bundle("other.safetensors", order=(2, 1, 0))
    with pytest.raises(UsageError, match=r"other.safetensors` is not the model that `x.fovea-index` was made with"):
        search(made, query, model=other)


def test_an_index_with_a_layer_that_is_not_there_is_refused(made, query):
    hostile = read_index(made)
    write_index(made, replace(hostile, maker=replace(hostile.maker, layer="stage7")))
    with pytest.raises(BundleError, match="was made with the layer `stage7`, which its model does not have"):
        search(made, query)


def test_embeddings_of_another_width_are_refused(made, query):
    hostile = read_index(made)
    write_index(made, replace(hostile, embeddings=np.zeros((6, 5), np.float32)))
    with pytest.raises(UsageError, match=r"must be \(Q, D\) and \(N, D\) with the same D"):
        search(made, query)


def test_the_page_shows_the_image_and_its_neighbours(made, query, tmp_path):
    result = search(made, query, k=3, html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    text = page.replace("<wbr>", "")
    assert "distance 1.20, " in page, "a number stays whole"
    assert result.page == tmp_path / "page.html" and text.count("<img ") == 4
    assert re.search(r"<b>green</b><br>distance 1.20, green/0.png", text) and "query.png" in text
    assert "http:" not in text and "<script" not in text


def test_what_is_gone_is_said_on_the_page(made, query, tmp_path):
    (tmp_path / "images" / "green" / "0.png").unlink()
    search(made, query, k=2, html=tmp_path / "page.html")
    assert "green/0.png (no longer exists)" in (tmp_path / "page.html").read_text()


def test_pictures_come_from_data_that_is_named_or_below_the_index(made, query, tmp_path):
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="images of `images` were not found from `x.fovea-index`; give the data with"):
        search(made, query, html=tmp_path / "page.html")
    search(made, query, html=tmp_path / "page.html", data=tmp_path / "elsewhere")
    assert "no longer exists" not in (tmp_path / "page.html").read_text()


def test_a_name_that_leads_out_of_the_data_shows_nothing(made, query, tmp_path):
    Image.new("RGB", (4, 4), "red").save(tmp_path / "secret.png")
    index = read_index(made)
    write_index(made, replace(index, rows=replace(index.rows, names=["../secret.png"] * 6)))
    search(made, query, k=1, html=tmp_path / "page.html")
    assert "../secret.png (no longer exists)" in (tmp_path / "page.html").read_text().replace("<wbr>", "")


def test_pictures_of_arrays_are_found_again(make_bundle, query, tmp_path):
    colours = np.zeros((3, 4, 4, 3), np.uint8)
    colours[np.arange(3), :, :, np.arange(3)] = 255
    np.savez(tmp_path / "a.npz", x_train=colours, y_train=np.arange(3))
    index(make_bundle(), tmp_path / "a.npz", out=tmp_path / "a.fovea-index", device="cpu")
    found = search(tmp_path / "a.fovea-index", query, k=1, html=tmp_path / "page.html")
    assert found.answers[0].nearest[0][:3] == ("1", "train", "1")
    assert "no longer exists" not in (tmp_path / "page.html").read_text()


def test_an_index_that_is_not_complete_says_so(made, query):
    write_index(made, replace(read_index(made), complete=False))
    assert "not complete" in search(made, query).summary()[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"k": 0}, "`k`"), ({"metric": "l1"}, "`metric`"), ({"html": "none/x.html"}, "there is no folder `none`")],
)
def test_what_cannot_be_is_refused(made, query, options, message):
    with pytest.raises(UsageError, match=message):
        search(made, query, **options)


def test_the_command_prints_a_table_or_json_alone(made, query, tmp_path, capsys):
    assert run(["search", str(made), str(query), "-k", "2"]) == 0
    out = capsys.readouterr().out
    assert "x.fovea-index: 6 images by features before head.logits, l2 distance, exact search" in out and re.search(
        r"1 +1.2 +green/0.png +green", out
    )
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert run(["search", str(made), str(query), str(tmp_path / "bad.png"), "--json"]) == 1
    captured = capsys.readouterr()
    assert [len(answer.get("nearest", ())) for answer in json.loads(captured.out)["answers"]] == [6, 0]
    assert captured.err.count("error:") == 1 and "1 of the inputs cannot be read" in captured.err
