"""Ctrl-C at any moment of the command, from its first instruction on, ends it with 130 and without a traceback."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

BEGIN = "import fovea.__main__, os, sys; os.write(1, b'.'); fovea.__main__.main()"
"""Says when the first instruction is done: before that, Python itself starts."""
COMMANDS = (
    ["--help"],
    ["models"],
    ["doctor"],
    ["train", "digits", "--epochs", "500", "--out", "{}/run", "--threads", "1"],
)
DEADLINE_S = 120


def interrupted_after(seconds, arguments):
    """Return the exit code and the errors of a command that gets a Ctrl-C so long after its first instruction."""
    command = [sys.executable, "-c", BEGIN, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert os.read(process.stdout.fileno(), 1) == b"."
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=DEADLINE_S)
    return process.returncode, errors.decode()


def assert_clean(code, errors, *, ended_before):
    assert "Traceback" not in errors and "Error" not in errors and "ignored" not in errors, errors
    assert code == 130 or (code == 0 and ended_before), (code, errors)


@pytest.mark.parametrize("seed", range(6))
def test_ctrl_c_at_a_random_moment_of_the_first_second_exits_with_130(seed, tmp_path):
    moment = random.Random(seed).uniform(0, 1)
    code, errors = interrupted_after(moment, [word.format(tmp_path) for word in COMMANDS[3]])
    assert_clean(code, errors, ended_before=False)


def test_ctrl_c_while_its_handler_is_being_set_exits_with_130():
    code = (
        "import os, signal, fovea.__main__ as m\n"
        "usual = signal.signal\n"
        "def interrupted(number, handler):\n"
        "    before = usual(number, handler)\n"
        "    if handler is m._stop:\n"
        "        os.kill(os.getpid(), number)\n"
        "    return before\n"
        "signal.signal = interrupted\n"
        "m.main()"
    )
    done = subprocess.run([sys.executable, "-c", code, "models"], capture_output=True, text=True, timeout=DEADLINE_S)
    assert_clean(done.returncode, done.stderr, ended_before=False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_ctrl_c_at_a_random_moment_of_any_command(seed, tmp_path):
    """A command may have ended by itself before."""
    moments = random.Random(1000 + seed)
    command = COMMANDS[seed % len(COMMANDS)]
    code, errors = interrupted_after(moments.uniform(0, 1) ** 2, [word.format(tmp_path) for word in command])
    assert_clean(code, errors, ended_before=command[0] != "train")


def test_circles_are_looked_for_as_usual_once_there_is_much():
    code = (
        "import gc, fovea.__main__ as m; usual = gc.get_threshold(); m.collect_later();"
        "first = gc.get_threshold(); kept = [[] for _ in range(2 * m.IMPORTED)];"
        "print(first[0] == m.IMPORTED, gc.get_threshold() == usual, gc.callbacks)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True []\n"
