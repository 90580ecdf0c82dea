"""The files of onnxruntime-web, which run a network in a browser: from the npm package, fetched once, or as given."""

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fovea.data.sources.download import checksum_of
from fovea.errors import MissingDependencyError, StorageError, UsageError, first_line
from fovea.files import check_there
from fovea.storage import cache_root, make_folder

NAME, VERSION = "onnxruntime-web", "1.30.0"
CHECKSUM = "sha256:d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
ARCHIVE = f"{NAME}-{VERSION}.tgz"
SCRIPT, MODULE = "dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm"
MOST_BYTES = 100_000_000
"""Of one file in the package."""
FETCH_S = 600
_EXPORTS = re.compile(rb"export\s*\{([^{}]*)\};?\s*\Z")
_SOURCE_MAP = re.compile(rb"\n//# sourceMappingURL=\S*\s*\Z")


class RuntimeFiles(NamedTuple):
    """What of the package a page needs."""

    version: str
    script: bytes
    """JavaScript, a module."""
    module: bytes
    """WebAssembly."""

    @property
    def as_global(self) -> bytes:
        """The script with what it exports as `globalThis.ort`: a module inside a page cannot be imported from.

        Raises: UsageError if it ends otherwise than in a list of what it exports.
        """
        found = _EXPORTS.search(self.script)
        if found is None:
            raise UsageError(
                f"`{SCRIPT}` of onnxruntime-web {self.version} has an unexpected end; use version {VERSION}."
            )
        pairs = (part.split(b" as ") for part in found[1].split(b","))
        fields = b",".join(b"%s:%s" % (pair[-1].strip(), pair[0].strip()) for pair in pairs)
        return self.script[: found.start()] + b"globalThis.ort={%s};\n" % fields


def runtime_files(given: Path | None = None, *, say: Callable[[str], None] = lambda line: None) -> RuntimeFiles:
    """Return the files of the package: of the archive or folder `given`, else of the one in the cache.

    That is fetched by `npm pack` where it is missing, and must have the checksum of this release.

    Raises:
        UsageError, NotFoundError: what is given is not the package, or not there.
        MissingDependencyError: it has to be fetched, and there is no npm.
        StorageError: it cannot be fetched, or is another file.
    """
    if given is not None:
        check_there(given)
        return _in_folder(given) if given.is_dir() else _in_archive(given)
    kept = cache_root() / "downloads" / NAME / ARCHIVE
    if not kept.is_file():
        say(f"Downloading {NAME} {VERSION} (MIT, 33 MB), only once")
        _fetch(kept)
    return _in_archive(kept)


def _fetch(target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise MissingDependencyError(
            f"The page needs the npm package {NAME}, and `npm` is not installed to download it. Run "
            f"`npm pack {NAME}@{VERSION}` on another machine and give that file: --runtime {ARCHIVE}."
        )
    make_folder(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = [npm, "pack", f"{NAME}@{VERSION}", "--ignore-scripts", "--silent"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=FETCH_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StorageError(f"`npm pack {NAME}@{VERSION}` failed: {first_line(error)}.") from error
        fetched = Path(folder) / ARCHIVE
        if done.returncode or not fetched.is_file():
            reason = (done.stderr or done.stdout).strip() or "no network"
            raise StorageError(
                f"`npm pack {NAME}@{VERSION}` failed: {reason[:300]}. Download it elsewhere and give it with "
                f"--runtime {ARCHIVE}."
            )
        found = checksum_of(fetched, CHECKSUM.partition(":")[0])
        if found != CHECKSUM:
            raise StorageError(f"`{ARCHIVE}` was downloaded but is not the published file ({found}, not {CHECKSUM}).")
        fetched.replace(target)


def _in_folder(folder: Path) -> RuntimeFiles:
    """Return the files of an unpacked package: `node_modules/onnxruntime-web`, or its `dist`."""
    root = folder.parent if folder.name == "dist" else folder

    def read(name: str) -> bytes:
        path = root / name
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise UsageError(f"`--runtime {folder}` has no `{name}`; give the folder or archive of {NAME}.")
        return path.read_bytes()

    return _of(read)


def _in_archive(archive: Path) -> RuntimeFiles:
    try:
        with tarfile.open(archive) as opened:

            def read(name: str) -> bytes:
                member = opened.getmember(f"package/{name}")
                content = opened.extractfile(member) if member.isreg() and member.size <= MOST_BYTES else None
                if content is None:
                    raise KeyError(name)
                return content.read()

            return _of(read)
    except (OSError, KeyError, EOFError, tarfile.TarError) as error:
        raise UsageError(
            f"`{archive}` is not the npm package {NAME} ({first_line(error)}); give {ARCHIVE}, or its folder."
        ) from error


def _of(read: Callable[[str], bytes]) -> RuntimeFiles:
    described = read("package.json")
    try:
        version = json.loads(described)["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"The `package.json` of {NAME} has no version; give {ARCHIVE}, or its folder.") from error
    return RuntimeFiles(str(version), _SOURCE_MAP.sub(b"\n", read(SCRIPT)), read(MODULE))
