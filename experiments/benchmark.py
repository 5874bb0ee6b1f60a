"""Compare jaxcolor with plain PyTorch: `python experiments/benchmark.py colorize`."""

import sys

import tyro

from jaxcolor.benchmark.config import ColorizeBenchmark
from jaxcolor.cli import run_script

app = tyro.extras.SubcommandApp()


@app.command(name="colorize")
def colorize(config: tyro.conf.OmitArgPrefixes[ColorizeBenchmark]) -> None:
    """Colourization: parity certificate, speed and memory."""
    # Imported here, so that --help need not wait for JAX and PyTorch.
    from jaxcolor.benchmark.main import colorize

    if not colorize(config).get("certificate_holds", True):
        sys.exit("error: the certificate does not hold: see the rows that are too far")


if __name__ == "__main__":
    run_script(lambda: app.cli(config=(tyro.conf.FlagCreatePairsOff,)))
