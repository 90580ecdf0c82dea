"""Images in, answers out: over HTTP, by a server in this process."""

import socket
import threading
import time

import bombs
import pytest
from live_server import live
from onnx import helper
from onnx_files import nodes, write_onnx

from fovea.errors import BundleError
from fovea.runtime import load

PNG = {"content-type": "image/png"}
BEGUN = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\nabc"
"""Of a request of 100 bytes, three."""


def form(*contents, field="image"):
    return [(field, (f"{index}.png", content, "image/png")) for index, content in enumerate(contents)]


def test_the_bytes_of_an_image_are_answered_as_predict_answers_them(client, picture, colours_file):
    said = client.post("/predict", content=picture("green"), headers=PNG)
    (expected,) = load(colours_file).predict([picture("green")])
    assert said.status_code == 200
    assert said.json() == {"model": "colours", "results": [expected.to_dict()]}


def test_a_form_is_answered_file_by_file_in_its_order(client, picture):
    said = client.post("/predict", files=form(picture("blue"), picture("red", "JPEG"), picture("green"))).json()
    assert [result["image"] for result in said["results"]] == ["0.png", "1.png", "2.png"]
    assert [result["predictions"][0]["label"] for result in said["results"]] == ["blue", "red", "green"]


@pytest.mark.parametrize("field", ["image", "images", "file", "files"])
def test_files_come_under_any_of_the_usual_names(client, picture, field):
    assert client.post("/predict", files=form(picture(), field=field)).status_code == 200


def test_the_name_of_a_file_comes_back_without_its_folder(client, picture):
    files = [("image", ("C:\\here/there/a\u00e9.png", picture(), "image/png"))]
    assert client.post("/predict", files=files).json()["results"][0]["image"] == "a\u00e9.png"


def test_as_many_answers_come_as_are_asked_for(client, picture):
    said = client.post("/predict?top=2", content=picture(), headers=PNG).json()
    assert len(said["results"][0]["predictions"]) == 2


def test_a_model_is_named_by_the_query_or_the_path(client, picture):
    for path in ("/predict?model=other", "/models/other/predict"):
        assert client.post(path, content=picture(), headers=PNG).json()["model"] == "other"


def test_one_bad_image_fails_alone(client, picture):
    said = client.post("/predict", files=form(picture("red"), b"no image", picture("blue")))
    assert said.status_code == 200
    first, bad, last = said.json()["results"]
    assert (first["predictions"][0]["label"], last["predictions"][0]["label"]) == ("red", "blue")
    assert bad == {
        "image": "1.png",
        "error": "not a JPEG, PNG, WebP, BMP, GIF or TIFF image, or its header is damaged.",
    }


def test_where_all_are_bad_nothing_is_answered(client):
    said = client.post("/predict", files=form(b"x", b"y"))
    assert said.status_code == 422
    assert len(said.json()["results"]) == 2


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (b"", PNG, 400, "The body is empty"),
        (b"", {}, 400, "The body is empty"),
        (b"abc", PNG, 422, "not a JPEG, PNG"),
        (bombs.png(11000, 10000), PNG, 422, "more than 100,000,000 pixels"),
        (bombs.png(9000, 9000, depth=16, kind=6), PNG, 422, "decoding it would need"),
        (b"abc", {"content-type": "application/json"}, 415, "`application/json` is not a media type for images"),
        (b"a=b", {"content-type": "application/x-www-form-urlencoded"}, 415, "is not a media type for images"),
        (b"abc", {"content-type": "multipart/form-data"}, 400, "has no boundary"),
        (b"abc", {"content-type": "multipart/form-data; boundary=x"}, 400, "The form cannot be read"),
        (b"--x--\r\n", {"content-type": "multipart/form-data; boundary=x"}, 400, "The form contains no file"),
        (bytes(2_000_001), PNG, 413, "more than 2,000,000 bytes"),
    ],
)
def test_each_bad_body_has_its_status_and_says_why(client, content, headers, status, words):
    said = client.post("/predict", content=content, headers=headers)
    assert (said.status_code, words in said.json()["error"]) == (status, True), said.text


def test_a_truncated_image_is_told_as_such(client, picture):
    said = client.post("/predict", content=picture("red", "JPEG", (640, 640))[:-2000], headers=PNG)
    assert (said.status_code, "truncated" in said.json()["error"]) == (422, True)


