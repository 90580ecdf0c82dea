"""`fovea serve` as its user starts it: processes that end and come back, signals, files that are replaced."""

import os
import re
import shutil
import signal
import threading
import time

import httpx
import onnx_files
import pytest
from live_server import Process

from fovea.serving.settings import Settings
from fovea.serving.supervisor import listening

PNG = {"content-type": "image/png"}


class Load:
    """Clients that ask one after another, until told to stop; each answer, or what failed, is kept."""

    def __init__(self, origin, content, *, clients=6):
        self._origin, self._content = origin, content
        self.codes, self.failures, self.stopped = [], [], threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self):
        with httpx.Client(base_url=self._origin, timeout=240) as client:
            while not self.stopped.is_set():
                try:
                    self.codes.append(client.post("/predict", content=self._content, headers=PNG).status_code)
                except httpx.HTTPError as error:
                    self.failures.append(error)
                    time.sleep(0.01)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for(self, count):
        """Wait until so many more answers have come."""
        wanted = len(self.codes) + count
        until = time.monotonic() + 240
        while len(self.codes) < wanted:
            assert time.monotonic() < until
            time.sleep(0.01)


def wait_for(condition, *, patience_s=240):
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def metric(origin, line):
    found = re.search(rf"^{re.escape(line)} (\S+)$", httpx.get(f"{origin}/metrics").text, re.M)
    return float(found[1]) if found else 0.0


@pytest.mark.slow
def test_of_two_processes_one_is_killed_under_load_and_comes_back(colours_file, picture):
    with Process(colours_file, "--port", 0, "--workers", 2, "--threads", 1) as server:
        origin = server.origin()
        with Load(origin, picture()) as load:
            load.wait_for(50)
            victim, other = server.workers()
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: len(set(server.workers()) - {victim}) == 2)
            assert other in server.workers()
            load.wait_for(200)
        assert set(load.codes) == {200}
        assert len(load.failures) <= 6, load.failures  # one open request a client at most
        assert all(isinstance(error, httpx.RemoteProtocolError | httpx.ReadError) for error in load.failures)
        # no count is lost: those of the one that was killed stand in its row
        answered = metric(origin, 'fovea_requests_total{model="colours",code="200"}')
        assert len(load.codes) <= answered <= len(load.codes) + len(load.failures)
        assert metric(origin, "fovea_worker_restarts_total") == 1
        assert server.end() == 0
    assert "the worker" in server.words and "SIGKILL" in server.words


@pytest.mark.slow
def test_sigterm_answers_what_was_accepted_then_ends_well(colours_file, picture):
    with Process(colours_file, "--port", 0, "--workers", 2, "--threads", 1) as server:
        origin = server.origin()
        with Load(origin, picture(), clients=8) as load:
            load.wait_for(100)
            load.stopped.set()  # each client has one open request at most
            assert server.end() == 0
        assert set(load.codes) == {200}
        assert load.failures == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{origin}/health")


@pytest.mark.slow
def test_a_replaced_file_is_taken_over_without_a_lost_request_and_a_broken_one_refused(tmp_path, picture):
    path = onnx_files.write_onnx(tmp_path / "net.onnx")
    turned = onnx_files.card_values(classes=["rot", "gruen", "blau"])
    onnx_files.write_onnx(tmp_path / "new.onnx", card=turned)
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with Process(path, "--port", 0, "--workers", 2, "--threads", 1, "--watch") as server:
        origin = server.origin()

        def label():
            return httpx.post(f"{origin}/predict", content=picture(), headers=PNG).json()["results"][0]["predictions"][
                0
            ]["label"]

        with Load(origin, picture()) as load:
            load.wait_for(20)
            os.replace(tmp_path / "bad.onnx", path)
            server.said("the new file is refused and the previous model stays in use")
            assert {label() for _ in range(10)} == {"red"}
            os.replace(tmp_path / "new.onnx", path)
            server.said("the new file is now in use")
            wait_for(lambda: {label() for _ in range(20)} == {"rot"})
            load.wait_for(20)
        assert (set(load.codes), load.failures) == ({200}, [])
        assert metric(origin, 'fovea_reloads_total{model="net"}') == 1
        assert metric(origin, 'fovea_refused_reloads_total{model="net"}') == 1


