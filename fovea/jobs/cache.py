"""The job behind `fovea cache`: what is decoded, how much room it takes, and how to get rid of it."""

from datetime import UTC, datetime
from typing import Any

from fovea.data.cache import clear as clear_entries
from fovea.data.cache import list_entries


def cache(*, clear: bool = False, name: str | None = None) -> list[dict[str, Any]]:
    """Return the entries of the decoded cache, or remove them and return what was removed.

    `name` restricts both to entries whose name begins like it; `*` and `?` stand for anything. Each entry is a dict of
    JSON values: `name`, `bytes`, `images` held so far, `total` images when complete, `shape` [H, W, C], `used` (ISO
    8601, UTC). Raises: StorageError where an entry cannot be removed.
    """
    entries = (clear_entries if clear else list_entries)(name or "")
    return [
        {
            **entry._asdict(),
            "shape": list(entry.shape),
            "used": datetime.fromtimestamp(entry.used, UTC).isoformat("T", "seconds"),
        }
        for entry in entries
    ]
