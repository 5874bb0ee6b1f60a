"""A benchmark from its settings to its results."""

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.config import IMAGE_SIDES, ColorizeBenchmark, SegmentBenchmark
from jaxcolor.errors import UserError

# By default XLA allocates most of a GPU's memory at once, and PyTorch runs in the same process.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

try:
    import torch
except ImportError as error:
    raise UserError("PyTorch is not installed: pip install -e '.[reference]'") from error

from reference.variants import choose_device, choose_variants, set_precision

from benchmarks import report, segmentation
from benchmarks.certificate import NETWORK_NAMES, Difference, certificate_holds, certify
from benchmarks.contestants import Setting
from benchmarks.machine import describe_machine, matrix_product_peak, usable_cpus
from benchmarks.memory import is_measurable, peak_mebibytes
from benchmarks.processes import compare_whole_runs
from benchmarks.profile import profile_step
from benchmarks.rounds import status
from benchmarks.speed import OURS, compare_speed, make_contestants
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.data import load_dataset
from jaxcolor.colorization.palette import Palette, fit_palette
from jaxcolor.data.photographs import load_sample
from jaxcolor.files import write_json
from jaxcolor.training.compilation import check_platforms, set_matmul_precision
from jaxcolor.training.memory import keep_freed_memory

PALETTE_SIZE = 24
CERTIFIED_BATCH_SIZE = 10
EAGER = "pytorch eager"
MAX_BATCH_SIZE_OF_SIZES = 25  # PyTorch's step on 100 images of 256×256 pixels needs 6 GB

Results = dict[str, Any]


def benchmark_colorization(config: ColorizeBenchmark) -> Results:
    """Measure what the settings ask for, print it, and return values that JSON can hold."""
    if config.archive:
        config = dataclasses.replace(config, dataset="cifar10")
    check_platforms()
    set_matmul_precision(config.precision)
    chosen = choose_variants(config.variants)
    share_resources()
    images = load_images(config)
    palette = fit_palette(images, PALETTE_SIZE, seed=0)

    results: Results = {"machine": describe_machine(), "settings": dataclasses.asdict(config)}
    if config.certificate != "only":
        results["matrix_product_gflops"] = matrix_product_peak()
        show(report.machine_text(results["machine"], results["matrix_product_gflops"]))
    if config.certificate != "no":
        results |= certify_networks(config, images, palette)
    if config.certificate == "only":
        return write_results(config, results)

    results["speed"] = []
    for model in config.model:
        for batch_size in config.batch_sizes:
            setting = Setting(model, batch_size, config.filters, config.precision, images, palette)
            result = compare_speed(setting, make_contestants(setting, chosen), config.rounds)
            if config.memory and is_measurable():
                # A measurement starts a process, so a sweep measures only the best variant.
                programs = [OURS, result["best"]["train"]] if config.sweep else result["contestants"]
                with status(f"{model}, batch {batch_size}: peak memory"):
                    result["peak_mebibytes"] = {name: peak_mebibytes(setting, name) for name in programs}
            results["speed"].append(result)
            show(report.speed_text(result))
    if config.sweep:
        path = config.json.with_suffix(".png") if config.json else Path("benchmark-sweep.png")
        report.draw_sweep(path, results["speed"])
        show(f"plotted in {path}")
    if config.sizes:
        results["sizes"] = [
            result for model in config.model for result in compare_sizes(config, model, palette)
        ]
    if config.profile:
        results["profile"] = {}
        for model in config.model:
            setting = Setting(model, config.batch_size[0], config.filters, config.precision, images, palette)
            parts = results["profile"][model] = profile_step(setting)
            show(f"{model}, batch {config.batch_size[0]}\n\n{report.profile_text(parts)}")
    if config.whole_run:
        results["whole_run"] = [compare_whole_runs(config, model, palette, chosen) for model in config.model]
        for result in results["whole_run"]:
            show(report.whole_runs_text(result))
    return write_results(config, results)


def benchmark_segmentation(config: SegmentBenchmark) -> Results:
    """Measure segmentation, print the results, and return values that JSON can hold."""
    check_platforms()
    share_resources()
    use_float32()
    results: Results = {"machine": describe_machine(), "settings": dataclasses.asdict(config)}
    results["matrix_product_gflops"] = matrix_product_peak()
    show(report.machine_text(results["machine"], results["matrix_product_gflops"]))
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights.pth")
        model = segmentation.write_weights(weights, config)
        for part in config.parts:
            results[part] = segmentation.COMPARISONS[part](config, weights, model)
            show(report.segmentation_text(part, results[part]))
    return write_results(config, results)


def share_resources() -> None:
    """Give both libraries the same memory allocator and the same number of threads."""
    keep_freed_memory()
    torch.set_num_threads(usable_cpus())


def use_float32() -> None:
    """Let both libraries multiply in float32, on a GPU as well."""
    set_matmul_precision("float32")
    set_precision("float32", choose_device())


def certify_networks(config: ColorizeBenchmark, images: np.ndarray, palette: Palette) -> Results:
    """Print and return the parity certificate of all networks, in float32 for every `config.precision`."""
    use_float32()
    found: dict[str, list[Difference]] = {}
    for network in NETWORK_NAMES:
        with status(f"{network}: comparing the numbers"):
            found[network] = certify(network, images, palette, CERTIFIED_BATCH_SIZE, config.filters)
    show(report.certificate_text(found, CERTIFIED_BATCH_SIZE))
    values = {network: [dataclasses.asdict(d) for d in differences] for network, differences in found.items()}
    return {"certificate": values, "certificate_holds": certificate_holds(found)}


def compare_sizes(config: ColorizeBenchmark, model: str, palette: Palette) -> list[Results]:
    """Print and return time and memory of a train step, by jaxcolor and PyTorch, for images of all sizes."""
    batch_size = min(config.batch_size[0], MAX_BATCH_SIZE_OF_SIZES)
    results = []
    for side in IMAGE_SIDES:
        images, _ = load_sample(side)
        setting = Setting(model, batch_size, config.filters, config.precision, images, palette)
        contestants = make_contestants(setting, choose_variants(["eager"]))
        result = compare_speed(setting, contestants, config.rounds, phases=["train"])
        if config.memory and is_measurable():
            result["peak_mebibytes"] = {name: peak_mebibytes(setting, name) for name in (OURS, EAGER)}
        results.append(result)
    show(report.sizes_text(results))
    return results


def load_images(config: ColorizeBenchmark) -> np.ndarray:
    """Load the training images. Those of CIFAR-10 are shuffled once."""
    if config.dataset == "sample":
        return load_sample()[0]
    source = ColorizeConfig(
        dataset="cifar10", category=config.category, archive=config.archive, data_dir=config.data_dir
    )
    images = load_dataset(source).train
    return images[np.random.default_rng(0).permutation(len(images))]


def show(text: str) -> None:
    """Print a text and an empty line at once."""
    print(f"{text}\n", flush=True)


def write_results(config: ColorizeBenchmark | SegmentBenchmark, results: Results) -> Results:
    """Write the results to the file of --json, if there is one, and return them."""
    if config.json:
        write_json(config.json, results)
        show(f"written to {config.json}")
    return results