def test_ctrl_c_ends_it_with_its_own_code_and_leaves_nothing_behind(colours_file, picture, tmp_path):
    with Process(colours_file, "--port", 0, TMPDIR=str(tmp_path)) as server:
        origin = server.origin()
        said = httpx.post(f"{origin}/predict", content=picture("blue"), headers=PNG)
        assert said.json()["results"][0]["predictions"][0]["label"] == "blue"
        (worker,) = server.workers()
        assert server.end(signal.SIGINT) == 130
    assert not os.path.exists(f"/proc/{worker}")
    assert list(tmp_path.glob("fovea*")) == []
    assert re.fullmatch(rf"Serving  colours at {origin} \(Ctrl-C ends it\)\n", server.words)


def test_workers_do_not_outlive_their_parent(colours_file, tmp_path):
    with Process(colours_file, "--port", 0, TMPDIR=str(tmp_path)) as server:
        server.origin()
        (worker,) = server.workers()
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
    wait_for(lambda: not os.path.exists(f"/proc/{worker}"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.onnx"], 2, "There is no file `missing.onnx`."),
        (["{file}", "--host", "0.0.0.0"], 2, "give --token-file FILE"),
        (["{file}", "--host", "203.0.113.9", "--no-auth"], 1, "cannot be used"),
        (["{file}", "--explain"], 2, "`--explain` needs a model file (.safetensors), and `colours.onnx` is exported"),
        (["{file}", "--batch", "0"], 2, "`batch` (=0) must be from 1 to 4,096."),
        (["{file}", "{file}"], 2, "Two models have the name `colours`"),
        (["{file}", "--token-file", "{short}"], 2, "must have at least 16 characters"),
        (["{file}", "--token-file", "missing"], 2, "There is no file `missing`."),
        (["{bad}"], 1, "bad.onnx"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(colours_file, tmp_path, arguments, code, words):
    (tmp_path / "short").write_text("abc\n")
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    places = {"file": colours_file, "short": tmp_path / "short", "bad": tmp_path / "bad.onnx"}
    server = Process(*(argument.format(**places) for argument in arguments), "--port", 0)
    server.process.wait(60)
    assert server.end() == code, server.words
    assert words in server.words and server.words.count("\n") == 1, server.words


def test_a_port_that_is_taken_is_said_so(colours_file):
    with listening(Settings(port=0)) as taken:
        server = Process(colours_file, "--port", taken.getsockname()[1])
        server.process.wait(60)
        assert server.end() == 1
    assert "cannot be used (Address already in use); choose another --port" in server.words


@pytest.mark.slow
def test_a_token_file_that_others_can_read_is_said_so_and_its_token_wanted(colours_file, tmp_path, picture):
    secret = tmp_path / "token"
    secret.write_text("0123456789abcdef\n")
    secret.chmod(0o644)
    with Process(colours_file, "--port", 0, "--host", "0.0.0.0", "--token-file", secret) as server:
        origin = server.origin().replace("0.0.0.0", "127.0.0.1")
        assert "chmod 600" in server.words
        assert httpx.post(f"{origin}/predict", content=picture(), headers=PNG).status_code == 401
        given = {**PNG, "authorization": "Bearer 0123456789abcdef"}
        assert httpx.post(f"{origin}/predict", content=picture(), headers=given).status_code == 200


@pytest.mark.slow
def test_a_bundle_is_exported_first_and_again_when_it_is_replaced(make_bundle, tmp_path, picture):
    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    path = make_bundle("net.safetensors")
    with Process(path, "--port", 0, "--watch", "--explain", "--timeout-s", 200) as server:
        origin = server.origin()

        def label():
            return httpx.post(f"{origin}/predict", content=picture(), headers=PNG).json()["results"][0]["predictions"][
                0
            ]["label"]

        assert label() == "red"
        said = httpx.post(
            f"{origin}/explain?answer=blue", content=picture(), headers={**PNG, "accept": "image/png"}, timeout=240
        )
        assert said.status_code in (200, 422), said.text
        shutil.copy(make_bundle("other.safetensors", order=(1, 0, 2)), tmp_path / "next")
        os.replace(tmp_path / "next", path)
        wait_for(lambda: label() == "green", patience_s=300)
        assert server.end() == 0
