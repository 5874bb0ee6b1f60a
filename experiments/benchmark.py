"""Compare jaxcolor with plain PyTorch: `python experiments/benchmark.py colorize` or `segment`."""

import sys

import tyro
from benchmarks.config import ColorizeBenchmark, SegmentBenchmark

from jaxcolor.cli import run_script

app = tyro.extras.SubcommandApp()


@app.command(name="colorize")
def colorize(config: tyro.conf.OmitArgPrefixes[ColorizeBenchmark]) -> None:
    """Colorization: parity certificate, speed and memory."""
    # Imported here, so that --help need not wait for JAX and PyTorch.
    from benchmarks.main import colorize

    if not colorize(config).get("certificate_holds", True):
        sys.exit("error: the certificate does not hold: see the rows that are too far")


@app.command(name="segment")
def segment(config: tyro.conf.OmitArgPrefixes[SegmentBenchmark]) -> None:
    """Segmentation: whole runs, their losses, and the frozen forward pass."""
    from benchmarks.main import segment

    segment(config)


if __name__ == "__main__":
    run_script(lambda: app.cli(config=(tyro.conf.FlagCreatePairsOff,)), "nothing is kept of it")
