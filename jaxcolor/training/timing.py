"""Where the time of a run goes: `time: 141.2 s: start 3.1, data 1.0, compiling 13.5, training 110.2, …`."""

import contextlib
import threading
import time
from collections.abc import Iterator

import jax.monitoring

COMPILING = "compiling"
# JAX reports durations at their end: of tracing, of lowering, and of compiling or reading the cache.
COMPILE_EVENTS = "/jax/core/compile/"
WAIT_EVENT = "/jaxcolor/compile_wait"  # of waiting for a thread that compiles


class Timing:
    """The seconds of each part of a run, on the thread that made it. At any time there is one part.

    Whatever JAX compiles counts as compiling, and not as the part that needs it. `since` is when the first
    part began, in seconds of `time.perf_counter`.
    """

    def __init__(self, part: str, since: float | None = None):
        self._since = time.perf_counter() if since is None else since
        self._part = part
        self._seconds = {part: 0.0}
        self._thread = threading.get_ident()
        self._compiled: list[tuple[float, float]] = []  # start and end of what JAX compiled in this part

    def __enter__(self) -> "Timing":
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def __exit__(self, *error: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._listen)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time inside as `name`. A part around this one goes on after it."""
        before = self._part
        self._switch(name)
        try:
            yield
        finally:
            self._switch(before)

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each part until now, in the order in which the parts began."""
        self._switch(self._part)
        return dict(self._seconds)

    def describe(self) -> str:
        """Return the seconds in a line."""
        seconds = self.seconds()
        parts = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
        return f"time: {sum(seconds.values()):.1f} s ({parts})"

    def _switch(self, name: str) -> None:
        now = time.perf_counter()
        compiling = sum(end - start for start, end in self._compiled)
        self._compiled = []
        self._seconds[self._part] += now - self._since - compiling
        if compiling:
            self._seconds[COMPILING] = self._seconds.get(COMPILING, 0.0) + compiling
        self._part, self._since = name, now
        self._seconds.setdefault(name, 0.0)

    def _listen(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        if not event.startswith((COMPILE_EVENTS, WAIT_EVENT)) or threading.get_ident() != self._thread:
            return
        now = time.perf_counter()
        start = max(now - duration_secs, self._since)
        # Tracing a function includes tracing those that it calls, which were reported before.
        self._compiled = [times for times in self._compiled if times[0] < start]
        self._compiled.append((start, now))
