"""Clocks, and a timing on a GPU with stand-ins for it: events, replays, energy; the GPU itself is in test_gpu.py."""

from __future__ import annotations

import math
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch

from rnnbench.backends import BACKENDS
from rnnbench.config import CellConfig
from rnnbench.config.timing import Timing
from rnnbench.system import machine
from rnnbench.throughput.clock import EventClock, Seconds, WallClock, clock_of, together
from rnnbench.throughput.contestant import REPLAYED, Contestant, Replay
from rnnbench.throughput.measure import _energy


def job(what: str = "training") -> Timing:
    return Timing(cells=(CellConfig("gru"),), seq_len=5, batch_size=2, hidden_size=4, what=what)  # type: ignore[arg-type]


def contestant(what: str = "training") -> Contestant:
    return Contestant.build(job(what), CellConfig("gru"), BACKENDS["loop"], torch.device("cpu"))


def test_a_cpus_clock_is_wall_time_and_processor_time() -> None:
    clock = clock_of(torch.device("cpu"))
    assert isinstance(clock, WallClock)
    marks = [Seconds(1.0, 0.5), Seconds(3.5, 0.75), Seconds(4.0, 2.0)]
    assert clock.seconds(marks) == [Seconds(2.5, 0.25), Seconds(0.5, 1.25)]
    assert isinstance(clock_of(torch.device("cuda")), EventClock)
    assert Seconds(3.0, 6.0).over(4) == Seconds(0.75, 1.5)
    assert together([Seconds(0.1, 1.0)] * 10) == Seconds(1.0, 10.0), "no rounding adds up"
    assert math.isnan(together([Seconds(1.0, math.nan), Seconds(1.0, math.nan)]).cpu)


def test_the_processor_works_in_a_loop_and_not_in_a_sleep() -> None:
    """Whatever other processes do: a loop that ends by the processor's time takes that, and at least so long."""

    def loop() -> None:
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass

    busy, asleep = WallClock().time(loop, lambda: time.sleep(0.1))
    assert 0.1 <= busy.cpu < 0.15
    assert busy.wall > 0.9 * busy.cpu
    assert asleep.wall >= 0.1
    assert asleep.cpu < 0.03


def test_events_are_recorded_in_the_stream_and_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits between the marks; milliseconds become seconds, and of the processor nothing is known."""
    said: list[str] = []

    class Event:
        count = 0

        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            Event.count += 1
            self.at = Event.count**2
            said.append(f"record {Event.count}")

        def synchronize(self) -> None:
            said.append(f"wait for {int(self.at**0.5)}")

        def elapsed_time(self, other: Event) -> float:
            return 1000.0 * (other.at - self.at)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: said.append("wait for all"))
    clock = EventClock()
    found = clock.seconds([clock.start(), clock.mark(), clock.mark()])
    assert [seconds.wall for seconds in found] == [3.0, 5.0]
    assert all(math.isnan(seconds.cpu) for seconds in found)
    assert said == ["wait for all", "record 1", "record 2", "record 3", "wait for 3"]


@pytest.mark.parametrize(("what", "calls"), [("training", [1, 1]), ("decoding", [5])])
def test_a_replay_is_timed_as_its_contestant_is(
    what: str, calls: list[int], ticks: WallClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One graph for inference and one for a step; or one for a symbol, replayed for each, its time a symbol's."""
    counts: list[int] = []

    class Graph:
        def __init__(self, work: Callable[[], object]) -> None:
            work()  # it can run
            self.index = len(counts)
            counts.append(0)

        def replay(self) -> None:
            counts[self.index] += 1

    monkeypatch.setattr(Replay, "_captured", staticmethod(Graph))
    seconds = Replay(contestant(what), what).turn(ticks)
    assert counts == calls
    assert seconds == tuple(Seconds(10.0 / count, 4.0 / count) for count in calls)
    assert len(seconds) == len(REPLAYED[what])


@pytest.fixture
def fake_nvml(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """pynvml, as it answers for a card whose energy counter goes up by 6 J at each reading."""
    state: dict[str, Any] = {"energy": 0, "open": 0}

    def energy(gpu: str) -> int:
        assert gpu == "the card"
        state["energy"] += 6000
        return int(state["energy"])

    def opened(by: int) -> None:
        state["open"] += by

    module = types.SimpleNamespace(
        nvmlInit=lambda: opened(1),
        nvmlShutdown=lambda: opened(-1),
        nvmlDeviceGetHandleByUUID=lambda uuid: {b"GPU-12-34": "the card"}[uuid],
        nvmlDeviceGetTotalEnergyConsumption=energy,
        nvmlSystemGetDriverVersion=lambda: b"580.1",
        nvmlDeviceGetClockInfo=lambda gpu, kind: {"sm": 1980, "mem": 3201}[kind],
        nvmlDeviceGetMaxClockInfo=lambda gpu, kind: {"sm": 1990, "mem": 3300}[kind],
        NVML_CLOCK_SM="sm",
        NVML_CLOCK_MEM="mem",
    )
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: types.SimpleNamespace(uuid="12-34"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    return state


def test_what_nvml_says(fake_nvml: dict[str, Any]) -> None:
    assert machine.facts("cuda") == {"driver": "580.1", "clocks_mhz": {"sm": [1980, 1990], "memory": [3201, 3300]}}
    assert machine.facts("cpu") == {}
    assert machine.millijoules() == 6000
    assert fake_nvml["open"] == 0


def test_energy_is_joules_a_token(fake_nvml: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second of steps of 100 ms is five of them, of 2 × 5 tokens each: 6 J are 0.12 J a token."""
    one, steps = contestant(), []
    monkeypatch.setattr(Contestant, "step", lambda self: steps.append(1))
    assert _energy([one], job(), {"gru/loop/step_ms": 100.0}) == {"gru/loop/joules_per_token": pytest.approx(0.12)}
    assert len(steps) == 5
    assert _energy([one], job(), {}) == {}, "what was not timed has no energy"


@pytest.mark.usefixtures("fake_nvml")
def test_energy_of_decoding_is_joules_a_symbol_of_every_stream() -> None:
    """Half a second of symbols of 20 ms is five sequences of five symbols, of two streams each: 6 J for fifty."""
    found = _energy([contestant("decoding")], job("decoding"), {"gru/loop/decode_ms": 20.0})
    assert found == {"gru/loop/joules_per_token": pytest.approx(6.0 / (5 * 5 * 2))}


def test_where_nvml_does_not_answer_there_are_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert machine.facts("cuda") == {}
    assert machine.millijoules() is None
    assert _energy([contestant()], job(), {"gru/loop/step_ms": 1.0}) == {}
