"""What a training changes in its process, and how it leaves that as it was: threads, random state, memory."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
LARGEST_DYNAMIC = 32 << 20
"""glibc raises its threshold for mapped blocks with every such block that is freed, up to this (mallopt(3))."""


@contextmanager
def as_found() -> Iterator[None]:
    """Run a training in the body, and leave thread count, random state and allocator as they were.

    What `mallopt` was before cannot be asked. A process that has freed a block of 32 MB, as one step of a network does,
    has come to glibc's largest dynamic threshold, so that is what it gets back; freed memory returns to the system.
    """
    threads = torch.get_num_threads()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices), _keeping_freed_memory():
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _keeping_freed_memory() -> Iterator[None]:
    """Let glibc reuse the large blocks a training step frees instead of returning them to the system.

    Every activation is otherwise fresh memory that the kernel must clear page by page: 5 to 20 % of a step on CPU.
    Elsewhere than on glibc nothing happens.
    """
    libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "mallopt"):
        yield
        return
    libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
    libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_DYNAMIC)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_DYNAMIC)
        libc.malloc_trim(0)
