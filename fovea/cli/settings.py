"""What `--set KEY=VALUE` says."""

from collections.abc import Iterable

from fovea.errors import UsageError


def assigned(assignments: Iterable[str], *, taken: Iterable[str]) -> dict[str, str]:
    """Return the values by key; UsageError for what has another form, or a key `taken` by an option."""
    pairs: dict[str, str] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError(f"`--set {assignment}` must have the form key=value, as `--set momentum=0.9`.")
        if key in taken:
            raise UsageError(f"`--set {assignment}`: `{key}` has an option of its own: --{key.replace('_', '-')}.")
        pairs[key] = value
    return pairs
