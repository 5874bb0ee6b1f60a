"""Color and segment images on a page in the browser: `python experiments/demo.py`."""

from page.config import DemoConfig

from jaxcolor import cli
from jaxcolor.options import read_options


def main() -> None:
    config = read_options(DemoConfig)
    # Imported after parsing, so --help does not wait for Gradio and JAX.
    from page.server import serve

    serve(config)


if __name__ == "__main__":
    cli.run_script(main, "no page is open")