@pytest.mark.parametrize(
    ("files", "status", "words"),
    [
        ([("picture", ("a.png", b"x", "image/png"))], 400, "The form has a field `picture`"),
        ([("image", ("a.png", b"", "image/png"))], 400, "The body is empty"),
        ([("image", ("a.png", b"x", "image/png"))] * 5, 413, "A request may contain at most 4 files"),
    ],
)
def test_each_bad_form_has_its_status_and_says_why(client, files, status, words):
    said = client.post("/predict", files=files)
    assert (said.status_code, words in said.json()["error"]) == (status, True), said.text


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/predict?model=cats", 404, "There is no model `cats`; available are colours, other."),
        ("/models/cats/predict", 404, "There is no model `cats`"),
        ("/predict?top=0", 400, "`top` (=0) must be a whole number from 1 to 1000."),
        ("/predict?top=many", 400, "`top` (=many)"),
        (f"/predict?top={'9' * 5000}", 400, "`top`"),
        (f"/predict?top={'1'.zfill(5000)}", 400, "`top`"),
        ("/predict?top=1%C2%B9", 400, "`top`"),
        ("/nothing", 404, "This path does not exist"),
        ("/predict/", 404, "This path does not exist"),
    ],
)
def test_each_bad_address_has_its_status_and_says_why(client, picture, path, status, words):
    said = client.post(path, content=picture(), headers=PNG)
    assert (said.status_code, words in said.json()["error"]) == (status, True), said.text


def test_another_method_is_told_which_is_meant(client):
    said = client.get("/predict")
    assert (said.status_code, said.json()["error"]) == (405, "GET is not allowed for this path; use POST.")


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "0"])
def test_a_deadline_that_is_none_is_refused(client, picture, value):
    said = client.post("/predict", content=picture(), headers={**PNG, "X-Timeout-S": value})
    assert (said.status_code, said.json()["error"]) == (
        400,
        f"`X-Timeout-S` (={value}) must be a number of seconds above 0.",
    )


def test_a_body_in_pieces_is_read_and_bounded_as_a_whole_one(client, picture):
    def pieces(content):
        yield from (content[at : at + 50] for at in range(0, len(content), 50))

    assert client.post("/predict", content=pieces(picture()), headers=PNG).status_code == 200
    endless = (bytes(100_000) for _ in range(1000))
    said = client.post("/predict", content=endless, headers=PNG)
    assert (said.status_code, said.json()["error"]) == (
        413,
        "The body has more than 2,000,000 bytes, the limit.",
    )


def test_no_place_is_lost_by_refused_requests(shared_server, client, picture):
    for _ in range(shared_server.site.settings.queue):
        assert client.post("/predict", content=b"x", headers=PNG).status_code == 422
    assert client.post("/predict", content=picture(), headers=PNG).status_code == 200
    assert [model.places.taken for model in shared_server.site.models.values()] == [0, 0]
    assert shared_server.site.bodies.taken == 0


# bounds that take time or fill the server: a server of one's own


class Slow:
    """The network of a server, held up until it is let go."""

    def __init__(self, server):
        self.free = threading.Event()
        engine = server.site.models["colours"].engine
        scores = engine.scorer.scores
        object.__setattr__(
            engine, "scorer", _Held(engine.scorer, lambda *a, **k: (self.free.wait(30), scores(*a, **k))[1])
        )


class _Held:
    def __init__(self, scorer, scores):
        self._scorer, self.scores = scorer, scores

    def __getattr__(self, name):
        return getattr(self._scorer, name)


def ask(server, content, found, **headers):
    with server.client() as client:
        found.append(client.post("/predict", content=content, headers={**PNG, **headers}))


def asking(server, content, count):
    """Return where answers of `count` requests come, and their threads, which have begun."""
    found = []
    threads = [threading.Thread(target=ask, args=(server, content, found)) for _ in range(count)]
    for thread in threads:
        thread.start()
    return found, threads


def wait_for(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.parametrize("status", [503, 429])
def test_a_full_server_says_when_to_come_again_and_recovers(colours_file, picture, status):
    with live({"colours": colours_file}, queue=3, files=3, busy_status=status) as server:
        slow, places = Slow(server), server.site.models["colours"].places
        found, threads = asking(server, picture(), 3)
        wait_for(lambda: places.taken == 3)
        with server.client() as client:
            said = client.post("/predict", content=picture(), headers=PNG)
            assert (said.status_code, said.headers["retry-after"]) == (status, "1")
            assert said.json() == {"error": "The server is busy; try again in 1 s."}
            slow.free.set()
            for thread in threads:
                thread.join()
            assert [answer.status_code for answer in found] == [200] * 3
            assert client.post("/predict", content=picture(), headers=PNG).status_code == 200
            metrics = client.get("/metrics").text
        assert 'fovea_shed_total{model="colours"} 1' in metrics
        assert f'fovea_requests_total{{model="colours",code="{status}"}} 1' in metrics


def test_a_request_of_more_files_than_there_is_room_for_is_refused_as_a_whole(colours_file, picture):
    with live({"colours": colours_file}, queue=3, files=3) as server:
        slow, places = Slow(server), server.site.models["colours"].places
        found, threads = asking(server, picture(), 2)
        wait_for(lambda: places.taken == 2)
        with server.client() as client:
            assert client.post("/predict", files=form(picture(), picture())).status_code == 503
            assert places.taken == 2
        slow.free.set()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in found] == [200] * 2


