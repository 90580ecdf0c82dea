"""The job behind `fovea cache`: listing and clearing cached files."""

from datetime import UTC, datetime
from typing import Any

from fovea.data.cache.contents import clear as clear_entries
from fovea.data.cache.contents import list_entries


def cache(*, clear: bool = False, name: str | None = None) -> list[dict[str, Any]]:
    """Return the entries of the cache, or remove them and return what was removed.

    `name` selects entries whose name starts with it; `*` and `?` are wildcards. Downloads are removed only if `name`
    matches the whole name, because getting them back needs the network. Each entry is a dict of JSON values: `kind`
    (decoded, arrays, archive, download), `name`, `bytes`, `used` (ISO 8601, UTC). Entries of the kind decoded also
    have `images` stored so far, `total` images when complete and `shape` [H, W, C], which are None for other kinds.

    Raises: StorageError if an entry cannot be removed.
    """
    entries = (clear_entries if clear else list_entries)(name or "")
    return [
        {
            **entry._asdict(),
            "shape": list(entry.shape) if entry.shape else None,
            "used": datetime.fromtimestamp(entry.used, UTC).isoformat("T", "seconds"),
        }
        for entry in entries
    ]
