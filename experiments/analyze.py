"""Answer the assignment's questions by running code: `python experiments/analyze.py`."""

from jaxcolor import cli
from jaxcolor.analysis.config import QUICK, AnalyzeConfig


def main() -> None:
    config = cli.parse(AnalyzeConfig, presets={"quick": QUICK})
    # Imported here, so that --help need not wait for JAX.
    from jaxcolor.analysis.main import analyze

    analyze(config)


if __name__ == "__main__":
    cli.run_script(main, "with --resume the analysis goes on after its last training")
