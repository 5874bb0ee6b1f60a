"""Train a network that colors images: `python experiments/colorize.py --model unet`."""

from jaxcolor import cli

if __name__ == "__main__":
    cli.run_script(cli.colorize)
