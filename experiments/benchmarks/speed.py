"""Speed of the contestants: compile time, and throughput of training, evaluation and prediction."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analysis.tracing import trace_layers
from flax import linen as nn
from reference.variants import Variant

from benchmarks.contestants import Contestant, JaxContestant, Setting, TorchContestant
from benchmarks.rounds import Times, best, speedup, status, summarize, take_turns
from jaxcolor.colorization.predictor import build_network
from jaxcolor.errors import reason

OURS = "jaxcolor"
PHASES = ("train", "eval", "predict")


def make_contestants(setting: Setting, chosen: Sequence[Variant]) -> dict[str, Contestant]:
    """Return jaxcolor and the chosen variants of PyTorch, by name."""
    ours: dict[str, Contestant] = {OURS: JaxContestant(setting)}
    return ours | {f"pytorch {variant.name}": TorchContestant(setting, variant) for variant in chosen}


def compare_speed(
    setting: Setting, contestants: Mapping[str, Contestant], rounds: int, phases: Sequence[str] = PHASES
) -> dict[str, Any]:
    """Time all phases of all contestants. Return values that JSON can hold.

    A variant that does not compile is an entry of `failed` with its error.
    """
    left = dict(contestants)
    compiling: dict[str, dict[str, float]] = {name: {} for name in left}
    failed: dict[str, str] = {}
    times: dict[str, Times] = {}
    for phase in phases:
        for name in list(left):
            try:
                with status(f"{setting.model}, batch {setting.batch_size}: compiling {name}, {phase}"):
                    compiling[name][phase] = compile_time(phase_program(left[name], phase))
            except Exception as error:
                if "compile" not in name and "reduce-overhead" not in name:
                    raise
                failed[name] = f"{type(error).__name__}: {reason(error)}"
                del left[name]
        programs = {name: phase_program(one, phase, setting.steps) for name, one in left.items()}
        times[phase] = take_turns(programs, rounds)
    return describe_setting(setting) | {
        "failed": failed,
        "contestants": {
            name: {"compile_seconds": sum(compiling[name].values())}
            | {phase: throughput(setting, phase, times[phase][name]) for phase in phases}
            for name in left
        },
        **compare_with_best(times),
    }


def phase_program(contestant: Contestant, phase: str, steps: int = 1) -> Callable[[], None]:
    """Return a function that processes `steps` batches in a phase."""
    run = {"train": contestant.train, "eval": contestant.evaluate, "predict": contestant.predict}[phase]
    return lambda: run(steps)


def compile_time(program: Callable[[], None]) -> float:
    """Return how many seconds the first call takes longer than the second, mostly for compiling."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        program()
        times.append(time.perf_counter() - start)
    return max(times[0] - times[1], 0.0)


def throughput(setting: Setting, phase: str, seconds: Sequence[float]) -> dict[str, float]:
    """Return the figures of a phase from the seconds of its rounds.

    `seconds_per_batch` is the median, `low` and `high` are its quartiles.
    """
    summary = summarize(seconds)
    images = setting.steps * setting.batch_size
    side = setting.images.shape[1]
    work = count_operations(build_network(setting.config), side, channels=1, train=phase == "train")
    return {
        "seconds_per_batch": summary.median / setting.steps,
        "low": summary.low / setting.steps,
        "high": summary.high / setting.steps,
        "images_per_second": images / summary.median,
        "gflops": work * images / summary.median / 1e9,
    }


def count_operations(model: nn.Module, side: int, channels: int, train: bool) -> int:
    """Return the floating-point operations for an image of `side`² pixels, two per connection.

    A train step computes each convolution, the gradient of its kernel, and that of its input, except for the
    first layer. Operations outside of convolutions do not count.
    """
    layers = trace_layers(model, (side, side, channels), train=False)
    forward = 2 * sum(layer.connections for layer in layers)
    return 3 * forward - 2 * layers[0].connections if train else forward


def compare_with_best(times: Mapping[str, Times]) -> dict[str, Any]:
    """Return PyTorch's best variant per phase, and how many times its throughput jaxcolor's is."""
    result: dict[str, Any] = {"best": {}}
    for phase, by_name in times.items():
        theirs = [name for name in by_name if name != OURS]
        if not theirs:
            continue
        result["best"][phase] = best(by_name, theirs)
        faster = speedup(by_name, OURS, result["best"][phase])
        result[f"{phase}_ratio"] = faster.ratio
        result[f"{phase}_ratio_range"] = [faster.low, faster.high]
    return result


def describe_setting(setting: Setting) -> dict[str, Any]:
    """Return the setting without its arrays, the side of its images in pixels, and the batches per round."""
    values = {field.name: getattr(setting, field.name) for field in dataclasses.fields(setting)}
    del values["images"], values["palette"]
    return values | {"side": setting.images.shape[1], "batches_per_round": setting.steps}
