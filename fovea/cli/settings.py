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


def numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Return the numbers that an option names, one or one per channel, as `0.485,0.456,0.406`.

    Raises:
        UsageError: it holds something else.
    """
    try:
        return tuple(float(part) for part in text.split(",")) if text is not None else None
    except ValueError:
        raise UsageError(f"`{option} {text}` must be one number, or one per channel as 0.485,0.456,0.406.") from None
