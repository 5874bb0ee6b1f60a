"""The time of jaxcolor's train step by layer, from JAX's profiler.

A program compiled by XLA consists of instructions. Each has the name of its source, such as
`jit(train_step)/transpose(jvp(UNet))/layer5/conv/…`, and the profiler reports its time on each thread. A
fused instruction has the name of one of its sources. For oneDNN's instructions the profiler reports only the
thread that waits for them.
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

TRACED_STEPS = 5
INSTRUCTION = re.compile(r'^\s*(?:ROOT )?%?([\w.-]+) = .*?op_name="([^"]*)"', re.MULTILINE)
LIBRARY = re.compile(r"__onednn.*$")  # the profiler appends it to the names of oneDNN's instructions
CONTAINERS = re.compile(r"^(while|call|conditional)\b")  # their time is that of the instructions in them
OPERATIONS = {"norm": "normalization", "conv": "convolution"}


def profile_step(setting: Setting) -> dict[str, float]:
    """Return the milliseconds that threads spend in each part of a step, in decreasing order."""
    data = make_arrays(setting.round_images[: setting.batch_size], setting.palette, downsize_input=False)
    batch = data | {"valid": None}
    state = make_state(setting)
    step = jit(train_step, donate_argnums=0).lower(state, batch).compile()
    state, _ = step(state, batch)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(TRACED_STEPS):
                state, sums = step(state, batch)
                jax.block_until_ready(sums)
            jax.block_until_ready(state)
        (trace,) = Path(folder).rglob("*.xplane.pb")
        events = list(read_events(trace))
    return summarize_events(events, dict(INSTRUCTION.findall(step.as_text())))


def read_events(trace: Path) -> Iterable[tuple[str, float]]:
    """Yield the name of each traced instruction, and its milliseconds per step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the reader's types
        for plane in jax.profiler.ProfileData.from_file(str(trace)).planes:
            for line in plane.lines:
                for event in line.events:
                    name = event.name
                    if plane.name.startswith("/device:"):  # a GPU's kernels have names of their own
                        name = str(dict(event.stats).get("hlo_op", name))
                    yield name, event.duration_ns / 1e6 / TRACED_STEPS


def summarize_events(events: Iterable[tuple[str, float]], sources: Mapping[str, str]) -> dict[str, float]:
    """Return the milliseconds of the instructions with a known source, summed by part of the step."""
    total: Counter[str] = Counter()
    for event, milliseconds in events:
        name = LIBRARY.sub("", event)
        if name in sources and not CONTAINERS.match(name):
            total[part_of(sources[name], by_library=name != event)] += milliseconds  # type: ignore[assignment]
    return dict(total.most_common())


def part_of(source: str, by_library: bool = False) -> str:
    """Return the layer, the operation and the direction of an instruction."""
    direction = "backward" if "transpose(" in source else "forward"
    if layer := re.search(r"layer\d", source):
        operation = next((text for key, text in OPERATIONS.items() if f"/{key}/" in source), None)
        default = "convolution" if by_library or layer[0] == "layer6" else "pooling, ReLU"
        return f"{layer[0]} {operation or default}, {direction}"
    if "jvp(" in source:
        return f"loss, {direction}"
    return "optimizer and the rest"
