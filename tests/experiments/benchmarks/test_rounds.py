import io
import sys
from collections.abc import Callable, Iterator

import pytest
from benchmarks.rounds import Speedup, Summary, best, speedup, status, summarize, take_turns


class FakeClock:
    """A clock that only programs advance."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def program(self, seconds: Iterator[float], log: list[str], name: str) -> Callable[[], None]:
        def run() -> None:
            log.append(name)
            self.now += next(seconds)

        return run


def test_programs_take_turns_and_the_first_round_is_not_timed() -> None:
    clock, log = FakeClock(), list[str]()
    programs = {
        "a": clock.program(iter([100, 1, 2, 3]), log, "a"),
        "b": clock.program(iter([200, 4, 5, 6]), log, "b"),
    }
    assert take_turns(programs, rounds=3, clock=clock) == {"a": [1, 2, 3], "b": [4, 5, 6]}
    assert log == ["a", "b"] * 4


def test_summaries_are_medians_and_quartiles() -> None:
    assert summarize([5.0, 1.0, 3.0, 2.0, 4.0]) == Summary(3, 2, 4)
    assert summarize([1.0, 2.0, 3.0, 100.0]) == Summary(2.5, 1.75, 27.25)
    assert summarize([7.0]) == Summary(7, 7, 7)


def test_the_best_program_has_the_smallest_median() -> None:
    times = {"lucky": [0.1, 5.0, 5.0], "steady": [2.0, 2.0, 2.0], "ours": [1.0, 1.0, 1.0]}
    assert best(times, ["lucky", "steady"]) == "steady"


def test_the_speedup_is_the_ratio_of_medians_with_the_range_of_the_rounds() -> None:
    times = {"ours": [1.0, 2.0, 4.0], "theirs": [3.0, 4.0, 4.0]}
    assert speedup(times, "ours", "theirs") == Speedup(2, 1, 3)  # 4 / 2 of 3, 2, 1


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_the_status_is_shown_on_terminals_only_and_then_erased(
    stream: io.StringIO, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with status("compiling"):
        during = stream.getvalue()
    assert ("compiling" in during) == shown
    last = stream.getvalue().removeprefix(during)
    assert "compiling" not in last
    assert last.endswith("\r") == shown
