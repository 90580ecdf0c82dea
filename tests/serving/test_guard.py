"""Who may ask: host, origin, token."""

import pytest
from live_server import live

PNG = {"content-type": "image/png"}
TOKEN = "0123456789abcdef-secret"


@pytest.fixture(scope="module")
def closed(colours_file):
    """Yield a server that wants a token, and may be asked by one name."""
    with live({"colours": colours_file}, token=TOKEN, hosts=("cnn.example",)) as server:
        yield server


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "192.168.1.7:80", "[::1]:9", "cnn.Example:1"]
)
def test_a_server_is_asked_by_address_or_by_a_name_that_it_knows(closed, host):
    with closed.client() as client:
        assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.evil.example", "cnn.example.", "[x"]
)
def test_any_other_name_is_refused_as_a_page_may_have_lent_it(closed, host):
    with closed.client() as client:
        said = client.get("/health", headers={"host": host})
    assert said.status_code == 421 and "--allow-host" in said.json()["error"]


def test_any_name_is_taken_where_all_are_allowed(colours_file):
    with live({"colours": colours_file}, hosts=("*",)) as server, server.client() as client:
        assert client.get("/health", headers={"host": "any.example"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_may_not_post(shared_server, picture, headers):
    with shared_server.client() as client:
        said = client.post("/predict", content=picture(), headers={**PNG, **headers})
        assert said.status_code == 403 and "may not use this server from a browser" in said.json()["error"]
        assert client.get("/health", headers=headers).status_code == 200


def test_its_own_page_may_post(shared_server, picture):
    with shared_server.client() as client:
        headers = {**PNG, "origin": shared_server.origin, "sec-fetch-site": "same-origin"}
        assert client.post("/predict", content=picture(), headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/predict", "/model", "/models", "/metrics", "/openapi.json", "/v2", "/nothing"])
@pytest.mark.parametrize("given", [{}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}])
def test_nothing_is_told_without_the_token(closed, path, given):
    with closed.client() as client:
        said = client.request("POST" if path == "/predict" else "GET", path, headers=given)
    assert (said.status_code, said.headers["www-authenticate"]) == (401, "Bearer")
    assert "error" in said.json()


def test_the_token_opens_all(closed, picture):
    given = {"authorization": f"Bearer {TOKEN}"}
    with closed.client(headers=given) as client:
        assert client.post("/predict", content=picture(), headers=PNG).status_code == 200
        assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize("path", ["/health", "/ready", "/v2/health/live", "/v2/health/ready", "/"])
def test_health_and_the_page_need_no_token_and_tell_nothing_of_models(closed, path):
    with closed.client() as client:
        said = client.get(path)
    assert said.status_code == 200
    assert "colours" not in said.text


def test_too_many_headers_are_refused(shared_server):
    with shared_server.client() as client:
        said = client.get("/health", headers={f"x-{index}": "1" for index in range(101)})
    assert said.status_code == 431


def test_every_answer_forbids_guessing_and_keeping(shared_server):
    with shared_server.client() as client:
        for path in ("/health", "/nothing", "/model"):
            said = client.get(path).headers
            assert (said["x-content-type-options"], said["cache-control"]) == ("nosniff", "no-store")


def test_a_token_is_not_repeated_in_answers_or_metrics(closed):
    with closed.client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        for path in ("/metrics", "/model", "/openapi.json", "/"):
            assert TOKEN not in client.get(path).text
