"""Compare jaxcolor with plain PyTorch: `python experiments/benchmark.py colorize` or `segment`."""

import sys

import tyro
from benchmarks.config import ColorizeBenchmark, SegmentBenchmark

from jaxcolor.cli import run_script

app = tyro.extras.SubcommandApp()


@app.command(name="colorize")
def colorize(config: tyro.conf.OmitArgPrefixes[ColorizeBenchmark]) -> None:
    """Compare colorization: parity certificate, speed and memory."""
    # Imported after parsing, so --help does not wait for JAX and PyTorch.
    from benchmarks.main import benchmark_colorization

    if not benchmark_colorization(config).get("certificate_holds", True):
        sys.exit("error: the certificate does not hold: see its rows marked TOO FAR")


@app.command(name="segment")
def segment(config: tyro.conf.OmitArgPrefixes[SegmentBenchmark]) -> None:
    """Compare segmentation: whole runs with their losses, and the frozen forward pass."""
    from benchmarks.main import benchmark_segmentation

    benchmark_segmentation(config)


if __name__ == "__main__":
    run_script(
        lambda: app.cli(config=(tyro.conf.FlagCreatePairsOff,)), "an interrupted benchmark saves no results"
    )
