"""Train a network that segments images: `python experiments/segment.py`."""

from jaxcolor import cli

if __name__ == "__main__":
    cli.run_script(cli.segment)
