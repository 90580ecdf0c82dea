import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fovea.data.sources import download
from fovea.data.sources.download import CATALOGUE, Published, fetch, locate
from fovea.errors import DataError, StorageError

CONTENT = bytes(range(256)) * 2000
CHECKSUM = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@dataclass
class Site:
    """A local server of one file, the way it misbehaves, and the ranges it was asked for."""

    address: str = ""
    content: bytes = CONTENT
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    missing: tuple[str, ...] = ()
    asked: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            site.asked.append(asked)
            site.paths.append(self.path)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and site.ranges else 0
            if self.path in site.missing or start >= len(site.content):
                self.send_error(404 if self.path in site.missing else 416)
                return
            body = site.content[start:]
            self.send_response(206 if asked and site.ranges else 200)
            self.send_header("Content-Length", str(len(body)))
            if asked and site.ranges:
                self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
            self.end_headers()
            self.wfile.write(body[: site.cuts.pop(0)] if site.cuts else body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_arrives_whole_and_progress_is_told(site, tmp_path):
    heard = []
    target = fetch(
        f"{site.address}/x.gz",
        tmp_path / "new" / "x.gz",
        checksum=CHECKSUM,
        progress=lambda *report: heard.append(report),
    )
    assert target.read_bytes() == CONTENT and [path.name for path in target.parent.iterdir()] == ["x.gz"]
    assert heard[-1] == ("downloading x.gz", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in heard] == sorted({done for _, done, _ in heard})


def test_a_cut_connection_is_resumed_where_it_ended(site, tmp_path):
    site.cuts = [100_000, 50_000]
    fetch(f"{site.address}/x.gz", tmp_path / "x.gz", checksum=CHECKSUM)
    assert (tmp_path / "x.gz").read_bytes() == CONTENT
    assert site.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_after_too_many_cuts_only_the_part_remains_and_the_next_call_resumes(site, tmp_path):
    site.cuts = [1000, 1000, 1000]
    with pytest.raises(StorageError, match=r"Cannot download .*ended after 3000 of 512000 bytes.*it resumes"):
        fetch(f"{site.address}/x.gz", tmp_path / "x.gz", checksum=CHECKSUM)
    assert [path.name for path in tmp_path.iterdir()] == ["x.gz.part"]
    fetch(f"{site.address}/x.gz", tmp_path / "x.gz", checksum=CHECKSUM)
    assert site.asked[-1] == "bytes=3000-" and (tmp_path / "x.gz").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(site, tmp_path):
    site.ranges = False
    (tmp_path / "x.gz.part").write_bytes(b"z" * 1000)
    fetch(f"{site.address}/x.gz", tmp_path / "x.gz", checksum=CHECKSUM)
    assert site.asked == ["bytes=1000-"] and (tmp_path / "x.gz").read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_accepted(site, tmp_path):
    (tmp_path / "x.gz.part").write_bytes(CONTENT)
    fetch(f"{site.address}/x.gz", tmp_path / "x.gz", checksum=CHECKSUM)
    assert (tmp_path / "x.gz").read_bytes() == CONTENT


def test_a_wrong_file_is_refused_and_nothing_is_left(site, tmp_path):
    site.content = CONTENT[:-1] + b"!"
    with pytest.raises(DataError, match="`x.gz` was downloaded but is not the published file .md5:.*, not md5:"):
        fetch(f"{site.address}/x.gz", tmp_path / "x.gz", checksum=CHECKSUM)
    assert not list(tmp_path.iterdir())


def test_the_first_digits_of_a_checksum_are_enough(site, tmp_path):
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert fetch(f"{site.address}/x.gz", tmp_path / "x.gz", checksum=f"sha256:{digest[:8]}").exists()
    with pytest.raises(DataError, match="`y.gz` was downloaded but is not the published file"):
        fetch(f"{site.address}/x.gz", tmp_path / "y.gz", checksum=f"sha256:{digest[1:9]}")


def test_a_file_that_is_there_is_not_fetched(site, tmp_path):
    (tmp_path / "x.gz").write_bytes(b"here")
    fetch(f"{site.address}/x.gz", tmp_path / "x.gz", checksum=CHECKSUM)
    assert site.asked == []


def test_a_server_that_is_away_is_said_so(tmp_path):
    with pytest.raises(StorageError, match="Cannot download `http://127.0.0.1:1/x.gz`: .*put the file at `.*x.gz`"):
        fetch("http://127.0.0.1:1/x.gz", tmp_path / "x.gz", checksum=CHECKSUM)


def test_the_reason_is_told_without_its_wrapping(tmp_path):
    with pytest.raises(StorageError) as caught:
        fetch("http://127.0.0.1:1/x.gz", tmp_path / "x.gz", checksum=CHECKSUM)
    assert "refused" in str(caught.value) and "urlopen" not in str(caught.value)


def test_more_than_the_bound_is_not_taken(site, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_DOWNLOAD_BYTES", 100_000)
    with pytest.raises(StorageError, match="it is larger than 100000 bytes"):
        fetch(f"{site.address}/x.gz", tmp_path / "x.gz", checksum=CHECKSUM)
    assert not (tmp_path / "x.gz").exists()


@pytest.fixture
def toy(site, tmp_path, monkeypatch) -> Published:
    toy = Published(
        files={"one.gz": CHECKSUM, "two.gz": f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"},
        addresses=(f"{site.address}/first", f"{site.address}/second"),
        copies=("toy-folder",),
        licence="none",
    )
    monkeypatch.setattr(download, "CATALOGUE", {"toy": toy})
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FOVEA_DATA", str(tmp_path / "data"))
    return toy


def test_a_named_set_is_downloaded_once_into_the_cache(toy, site, tmp_path):
    place = locate("toy")
    assert place == tmp_path / "cache" / "downloads" / "toy"
    assert sorted(path.name for path in place.iterdir()) == ["one.gz", "two.gz"]
    assert locate("toy", download=False) == place and len(site.asked) == 2


def test_the_next_address_is_tried_for_what_the_first_lacks(toy, site):
    site.missing = ("/first/two.gz",)
    locate("toy")
    assert site.paths[0] == "/first/one.gz" and site.paths[-1] == "/second/two.gz"


def test_fovea_data_is_looked_at_first(toy, site, tmp_path):
    place = tmp_path / "data" / "toy"
    place.mkdir(parents=True)
    for name in toy.files:
        (place / name).touch()
    assert locate("toy") == place and site.asked == []


def test_a_copy_in_another_form_is_taken(toy, site, tmp_path):
    (tmp_path / "data" / "toy" / "toy-folder").mkdir(parents=True)
    assert locate("toy") == tmp_path / "data" / "toy" / "toy-folder" and site.asked == []


def test_without_download_the_places_are_named(toy, site):
    with pytest.raises(DataError, match="`toy` was not found in `.*data/toy`, `.*cache/downloads/toy`"):
        locate("toy", download=False)
    assert site.asked == []


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_entry_of_the_catalogue_is_complete(name):
    published = CATALOGUE[name]
    assert published.licence and published.addresses and published.files
    assert all(address.startswith("http") for address in published.addresses)
    for checksum in published.files.values():
        algorithm, _, digits = checksum.partition(":")
        assert len(bytes.fromhex(digits)) == hashlib.new(algorithm).digest_size
