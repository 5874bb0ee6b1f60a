from collections.abc import Callable, Iterator

from benchmarks.rounds import Speedup, Summary, best, speedup, summarize, take_turns


class FakeClock:
    """Stands still but for what programs add to it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def program(self, seconds: Iterator[float], log: list[str], name: str) -> Callable[[], None]:
        def run() -> None:
            log.append(name)
            self.now += next(seconds)

        return run


def test_programs_take_turns_and_the_first_round_does_not_count() -> None:
    clock, log = FakeClock(), list[str]()
    programs = {
        "a": clock.program(iter([100, 1, 2, 3]), log, "a"),
        "b": clock.program(iter([200, 4, 5, 6]), log, "b"),
    }
    assert take_turns(programs, rounds=3, clock=clock) == {"a": [1, 2, 3], "b": [4, 5, 6]}
    assert log == ["a", "b"] * 4


def test_summaries_are_quartiles() -> None:
    assert summarize([5.0, 1.0, 3.0, 2.0, 4.0]) == Summary(3, 2, 4)
    assert summarize([1.0, 2.0, 3.0, 100.0]) == Summary(2.5, 1.75, 27.25)
    assert summarize([7.0]) == Summary(7, 7, 7)


def test_the_best_has_the_smallest_median_and_not_the_smallest_time() -> None:
    times = {"lucky": [0.1, 5.0, 5.0], "steady": [2.0, 2.0, 2.0], "ours": [1.0, 1.0, 1.0]}
    assert best(times, ["lucky", "steady"]) == "steady"


def test_the_speedup_is_that_of_the_medians_and_its_range_that_of_the_rounds() -> None:
    times = {"ours": [1.0, 2.0, 4.0], "theirs": [3.0, 4.0, 4.0]}
    assert speedup(times, "ours", "theirs") == Speedup(2, 1, 3)  # 4 / 2 of 3, 2, 1
