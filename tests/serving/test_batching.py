"""Batches: nothing waits while the engine is idle, and the fault of one is not that of its mates."""

import asyncio
import threading
import time

import numpy as np
import pytest

from fovea.serving.batching import Batcher, Job


class Bench:
    """A batcher whose engine doubles numbers, and may be held up."""

    def __init__(self, **options):
        self.batches = []
        self.free = threading.Event()
        self.free.set()
        given = {"batch": 4, "wait_s": 0.0, **options}
        self.batcher = Batcher(self.compute, loop=asyncio.get_running_loop(), **given)

    def compute(self, samples):
        self.batches.append(samples[:, 0].tolist())
        assert self.free.wait(10)
        if (samples < 0).any():
            raise ValueError("below 0")
        return samples * 2.0

    def job(self, value, *, seconds=10.0):
        sample = np.array([value], np.float64)
        return Job(time.monotonic() + seconds, asyncio.get_running_loop().create_future(), sample=sample)

    def put(self, *values, **options):
        jobs = [self.job(value, **options) for value in values]
        self.batcher.announce(len(jobs))
        for job in jobs:
            self.batcher.put(job)
        return jobs

    async def busy(self):
        """Return the future of an image that the engine is held up with."""
        self.free.clear()
        (job,) = self.put(1)
        while not self.batches:
            await asyncio.sleep(0.001)
        return job.future


def in_loop(test):
    """Run an asynchronous test."""
    return lambda: asyncio.run(asyncio.wait_for(test(), 30))


async def answers(*futures):
    return [outcome if isinstance(outcome, Exception) else outcome.tolist() for outcome in [await f for f in futures]]


@in_loop
async def test_an_image_that_finds_the_engine_idle_waits_for_nothing():
    bench = Bench(wait_s=20.0)
    bench.batcher.announce(3)  # others that are being decoded
    began = time.monotonic()
    for value in range(3):
        (job,) = bench.put(value)
        assert await answers(job.future) == [[2.0 * value]]
    assert time.monotonic() - began < 5
    assert bench.batches == [[0], [1], [2]]


@in_loop
async def test_what_comes_while_the_engine_is_busy_is_the_next_batch():
    bench = Bench()
    first = await bench.busy()
    jobs = bench.put(2, 3, 4, 5, 6)
    bench.free.set()
    assert await answers(first, *(job.future for job in jobs)) == [[2], [4], [6], [8], [10], [12]]
    assert bench.batches == [[1], [2, 3, 4, 5], [6]]


@in_loop
async def test_a_batch_with_room_waits_for_an_image_that_is_being_decoded():
    bench = Bench(wait_s=20.0)
    await bench.busy()
    bench.batcher.announce(1)
    (job,) = bench.put(2)
    bench.free.set()
    await asyncio.sleep(0.1)
    assert bench.batches == [[1]]
    late = bench.job(3)
    bench.batcher.put(late)
    assert await answers(job.future, late.future) == [[4], [6]]
    assert bench.batches == [[1], [2, 3]]


@in_loop
async def test_it_waits_no_longer_than_it_may():
    bench = Bench(wait_s=0.05)
    await bench.busy()
    bench.batcher.announce(1)  # never comes
    (job,) = bench.put(2)
    bench.free.set()
    assert await answers(job.future) == [[4]]


@in_loop
async def test_it_does_not_wait_for_an_image_that_cannot_be_decoded():
    bench = Bench(wait_s=20.0)
    await bench.busy()
    bench.batcher.announce(1)
    (job,) = bench.put(2)
    bench.free.set()
    await asyncio.sleep(0.05)
    bench.batcher.withdraw()
    assert await answers(job.future) == [[4]]


@in_loop
async def test_the_fault_of_one_image_is_not_that_of_its_mates():
    bench = Bench()
    await bench.busy()
    jobs = bench.put(2, -3, 4)
    bench.free.set()
    good, bad, other = await answers(*(job.future for job in jobs))
    assert (good, other) == ([4], [8])
    assert isinstance(bad, ValueError)


@in_loop
async def test_an_image_whose_time_is_over_is_not_computed():
    bench = Bench()
    first = await bench.busy()
    (late,) = bench.put(2, seconds=0.0)
    (dropped,) = bench.put(3)
    dropped.dropped = True
    (job,) = bench.put(4)
    bench.free.set()
    assert await answers(first, job.future) == [[2], [8]]
    assert bench.batches == [[1], [4]]
    assert not late.future.done() and not dropped.future.done()


@in_loop
async def test_closing_ends_the_thread_after_what_was_begun():
    bench = Bench()
    await bench.busy()
    bench.batcher.announce(1)
    (job,) = bench.put(2)
    bench.batcher.close()
    bench.free.set()
    coming = bench.job(3)
    await asyncio.sleep(0.05)
    bench.batcher.put(coming)
    assert await answers(job.future, coming.future) == [[4], [6]]
    bench.batcher._thread.join(10)
    assert not bench.batcher._thread.is_alive()


@in_loop
async def test_what_an_image_takes_is_known_after_the_first():
    bench = Bench()
    assert bench.batcher.seconds_each == 0
    (job,) = bench.put(1)
    await answers(job.future)
    assert bench.batcher.seconds_each == pytest.approx(0, abs=5)
    assert bench.batcher.seconds_each > 0
