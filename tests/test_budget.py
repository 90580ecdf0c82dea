import threading

import pytest

from fovea.budget import IMAGE, MEGABYTE, TABLE, Shared, batch_within, machine_bytes
from fovea.errors import UsageError


def test_an_image_has_400_megabytes_unless_a_setting_says_otherwise(monkeypatch):
    assert IMAGE.bytes == 400 * MEGABYTE
    monkeypatch.setenv("FOVEA_IMAGE_MB", "1500")
    assert IMAGE.bytes == 1500 * MEGABYTE


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "²", "1e9"])
def test_a_setting_is_a_number_of_megabytes(monkeypatch, text):
    monkeypatch.setenv("FOVEA_IMAGE_MB", text)
    with pytest.raises(UsageError, match=rf"^`FOVEA_IMAGE_MB` \(={text}\) must be a whole number of megabytes"):
        _ = IMAGE.bytes


def test_what_is_too_much_is_said_with_the_setting_that_allows_it(monkeypatch):
    assert IMAGE.excess(400 * MEGABYTE) == ""
    said = "401 MB, more than the 400 MB allowed; set `FOVEA_IMAGE_MB=401` to allow it"
    assert IMAGE.excess(400 * MEGABYTE + 1) == said
    monkeypatch.setenv("FOVEA_IMAGE_MB", "401")
    assert IMAGE.excess(400 * MEGABYTE + 1) == ""


def test_a_table_may_have_half_of_the_machine():
    assert TABLE.bytes == machine_bytes() // 2 > 0


def test_threads_never_hold_more_than_the_total_together():
    shared, most, lock = Shared(lambda: 100), [0], threading.Lock()
    holding = [0]

    def work(size):
        for _ in range(50):
            with shared.share() as take:
                take(size)
                with lock:
                    holding[0] += size
                    most[0] = max(most[0], holding[0])
                with lock:
                    holding[0] -= size

    threads = [threading.Thread(target=work, args=(size,)) for size in (10, 30, 60, 70, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert 0 < most[0] <= 100 and shared.taken == 0


def test_what_is_more_than_the_total_goes_alone():
    shared = Shared(lambda: 100)
    with shared.share() as take:
        take(1000)
        assert shared.taken == 1000
    assert shared.taken == 0


def test_a_share_is_given_back_after_an_error_and_taken_once():
    shared = Shared(lambda: 100)
    with pytest.raises(ValueError, match="reserved once"), shared.share() as take:
        take(10)
        take(10)
    assert shared.taken == 0


def test_a_batch_is_as_large_as_its_members_allow(monkeypatch):
    monkeypatch.setattr("fovea.budget.machine_bytes", lambda: 12_000 * MEGABYTE)  # half of it is less than 4 x 2,000
    assert batch_within(256, 0) == batch_within(256, 20 * MEGABYTE) == 256
    assert batch_within(256, 1_900 * MEGABYTE) == 3 and batch_within(256, 10**12) == 1
