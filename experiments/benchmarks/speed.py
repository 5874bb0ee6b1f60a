"""Programs against each other: compile time, training, evaluation and prediction."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reference.variants import Variant

from benchmarks.contestants import Contestant, JaxContestant, Setting, TorchContestant
from benchmarks.rounds import Times, best, speedup, summarize, take_turns
from benchmarks.status import status
from benchmarks.work import operations
from jaxcolor.colorization.predictor import build_network
from jaxcolor.errors import reason

OURS = "jaxcolor"
PHASES = ("train", "eval", "predict")


def make_contestants(setting: Setting, chosen: Sequence[Variant]) -> dict[str, Contestant]:
    """jaxcolor, then PyTorch's variants."""
    ours: dict[str, Contestant] = {OURS: JaxContestant(setting)}
    return ours | {f"pytorch {variant.name}": TorchContestant(setting, variant) for variant in chosen}


def compare_speed(
    setting: Setting, contestants: Mapping[str, Contestant], rounds: int, phases: Sequence[str] = PHASES
) -> dict[str, Any]:
    """What all phases come to, as plain values. A variant that does not compile is listed as `failed`."""
    left = dict(contestants)
    compiling: dict[str, dict[str, float]] = {name: {} for name in left}
    failed: dict[str, str] = {}
    times: dict[str, Times] = {}
    for phase in phases:
        for name in list(left):
            try:
                with status(f"{setting.model}, batch {setting.batch_size}: compiling {name}, {phase}"):
                    compiling[name][phase] = first_call(call(left[name], phase))
            except Exception as error:
                if "compile" not in name and "reduce-overhead" not in name:
                    raise
                failed[name] = f"{type(error).__name__}: {reason(error)}"
                del left[name]
        programs = {name: call(contestant, phase, setting.steps) for name, contestant in left.items()}
        times[phase] = take_turns(programs, rounds)
    images = setting.steps * setting.batch_size
    return describe_setting(setting) | {
        "failed": failed,
        "contestants": {
            name: {"compile_seconds": sum(compiling[name].values())}
            | {phase: figures(setting, phase, times[phase][name], images) for phase in phases}
            for name in left
        },
        **ratios(times),
    }


def call(contestant: Contestant, phase: str, steps: int = 1) -> Callable[[], None]:
    """A phase of so many batches."""
    run = {"train": contestant.train, "eval": contestant.evaluate, "predict": contestant.predict}[phase]
    return lambda: run(steps)


def first_call(program: Callable[[], None]) -> float:
    """How many seconds longer than the second call the first one takes, mostly for compiling."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        program()
        times.append(time.perf_counter() - start)
    return max(times[0] - times[1], 0.0)


def figures(setting: Setting, phase: str, seconds: Sequence[float], images: int) -> dict[str, float]:
    """Seconds a batch, images a second and achieved GFLOP/s."""
    summary = summarize(seconds)
    side = setting.images.shape[1]
    work = operations(build_network(setting.config), side, channels=1, train=phase == "train")
    return {
        "seconds_a_batch": summary.median / setting.steps,
        "low": summary.low / setting.steps,
        "high": summary.high / setting.steps,
        "images_a_second": images / summary.median,
        "gflops": work * images / summary.median / 1e9,
    }


def ratios(times: Mapping[str, Times]) -> dict[str, Any]:
    """The throughput of ours as a multiple of that of PyTorch's best variant, phase by phase."""
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
    """A setting without its images."""
    plain = {f.name: getattr(setting, f.name) for f in dataclasses.fields(setting)}
    del plain["images"], plain["palette"]
    return plain | {"side": setting.images.shape[1], "batches_a_round": setting.steps}
