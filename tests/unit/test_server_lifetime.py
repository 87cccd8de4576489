"""Leases and idle times: when the server unloads its models and when it leaves."""

from pathlib import Path
from typing import Any

import pytest

from gtr_server.leases import Leases
from gtr_server.lifetime import Lifetime
from gtr_server.settings import Settings


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_leases_run_out_and_are_renewed() -> None:
    clock = Clock()
    leases = Leases(60, clock)
    assert leases.unowned_for() == 0
    leases.renew("a")
    clock.now += 40
    leases.renew("b")
    clock.now += 40
    assert leases.count() == 1
    assert leases.unowned_for() is None
    clock.now += 30
    assert leases.count() == 0
    assert leases.unowned_for() == pytest.approx(10)
    leases.release("b")
    assert leases.unowned_for() == pytest.approx(10)


def lifetime(clock: Clock, **settings: Any) -> tuple[Lifetime, list[int], list[str]]:
    jobs, unloaded = [0], []
    leases = Leases(60, clock)
    life = Lifetime(Settings(home=Path(), **settings), leases, lambda: jobs[0], lambda: unloaded.append("x"), clock)
    return life, jobs, unloaded


def leaves_after(life: Lifetime, clock: Clock, step: float = 10, most: float = 20_000) -> float | None:
    start = clock.now
    while clock.now - start < most:
        life.tick()
        if life.stopping.is_set():
            return clock.now - start
        clock.now += step
    return None


def test_server_without_clients_leaves_after_the_idle_time() -> None:
    clock = Clock()
    life, _, _ = lifetime(clock)
    assert leaves_after(life, clock) == 600


def test_idle_time_zero_still_gives_the_first_client_time_to_come() -> None:
    clock = Clock()
    life, _, _ = lifetime(clock, idle_timeout=0)
    assert leaves_after(life, clock) == 60


def test_silent_client_counts_until_its_lease_is_over() -> None:
    clock = Clock()
    life, _, _ = lifetime(clock)
    life.leases.renew("a")
    assert leaves_after(life, clock) == 660


def test_managed_server_leaves_with_its_client() -> None:
    clock = Clock()
    life, _, _ = lifetime(clock, stop_when_unowned=True)
    life.leases.renew("a")
    life.tick()
    assert not life.stopping.is_set()
    life.leases.release("a")
    life.tick()
    assert life.stopping.is_set()


def test_work_without_a_lease_keeps_the_server() -> None:
    clock = Clock()
    life, jobs, _ = lifetime(clock)
    clock.now += 500
    life.work()
    jobs[0] = 1
    clock.now += 5000
    life.tick()
    assert not life.stopping.is_set()
    jobs[0] = 0
    assert leaves_after(life, clock) == 600


def test_idle_client_gets_its_memory_back_and_later_its_server() -> None:
    clock = Clock()
    life, _, unloaded = lifetime(clock)
    life.work()
    start = clock.now
    while not life.stopping.is_set() and clock.now - start < 20_000:
        life.leases.renew("a")
        life.tick()
        if len(unloaded) == 1 and unloaded[0] == "x":
            unloaded[0] = f"after {clock.now - start:.0f} s"
        clock.now += 10
    assert unloaded == ["after 1800 s"]
    assert clock.now - 10 - start == 7200


def test_machine_that_slept_takes_nobodys_lease() -> None:
    clock = Clock()
    life, _, _ = lifetime(clock, stop_when_unowned=True)
    life.leases.renew("a")
    life.tick()
    clock.now += 8 * 3600
    life.tick()
    assert life.leases.count() == 1
    assert not life.stopping.is_set()
    assert leaves_after(life, clock) == 60, "and then it counts again"


def test_slow_client_keeps_the_server_while_it_asks_for_something() -> None:
    """Its lease ran out while it sent its views: it comes too late with its sign of life, but it is not gone."""
    clock = Clock()
    life, _, _ = lifetime(clock, stop_when_unowned=True)
    life.leases.renew("a")
    for _ in range(20):
        clock.now += 9
        life.work()
        life.tick()
    assert life.leases.count() == 0
    assert not life.stopping.is_set()
    assert leaves_after(life, clock) == 60
