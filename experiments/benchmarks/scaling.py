"""Training on 1, 2, 4 and 8 devices at equal total work, and what the devices send to each other.

The devices are those of one CPU, which share its cores. So nothing gets faster, and what gets slower is the
cost of the division.
"""

import dataclasses
import re
import statistics
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.config import ScalingBenchmark
from benchmarks.rounds import take_turns
from jaxcolor.colorization.task import make_train_step
from jaxcolor.files import write_json
from jaxcolor.models import MODELS
from jaxcolor.training.batches import make_batches
from jaxcolor.training.devices import Devices
from jaxcolor.training.engine import Engine
from jaxcolor.training.optimizers import make_optimizer
from jaxcolor.training.state import TrainState, create_state, initialize

SIDE, COLORS = 32, 24  # of CIFAR-10's images, and of the palette
COLLECTIVE = re.compile(
    r"= (?P<result>\(.*?\)|\S+) (?P<name>all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)"
    r"(-start)?\("
)
ARRAY = re.compile(r"(?:f|s|u|bf)(?P<bits>\d+)\[(?P<shape>[\d,]*)\]")


class Collectives(NamedTuple):
    """What the devices of a compiled step send to each other."""

    number: int
    bytes: int  # of the arrays that they add up


class Link(NamedTuple):
    """A network between devices."""

    name: str
    devices: int
    bandwidth: float  # bytes per second that a device sends
    latency: float  # seconds per message


LINKS = (
    Link("8 GPUs, NVLink", 8, 450e9, 3e-6),
    Link("8 GPUs, PCIe", 8, 25e9, 10e-6),
    Link("256 TPU cores, a torus", 256, 100e9, 1e-6),
)


def measure_scaling(config: ScalingBenchmark) -> dict[str, Any]:
    """Time a train step on each number of devices, in turns, count the collectives, and print both."""
    programs = {number: Program(config, number) for number in config.devices}
    times = take_turns({str(number): program.run for number, program in programs.items()}, config.rounds)
    images = config.batch_size * config.steps
    speeds = {number: images / statistics.median(times[str(number)]) for number in programs}
    rows = []
    for number, program in programs.items():
        half = speeds.get(number // 2)
        rows.append(
            {
                "devices": number,
                "images_per_second": round(speeds[number], 1),
                "relative_to_half": half and round(speeds[number] / half, 3),
                **program.collectives()._asdict(),
            }
        )
    results = {"settings": dataclasses.asdict(config), "rows": rows, "paper": on_paper(programs)}
    print(describe(config, results))
    if config.json:
        write_json(config.json, results)
    return results


class Program:
    """The train step of a network on some devices, and the images of an epoch."""

    def __init__(self, config: ScalingBenchmark, number: int):
        self.devices = Devices(number)
        rng = np.random.default_rng(0)
        images = config.batch_size * config.steps
        self.data = self.devices.copy(
            {
                "inputs": jnp.asarray(rng.random((images, SIDE, SIDE, 1)), jnp.float32),
                "labels": jnp.asarray(rng.integers(0, COLORS, (images, SIDE, SIDE)), jnp.uint8),
            }
        )
        self.batches = make_batches(np.arange(images), config.batch_size, number)
        model = MODELS[config.model](colors=COLORS)
        variables = initialize(model, jax.ShapeDtypeStruct((1, SIDE, SIDE, 1), jnp.float32), seed=0)
        optimizer = make_optimizer("adam", 1e-3, 0.0)
        self.state: TrainState = self.devices.copy(create_state(model.apply, variables, optimizer))
        self.engine = Engine(make_train_step(seed=0), steps=1, devices=self.devices)

    def run(self) -> None:
        """Train on all images once."""
        self.state, _ = self.engine(self.state, self.batches, self.data)

    def gradient_bytes(self) -> int:
        """Return the size of the gradients."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.state.params))

    def collectives(self) -> Collectives:
        """Return the collectives of the compiled step."""
        batch = {"indices": self.batches.indices[0], "valid": None}
        return count_collectives(self.engine.compiled_text(self.state, self.data, batch))


def count_collectives(text: str) -> Collectives:
    """Count the collectives in a compiled program, and the bytes of their results."""
    found = [match["result"] for match in COLLECTIVE.finditer(text)]
    return Collectives(len(found), sum(map(array_bytes, found)))


def array_bytes(shapes: str) -> int:
    """Return the size of arrays that are written as `f32[24,3]`, one or a tuple."""
    sizes = (
        int(match["bits"]) // 8 * int(np.prod([int(n) for n in match["shape"].split(",") if n], initial=1))
        for match in ARRAY.finditer(shapes)
    )
    return sum(sizes)


def on_paper(programs: dict[int, Program]) -> list[dict[str, Any]]:
    """Return the time per step that collectives take on other machines, by the model of docs/scaling.md."""
    largest = programs[max(programs)]
    collectives = largest.collectives()
    return [
        {"machine": link.name, "milliseconds": round(1e3 * all_reduce_seconds(collectives, link), 3)}
        for link in LINKS
    ]


def all_reduce_seconds(collectives: Collectives, link: Link) -> float:
    """Return how long ring all-reduces take, one after the other.

    A ring of n devices sends 2 · (n − 1) / n of the bytes through each link, in 2 · (n − 1) messages.
    """
    rounds = 2 * (link.devices - 1)
    sent = rounds / link.devices * collectives.bytes
    return sent / link.bandwidth + rounds * link.latency * collectives.number


def describe(config: ScalingBenchmark, results: dict[str, Any]) -> str:
    """Return the results as text."""
    lines = [
        f"{config.model}, batches of {config.batch_size}, {jax.devices()[0].platform} devices that share "
        "the machine; median of the rounds",
        f"{'devices':>7}  {'images/s':>9}  {'of half as many':>15}  {'collectives':>11}  {'KB per step':>11}",
    ]
    for row in results["rows"]:
        half = f"{row['relative_to_half']:.2f}" if row["relative_to_half"] else ""
        lines.append(
            f"{row['devices']:>7}  {row['images_per_second']:>9,.0f}  {half:>15}  {row['number']:>11}  "
            f"{row['bytes'] / 1e3:>11,.0f}"
        )
    lines.append("collectives per step on paper, one after the other:")
    lines += [f"  {row['machine']}: {row['milliseconds']:.2f} ms" for row in results["paper"]]
    return "\n".join(lines)
