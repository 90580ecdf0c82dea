"""The command `fovea`, also as `python -m fovea`: Ctrl-C ends it with 130 at any moment, from here on."""

import atexit
import gc
import os
import signal
import sys
from types import FrameType

CODE = 130
"""Of a command that Ctrl-C has ended."""
WAITS_S = 10
"""So long a command may put things in order after Ctrl-C; some code takes the exception for its own and goes on."""
IMPORTED = 100_000
"""Objects that a short command makes while it imports, about."""
pressed = False


def leave(*_: object) -> None:
    """End the process now; what is being written still has a temporary name."""
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(2, b"\x1b[?25h")  # a bar hides the cursor
    os._exit(CODE)


signal.signal(signal.SIGINT, leave)
atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # the interpreter's end: all is done, the code is known


def main() -> None:
    """Run the command line and exit with its code."""
    collect_later()
    from fovea.cli import main as command

    try:
        signal.signal(signal.SIGINT, _stop)  # which may be called before this returns
        command()
    finally:
        signal.signal(signal.SIGINT, leave)  # from here on nobody hears of an exception
        gc.freeze()  # all memory goes at once: looking through it for circles takes a sixth of a short command's time
        if pressed:
            sys.exit(CODE)


def collect_later() -> None:
    """Let Python look for circles in what is no longer used only when there is much: while it imports, there are none.

    From then on it looks as often as usual.
    """
    usual = gc.get_threshold()

    def as_usual(phase: str, info: object) -> None:
        gc.set_threshold(*usual)
        gc.callbacks.remove(as_usual)

    gc.set_threshold(IMPORTED, *usual[1:])
    gc.callbacks.append(as_usual)


def _stop(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt where it finds its way out, and end at once where it does not, or once it was lost."""
    global pressed
    if pressed or _lost_in(frame):
        leave()
    pressed = True
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, leave)
        signal.setitimer(signal.ITIMER_REAL, WAITS_S)
    raise KeyboardInterrupt


def _lost_in(frame: FrameType | None) -> bool:
    """Tell whether a module is being imported, which may take an exception for another, or an object removed."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib") or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


if __name__ == "__main__":
    main()
