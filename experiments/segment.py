"""Train a network that segments images: `python experiments/segment.py`."""

from jaxcolor import cli
from jaxcolor.segmentation.config import SegmentConfig


def main() -> None:
    config = cli.parse(SegmentConfig)
    # Imported here, so that --help need not wait for JAX.
    from jaxcolor.segmentation.main import segment

    segment(config)


if __name__ == "__main__":
    cli.run_script(main)
