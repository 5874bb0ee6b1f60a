"""Where the time of jaxcolor's train step goes: JAX's profiler, its entries put to the layers they come from.

A program compiled by XLA consists of instructions, each with the name of what it was compiled from, like
`jit(train_step)/transpose(jvp(UNet))/layer5/conv/…`; the profiler says how long each took, on each thread.
What XLA has fused goes by one of its names. Of what oneDNN runs only the thread that waits for it is known.
"""

import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import jax

from benchmarks.contestants import Setting, make_state
from jaxcolor.colorization.data import make_arrays
from jaxcolor.colorization.task import train_step
from jaxcolor.training.compilation import jit

STEPS = 5
INSTRUCTION = re.compile(r'^\s*(?:ROOT )?%?([\w.-]+) = .*?op_name="([^"]*)"', re.MULTILINE)
LIBRARY = re.compile(r"__onednn.*$")  # added to the names of instructions that oneDNN runs
CONTAINERS = re.compile(r"^(while|call|conditional)\b")  # their time is that of what they contain
PARTS = {"norm": "normalization", "conv": "convolution"}


def profile_step(setting: Setting) -> dict[str, float]:
    """Milliseconds of a step that threads spend in each part, from the longest to the shortest."""
    data = make_arrays(setting.material[: setting.batch_size], setting.palette, downsize_input=False)
    batch = data | {"valid": None}
    state = make_state(setting)
    step = jit(train_step, donate_argnums=0).lower(state, batch).compile()
    state, _ = step(state, batch)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(STEPS):
                state, sums = step(state, batch)
                jax.block_until_ready(sums)
            jax.block_until_ready(state)
        (trace,) = Path(folder).rglob("*.xplane.pb")
        events = list(read_events(trace))
    return summarize_events(events, dict(INSTRUCTION.findall(step.as_text())))


def read_events(trace: Path) -> Iterable[tuple[str, float]]:
    """The name of each traced instruction, and its milliseconds a step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the reader's types
        for plane in jax.profiler.ProfileData.from_file(str(trace)).planes:
            for line in plane.lines:
                for event in line.events:
                    name = event.name
                    if plane.name.startswith("/device:"):  # kernels of a GPU go by other names
                        name = str(dict(event.stats).get("hlo_op", name))
                    yield name, event.duration_ns / 1e6 / STEPS


def summarize_events(events: Iterable[tuple[str, float]], sources: Mapping[str, str]) -> dict[str, float]:
    """The sum over instructions with a known source, by part of the step."""
    total: Counter[str] = Counter()
    for event, milliseconds in events:
        name = LIBRARY.sub("", event)
        if name in sources and not CONTAINERS.match(name):
            total[part_of(sources[name], by_library=name != event)] += milliseconds  # type: ignore[assignment]
    return dict(total.most_common())


def part_of(source: str, by_library: bool = False) -> str:
    """The layer, the kind of work and the direction that an instruction belongs to."""
    direction = "backward" if "transpose(" in source else "forward"
    if layer := re.search(r"layer\d", source):
        kind = next((part for key, part in PARTS.items() if f"/{key}/" in source), None)
        default = "convolution" if by_library or layer[0] == "layer6" else "pooling, ReLU"
        return f"{layer[0]} {kind or default}, {direction}"
    if "jvp(" in source:
        return f"loss, {direction}"
    return "optimizer and the rest"
