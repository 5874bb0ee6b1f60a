"""Answer the assignment's questions by running code: `python experiments/analyze.py`."""

from analysis.config import QUICK, AnalyzeConfig

from jaxcolor import cli
from jaxcolor.training.memory import enough_memory


def main() -> None:
    config = cli.parse(AnalyzeConfig, presets={"quick": QUICK})
    # Imported after parsing, so --help does not wait for JAX.
    from analysis.main import analyze

    with enough_memory(config.memory_advice):
        analyze(config)


if __name__ == "__main__":
    cli.run_script(main, "with --resume the analysis resumes after its last training")
