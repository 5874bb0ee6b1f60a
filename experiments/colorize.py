"""Train a network that colors images: `python experiments/colorize.py --model unet`."""

from jaxcolor import cli
from jaxcolor.colorization.config import ColorizeConfig


def main() -> None:
    config = cli.parse(ColorizeConfig)
    # Imported here, so that --help need not wait for JAX.
    from jaxcolor.colorization.main import colorize

    colorize(config)


if __name__ == "__main__":
    cli.run_script(main)
