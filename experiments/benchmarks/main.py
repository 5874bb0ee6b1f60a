"""A benchmark, from its settings to its tables."""

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.config import SIZES, ColorizeBenchmark, SegmentBenchmark
from jaxcolor.errors import UserError

# XLA would take most of a GPU's memory at once, and leave PyTorch, in the same process, without.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

try:
    import torch
except ImportError as error:
    raise UserError("PyTorch is not installed: pip install -e '.[reference]'") from error

from reference.variants import choose_device, choose_variants, set_precision

from benchmarks import report, segmentation
from benchmarks.certificate import NETWORKS, Difference, certify
from benchmarks.contestants import Setting
from benchmarks.machine import describe, matrix_product_peak, usable_cpus
from benchmarks.memory import is_measurable, peak_mebibytes
from benchmarks.plots import draw_sweep
from benchmarks.profile import profile_step
from benchmarks.speed import OURS, compare_speed, make_contestants
from benchmarks.status import status
from benchmarks.whole_run import whole_runs
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.data import load_dataset
from jaxcolor.colorization.palette import Palette, fit_palette
from jaxcolor.data.photographs import load_sample
from jaxcolor.files import write_json
from jaxcolor.training.compilation import keep_freed_memory, set_matmul_precision

COLORS = 24
CERTIFIED_BATCH = 10
EAGER = "pytorch eager"
SIZES_BATCH = 25  # at most: PyTorch's step on 100 images of 256×256 pixels takes 6 GB

Results = dict[str, Any]


def colorize(config: ColorizeBenchmark) -> Results:
    """Measure what the settings ask for, print it, and return it as plain values."""
    if config.archive:
        config = dataclasses.replace(config, dataset="cifar10")
    set_matmul_precision(config.precision)
    chosen = choose_variants(config.variants)
    share_the_machine()
    images = load(config)
    palette = fit_palette(images, COLORS, seed=0)

    results: Results = {"machine": describe(), "settings": dataclasses.asdict(config)}
    if config.certificate != "only":
        results["matrix_product_gflops"] = matrix_product_peak()
        show(report.machine(results["machine"], results["matrix_product_gflops"]))
    if config.certificate != "no":
        results |= certified(config, images, palette)
    if config.certificate == "only":
        return written(config, results)

    results["colorize"] = []
    for model in config.model:
        for batch_size in config.batch_sizes:
            setting = Setting(model, batch_size, config.filters, config.precision, images, palette)
            result = compare_speed(setting, make_contestants(setting, chosen), config.rounds)
            if config.memory and is_measurable():
                # In a sweep only the best one, since each takes a process.
                programs = [OURS, result["best"]["train"]] if config.sweep else result["contestants"]
                with status(f"{model}, batch {batch_size}: peak memory"):
                    result["peak_mebibytes"] = {name: peak_mebibytes(setting, name) for name in programs}
            results["colorize"].append(result)
            show(report.speed(result))
    if config.sweep:
        where = config.json.with_suffix(".png") if config.json else Path("benchmark-sweep.png")
        draw_sweep(where, results["colorize"])
        show(f"drawn in {where}")
    if config.sizes:
        results["sizes"] = [result for model in config.model for result in grown(config, model, palette)]
    if config.profile:
        results["profile"] = {}
        for model in config.model:
            setting = Setting(model, config.batch_size[0], config.filters, config.precision, images, palette)
            results["profile"][model] = profile_step(setting)
            show(f"{model}, batch {config.batch_size[0]}\n\n{report.profile(results['profile'][model])}")
    if config.whole_run:
        results["whole_run"] = [whole_runs(config, model, palette, chosen) for model in config.model]
        for result in results["whole_run"]:
            show(report.whole_run(result))
    return written(config, results)


def segment(config: SegmentBenchmark) -> Results:
    """Measure segmentation, print the figures, and return them as plain values."""
    share_the_machine()
    calculate_in_float32()
    results: Results = {"machine": describe(), "settings": dataclasses.asdict(config)}
    results["matrix_product_gflops"] = matrix_product_peak()
    show(report.machine(results["machine"], results["matrix_product_gflops"]))
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights.pth")
        model = segmentation.write_weights(weights, config)
        results["forward"] = segmentation.compare_forward(config, weights, model)
        if config.runs:
            results["whole_run"] = segmentation.compare_runs(config, weights, Path(folder))
    show(segmentation.report(results))
    return written(config, results)


def share_the_machine() -> None:
    """Give both libraries the same memory allocator and as many threads."""
    keep_freed_memory()
    torch.set_num_threads(usable_cpus())


def calculate_in_float32() -> None:
    """Let both libraries multiply exactly that, on a GPU, too."""
    set_matmul_precision("float32")
    set_precision("float32", choose_device())


def certified(config: ColorizeBenchmark, images: np.ndarray, palette: Palette) -> Results:
    """The parity certificate of all networks, in float32 whatever is timed."""
    calculate_in_float32()
    found: dict[str, list[Difference]] = {}
    for network in NETWORKS:
        with status(f"{network}: comparing the numbers"):
            found[network] = certify(network, images, palette, CERTIFIED_BATCH, config.filters)
    show(report.certificate(found, CERTIFIED_BATCH))
    plain = {network: [dataclasses.asdict(d) for d in differences] for network, differences in found.items()}
    return {"certificate": plain, "certificate_holds": report.is_good(found)}


def grown(config: ColorizeBenchmark, model: str, palette: Palette) -> list[Results]:
    """A train step on larger and larger images, by jaxcolor and PyTorch."""
    batch_size = min(config.batch_size[0], SIZES_BATCH)
    results = []
    for side in SIZES:
        images, _ = load_sample(side)
        setting = Setting(model, batch_size, config.filters, config.precision, images, palette)
        contestants = make_contestants(setting, choose_variants(["eager"]))
        result = compare_speed(setting, contestants, config.rounds, phases=["train"])
        if config.memory and is_measurable():
            result["peak_mebibytes"] = {name: peak_mebibytes(setting, name) for name in (OURS, EAGER)}
        results.append(result)
    show(report.growth(results, f"{model}, images"))
    return results


def load(config: ColorizeBenchmark) -> np.ndarray:
    """The training images, put into an order drawn once."""
    if config.dataset == "sample":
        return load_sample()[0]
    source = ColorizeConfig(
        dataset="cifar10", category=config.category, archive=config.archive, data_dir=config.data_dir
    )
    images = load_dataset(source).train
    return images[np.random.default_rng(0).permutation(len(images))]


def show(text: str) -> None:
    print(f"{text}\n", flush=True)


def written(config: ColorizeBenchmark | SegmentBenchmark, results: Results) -> Results:
    """The results, and in the file that was asked for."""
    if config.json:
        write_json(config.json, results)
        show(f"written to {config.json}")
    return results