def test_a_request_that_would_come_too_late_is_refused_at_once(colours_file, picture):
    with live({"colours": colours_file}, timeout_s=10.0) as server:
        slow, model = Slow(server), server.site.models["colours"]
        found, threads = asking(server, picture(), 1)
        wait_for(lambda: model.places.taken == 1)
        model.engine._batcher.seconds_each = 11.0
        with server.client() as client:
            said = client.post("/predict", content=picture(), headers=PNG)
            assert (said.status_code, said.headers["retry-after"]) == (503, "12")
            slow.free.set()
            threads[0].join()
            assert found[0].status_code == 200
            assert client.post("/predict", content=picture(), headers=PNG).status_code == 200


def test_a_compressed_body_is_refused(client, picture):
    said = client.post("/predict", content=picture(), headers={**PNG, "content-encoding": "gzip"})
    assert (said.status_code, said.json()["error"]) == (415, "The body is compressed; send it without compression.")


def test_a_request_is_not_answered_after_its_time(colours_file, picture):
    with live({"colours": colours_file}) as server:
        slow = Slow(server)
        with server.client() as client:
            began = time.monotonic()
            said = client.post("/predict", content=picture(), headers={**PNG, "X-Timeout-S": "0.2"})
            assert time.monotonic() - began < 10
            assert (said.status_code, said.headers["retry-after"]) == (503, "1")
            assert said.json() == {"error": "No response within 0.2 s because the server is busy; try again in 1 s."}
            slow.free.set()
            assert client.post("/predict", content=picture(), headers=PNG).status_code == 200
            assert 'fovea_expired_total{model="colours"} 1' in client.get("/metrics").text


def test_a_slow_body_is_given_up(colours_file):
    with live({"colours": colours_file}, body_grace_s=0.2) as server:
        head = BEGUN
        said = server.exchange(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert said.startswith(b"HTTP/1.1 408 ") and b"The body arrived too slowly: 3 bytes in 0 s." in said
        assert server.site.models["colours"].places.taken == 0


def test_a_body_that_ends_early_leaves_nothing_behind(colours_file, picture):
    with live({"colours": colours_file}) as server:
        for _ in range(5):
            head = BEGUN
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(head)
        wait_for(lambda: server.site.models["colours"].places.taken == 0 and server.site.bodies.taken == 0)
        with server.client() as client:
            assert client.post("/predict", content=picture(), headers=PNG).status_code == 200


def test_many_clients_get_each_their_own_answer(shared_server, picture):
    labels = ["red", "green", "blue"] * 12
    found = {}

    def one(index):
        with shared_server.client() as client:
            for _ in range(5):
                said = client.post("/predict", content=picture(labels[index]), headers=PNG).json()
                found.setdefault(index, []).append(said["results"][0]["predictions"][0]["label"])

    threads = [threading.Thread(target=one, args=(index,)) for index in range(len(labels))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {index: [label] * 5 for index, label in enumerate(labels)}


def test_a_network_whose_answer_to_a_blank_input_is_no_number_is_not_served(tmp_path):
    """A logarithm of what is black is no finite number."""
    changed = [
        *nodes()[:4],
        helper.make_node("Log", ["pooled"], ["log"]),
        helper.make_node("Flatten", ["log"], ["logits"], axis=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    path = write_onnx(tmp_path / "log.onnx", nodes=changed)
    with pytest.raises(BundleError, match="not finite"), live({"colours": path}):
        pass


def test_nothing_is_computed_for_a_client_that_has_gone(colours_file, picture):
    with live({"colours": colours_file}) as server:
        slow, places = Slow(server), server.site.models["colours"].places
        head = BEGUN.decode()[:-3].replace("100", str(len(picture())))
        connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        for connection in connections:
            connection.sendall(head.encode() + picture())
        wait_for(lambda: places.taken == 3)
        for connection in connections:
            connection.close()
        wait_for(lambda: places.taken == 0)  # long before the time of the requests is over
        slow.free.set()
        with server.client() as client:
            assert client.post("/predict", content=picture(), headers=PNG).status_code == 200
            metrics = client.get("/metrics").text
    assert 'fovea_requests_total{model="colours",code="499"} 3' in metrics
    assert 'fovea_images_total{model="colours"} 1' in metrics
