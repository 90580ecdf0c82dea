"""`fovea doctor`."""

from fovea.cli.options import Json
from fovea.cli.output import print_json, print_table


def doctor(as_json: Json = False) -> None:
    """Show what this machine has, and what is missing for which command."""
    from fovea.jobs.doctor import doctor as job

    checks = job()
    if as_json:
        print_json([check.to_dict() for check in checks])
        return
    rows = [
        ("" if check.ok else "!", check.name, check.value if check.ok else f"{check.value}: {check.advice}")
        for check in checks
    ]
    print_table(("", "what", "here"), rows)
