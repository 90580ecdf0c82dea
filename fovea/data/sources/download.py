"""Published data sets by name: where they are searched for, where they come from, and how they get here."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fovea.data.sources.archives import Progress
from fovea.errors import DataError, StorageError
from fovea.storage import cache_root

ATTEMPTS = 3
TIMEOUT_S = 30
BLOCK_BYTES = 1 << 16
MAX_DOWNLOAD_BYTES = 1 << 30  # a server that never ends fills no disk


@dataclass(frozen=True, kw_only=True)
class Published:
    """A data set that is known by name."""

    files: Mapping[str, str]
    """File name -> checksum, as `md5:...` or `sha256:...`."""
    addresses: tuple[str, ...]
    """Folders on the publishers' servers, tried in this order. Untried: no network where this was written."""
    copies: tuple[str, ...] = ()
    """Other files or folders that hold the same data, taken where they are found."""
    classes: tuple[str, ...] = ()
    """Class names in label order, where the files hold none."""
    directional: bool = False
    """True if mirroring an image changes its label."""
    licence: str


DIGITS = tuple("0123456789")

CATALOGUE: Mapping[str, Published] = {
    "mnist": Published(
        files={
            "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
        },
        # the second is plain http: the checksums decide what is accepted
        addresses=("https://ossci-datasets.s3.amazonaws.com/mnist", "http://yann.lecun.com/exdb/mnist"),
        classes=DIGITS,
        directional=True,
        licence="CC BY-SA 3.0 (LeCun, Cortes, Burges)",
    ),
    "fashion-mnist": Published(
        files={
            "train-images-idx3-ubyte.gz": "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
        addresses=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",),
        classes=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        licence="MIT (Zalando SE)",
    ),
    "cifar10": Published(
        files={"cifar-10-python.tar.gz": "md5:c58f30108f718f92721af3b95e74349a"},
        addresses=("https://www.cs.toronto.edu/~kriz",),
        copies=(
            *("cifar-10-python.tar.xz", "cifar-10-binary.tar.gz", "cifar-10-binary.tar.xz"),
            *("cifar-10-batches-py", "cifar-10-batches-bin"),
        ),
        licence="no formal licence; free for research with citation (Krizhevsky 2009)",
    ),
    "cifar100": Published(
        files={"cifar-100-python.tar.gz": "md5:eb9058c3a382ffc7106e4002c42a8d85"},
        addresses=("https://www.cs.toronto.edu/~kriz",),
        copies=(
            *("cifar-100-python.tar.xz", "cifar-100-binary.tar.gz", "cifar-100-binary.tar.xz"),
            *("cifar-100-python", "cifar-100-binary"),
        ),
        licence="no formal licence; free for research with citation (Krizhevsky 2009)",
    ),
}


def locate(name: str, *, download: bool = True, progress: Progress | None = None) -> Path:
    """Return where the named data set lies: a folder, or its single archive; downloaded if it is nowhere.

    Looked for in `$FOVEA_DATA/name`, then in `downloads/name` of the cache.

    Raises: DataError if it is not here and `download` is off; StorageError if it cannot be had.
    """
    published = CATALOGUE[name]
    home = cache_root() / "downloads" / name
    places = [Path(os.environ["FOVEA_DATA"]) / name] if os.environ.get("FOVEA_DATA") else []
    for place in [*places, home]:
        for candidate in _candidates(place, published):
            return candidate
    if not download:
        looked = ", ".join(f"`{place}`" for place in [*places, home])
        raise DataError(f"`{name}` was not found in {looked}; allow the download, or put its files there.")
    for file, checksum in published.files.items():
        _fetch_first(published.addresses, home / file, checksum=checksum, progress=progress)
    return next(_candidates(home, published))


def fetch(address: str, target: Path, *, checksum: str, progress: Progress | None = None) -> Path:
    """Download one file; after a cut the next attempt, or the next call, resumes from `target.part`.

    Of the checksum, as `sha256:b0353104`, the first digits are enough.

    Raises: StorageError if it cannot be fetched or written, DataError if its checksum is another.
    """
    if target.exists():
        return target
    part = target.with_name(f"{target.name}.part")
    failure: Exception | None = None
    for _ in range(ATTEMPTS):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _transfer(address, part, progress)
            break
        except (OSError, http.client.HTTPException) as error:
            failure = error
    else:
        raise StorageError(
            f"Cannot download `{address}`: {_told(failure)}. Try again (it resumes), or put the file at `{target}` "
            "yourself."
        ) from failure
    _accept(part, target, checksum)
    return target


def _told(failure: Exception | None) -> object:
    """Return the reason in an URLError, whose own text is for programmers; of an HTTPError and others, themselves."""
    return failure.reason if type(failure) is urllib.error.URLError else failure


def checksum_of(file: Path, algorithm: str) -> str:
    """Return the checksum of a file as `algorithm:hexadecimal`."""
    with file.open("rb") as stream:
        return f"{algorithm}:{hashlib.file_digest(stream, algorithm).hexdigest()}"


def _candidates(place: Path, published: Published) -> Iterator[Path]:
    """Yield the usable forms of the data set in a folder, the published one first."""
    names = list(published.files)
    if all((place / name).exists() for name in names):
        yield place / names[0] if len(names) == 1 else place
    yield from (place / name for name in published.copies if (place / name).exists())


def _fetch_first(addresses: tuple[str, ...], target: Path, *, checksum: str, progress: Progress | None) -> None:
    """Fetch a file from the first address that has it."""
    for address in addresses[:-1]:
        try:
            fetch(f"{address}/{target.name}", target, checksum=checksum, progress=progress)
        except (StorageError, DataError):  # the last address is the one whose failure is told
            continue
        return
    fetch(f"{addresses[-1]}/{target.name}", target, checksum=checksum, progress=progress)


def _transfer(address: str, part: Path, progress: Progress | None) -> None:
    """Append to `part` what it lacks; start over if the server ignores the range.

    Raises: OSError or HTTPException when the connection ends early.
    """
    done = part.stat().st_size if part.exists() else 0
    # identity: of a file that is compressed on the way, a range would be one of other bytes
    headers = {"User-Agent": "fovea", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and done:  # nothing lies beyond what is here; the checksum decides
            return
        raise
    with response:
        done = done if _resumes(response, done) else 0
        _receive(response, part, done, progress)


def _resumes(response: http.client.HTTPResponse, done: int) -> bool:
    # a server without ranges answers 200 and sends the file from its beginning
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")


def _receive(response: http.client.HTTPResponse, part: Path, done: int, progress: Progress | None) -> None:
    length = response.headers.get("Content-Length")
    total = done + int(length) if length else None
    with part.open("r+b" if done else "wb") as sink:
        sink.seek(done)
        while block := response.read(BLOCK_BYTES):
            done += len(block)
            if done > MAX_DOWNLOAD_BYTES:
                raise StorageError(f"it is larger than {MAX_DOWNLOAD_BYTES} bytes")
            sink.write(block)
            if progress:
                progress(f"downloading {part.stem}", done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def _accept(part: Path, target: Path, checksum: str) -> None:
    """Give the finished file its name, or delete it if it is not the published one."""
    found = checksum_of(part, checksum.partition(":")[0])
    if not found.startswith(checksum):
        part.unlink()
        raise DataError(f"`{target.name}` was downloaded but is not the published file ({found}, not {checksum}).")
    part.replace(target)  # in one step: a file under its own name is always whole
