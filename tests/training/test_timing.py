import threading
import time

import jax
import jax.numpy as jnp
import pytest

from jaxcolor.training import timing as timing_module
from jaxcolor.training.timing import Timing


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing_module, "time", clock)
    return clock


def test_parts_add_up_and_inner_parts_interrupt_outer_ones(clock: Clock) -> None:
    timing = Timing("start", since=98.0)
    clock.now = 101.0
    with timing.part("data"):
        clock.now = 103.0
        with timing.part("saving"):
            clock.now = 103.5
        clock.now = 104.0
    clock.now = 104.25
    assert timing.seconds() == {"start": 3.25, "data": 2.5, "saving": 0.5}
    assert timing.describe() == "time: 6.2 s (start 3.2, data 2.5, saving 0.5)"


def test_what_jax_compiles_counts_once_and_as_compiling(clock: Clock) -> None:
    timing = Timing("start")
    with timing.part("training"):
        clock.now = 105.0
        timing._listen("/jax/core/compile/jaxpr_trace_duration", 1.0)  # 104 to 105, within the next one
        timing._listen("/jax/core/compile/jaxpr_trace_duration", 2.0)  # 103 to 105
        timing._listen("/jax/orbax/write", 5.0)
        clock.now = 109.0
        timing._listen("/jax/core/compile/backend_compile_duration", 3.0)
        clock.now = 110.0
    assert timing.seconds() == {"start": 0.0, "training": 5.0, "compiling": 5.0}


def test_other_threads_do_not_count() -> None:
    def compile_something() -> None:
        jax.jit(lambda x: x * 3 + 1)(jnp.ones(7))

    with Timing("start") as timing:
        thread = threading.Thread(target=compile_something)
        thread.start()
        thread.join()
        assert "compiling" not in timing.seconds()
        start = time.perf_counter()
        jax.jit(lambda x: x * 5 + 2)(jnp.ones(7))
        assert 0 < timing.seconds()["compiling"] < time.perf_counter() - start
    compiled = timing.seconds()["compiling"]
    jax.jit(lambda x: x * 7 + 3)(jnp.ones(7))
    assert timing.seconds()["compiling"] == compiled
