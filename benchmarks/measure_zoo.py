"""How long `fovea.measure` takes for each network of the zoo, and its memory: below 3 s and 1 GB, start-up aside."""

import resource
import time

from machine import arguments, begun, print_verdict

import fovea
from fovea.jobs.measure import measure

SHOWN = 5


def anonymous_bytes() -> int:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Print the slowest networks and the memory that all of them took, one after the other."""
    parser = arguments(__doc__)
    parser.add_argument("names", nargs="*", default=fovea.names(), help="networks; all by default")
    names = begun(parser).names
    measure("lenet5")  # start-up
    before, times = anonymous_bytes(), dict[str, tuple[float, float]]()
    for name in names:
        began, cpu = time.perf_counter(), time.process_time()
        measure(name)
        times[name] = time.perf_counter() - began, time.process_time() - cpu
    slowest = sorted(names, key=times.__getitem__, reverse=True)
    for name in slowest[:SHOWN]:
        print(f"  {name:28} {times[name][0]:6.2f} s, {times[name][1]:6.2f} s of the processor")
    print_verdict(f"{slowest[0]}, slowest of {len(names)}, s", times[slowest[0]][0], at_most=3)
    print_verdict("memory beyond start-up, GB", (anonymous_bytes() - before) / 1e9, at_most=1)


if __name__ == "__main__":
    main()
