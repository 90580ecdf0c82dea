"""Run campaigns by hand: `python -m tests.campaigns images --count 20000`; `inputs` are all kinds of damaged ones.

The exit code is 1 where something was found; it is kept, with how to make it again, in the folder of --found.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from tests.campaigns import annotations, chains, data, exports, images, indices, kills, labels, models, runs, uploads
from tests.campaigns.batches import campaign

KINDS = {
    kind.name: kind
    for module in (images, models, indices, exports, uploads, data, annotations, runs)
    for kind in module.KINDS
}
INPUTS = "inputs"
KILLS: dict[str, Any] = {"kills": kills, chains.NAME: chains, labels.NAME: labels}
RECIPES = {"kills": kills.RECIPES, chains.NAME: chains.CHAINS, labels.NAME: labels.LISTS}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns", description=__doc__)
    known = (*KINDS, INPUTS, *KILLS)
    parser.add_argument("kinds", nargs="+", metavar="KIND", choices=known, help=f"of {', '.join(known)}")
    parser.add_argument("--count", type=int, help="items of each kind (as many as in continuous integration)")
    parser.add_argument(
        "--recipe",
        action="append",
        choices=[name for names in RECIPES.values() for name in names],
        help="of kills, chains or labels: only these",
    )
    parser.add_argument("--first", type=int, default=0, help="the number of the first item")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--found", type=Path, default=Path("campaign-findings"), help="where findings are kept")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = 0
    for name in [kind for given_kind in given.kinds for kind in (KINDS if given_kind == INPUTS else [given_kind])]:
        with tempfile.TemporaryDirectory(prefix="campaign-") as work:
            drawn = {
                "seed": given.seed,
                "first": given.first,
                "work": Path(work).resolve(),
                "found": given.found.resolve(),
            }
            if name in KILLS:
                recipes = given.recipe or (RECIPES[name] if given.count else KILLS[name].SHORT)
                count = given.count or KILLS[name].SHORT_KILLS
                outcome = KILLS[name].campaign(kills=count, names=list(recipes), **drawn)
            else:
                outcome = campaign(KINDS[name], count=given.count or KINDS[name].short, **drawn)
        found += len(outcome.findings)
        print(outcome.text(), flush=True)
        for finding in outcome.findings:
            print(f"  {finding}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
