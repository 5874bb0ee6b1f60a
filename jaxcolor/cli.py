"""The command line: `jaxcolor colorize`, `jaxcolor segment`, and the same as scripts in experiments/.

Settings come from a dataclass; an error that the user can mend is one line.
"""

import _thread
import dataclasses
import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro

from jaxcolor.errors import UserError, reason
from jaxcolor.training.run_folder import RunFolder

Config = TypeVar("Config", bound=Any)

USAGE = """\
usage: jaxcolor COMMAND [OPTIONS]

Color and segment images with convolutional networks, in JAX and Flax.

commands:
  colorize    train a network that colors gray images, or color images with it
  segment     train a network that segments images, or segment images with it
  inspect     report what a folder of images and masks holds, and its problems
  analyze     answer the assignment's questions (in a clone of the repository)
  benchmark   compare jaxcolor with PyTorch (in a clone of the repository)

`jaxcolor COMMAND --help` lists the options of a command.
"""
RESUME_ADVICE = "with --name and --resume a run resumes after its last epoch"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `jaxcolor COMMAND …`."""
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in COMMANDS:
        run_script(lambda: COMMANDS[command](rest, prog=f"jaxcolor {command}"))
    elif command in STUDIES:
        run_script(lambda: run_study(command, rest))
    elif command in ("-h", "--help"):
        print(USAGE, end="")
    elif command == "--version":
        from jaxcolor import __version__

        print(f"jaxcolor {__version__}")
    else:
        names = ", ".join([*COMMANDS, *STUDIES])
        print(f"error: there is no command {command!r}: choose from {names}", file=sys.stderr)
        sys.exit(2)


def colorize(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run `jaxcolor colorize`."""
    from jaxcolor.colorization.config import ColorizeConfig

    config = parse(ColorizeConfig, arguments, prog=prog)
    # Imported after parsing, so --help does not wait for JAX.
    from jaxcolor.colorization.job import colorize

    colorize(config)


def segment(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run `jaxcolor segment`."""
    from jaxcolor.segmentation.config import SegmentConfig

    config = parse(SegmentConfig, arguments, prog=prog)
    # Imported after parsing, so --help does not wait for JAX.
    from jaxcolor.segmentation.job import segment

    segment(config)


def inspect(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run `jaxcolor inspect`."""
    from jaxcolor.segmentation.config import InspectConfig

    config = tyro.cli(InspectConfig, args=arguments, prog=prog)
    from jaxcolor.segmentation.inspection import inspect

    inspect(config.data.expanduser(), config.classes, config.sheet)


COMMANDS: dict[str, Callable[..., None]] = {"colorize": colorize, "segment": segment, "inspect": inspect}
STUDIES = ("analyze", "benchmark")  # scripts in experiments/, which the installed package does not contain


def run_study(name: str, arguments: Sequence[str]) -> None:
    """Run a script of experiments/. Raises `UserError` outside of a clone of the repository."""
    script = Path(__file__).parents[1] / "experiments" / f"{name}.py"
    if not script.is_file():
        raise UserError(
            f"jaxcolor {name} needs a clone of the repository: run `pip install -e .` there, "
            f"then `python experiments/{name}.py`"
        )
    sys.path.insert(0, str(script.parent))
    sys.argv = [str(script), *arguments]
    runpy.run_path(str(script), run_name="__main__")


def parse(
    cls: type[Config],
    arguments: Sequence[str] | None = None,
    presets: Mapping[str, Config] | None = None,
    prog: str | None = None,
) -> Config:
    """Return the settings from the command line.

    `cls` is a dataclass with `name`, `runs_dir`, `folder` and `resume`. `presets` maps a flag to the defaults
    that it brings. With `--resume`, `--evaluate` or `--predict`, options that are not given keep the values
    in the config.json of the run.
    """

    def read(default: Any = None) -> Config:
        given = {} if default is None else {"default": default}
        return tyro.cli(cls, args=arguments, prog=prog, config=(tyro.conf.FlagCreatePairsOff,), **given)

    config = read()
    for flag, preset in (presets or {}).items():
        if getattr(config, flag):
            config = read(preset)
    run = RunFolder(config.folder)
    only_reads = getattr(config, "evaluate", False) or getattr(config, "predict", ())
    if (config.resume or only_reads) and run.is_run():
        # The folder may have moved since: these options say where it is now.
        stored = cls.from_json(run.read_config()["settings"])
        default = dataclasses.replace(stored.to_resume(), name=config.name, runs_dir=config.runs_dir)
        if only_reads:
            default = dataclasses.replace(default, init_from=None, checkpoint="best", predict=())
        config = read(default)
    return config


def run_script(main: Callable[[], None], advice: str = RESUME_ADVICE) -> None:
    """Run a main function. A `UserError` is one line and exit status 1; Ctrl-C is exit status 130.

    `advice` is printed after Ctrl-C.
    """
    sys.unraisablehook = interrupt_again
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        sys.exit(f"error: cannot read or write{where}: {reason(error)}")
    except KeyboardInterrupt:
        print(f"\ninterrupted: {advice}", file=sys.stderr)
        os._exit(130)  # at once, without waiting for steps that the device still computes


def interrupt_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Repeat a Ctrl-C that arrived where Python cannot raise, such as in a garbage collector callback."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        threading.Timer(0.1, interrupt_main).start()
    else:
        sys.__unraisablehook__(unraisable)


def interrupt_main() -> None:
    """Send Ctrl-C to the main thread. A signal, where there are any, also ends its sleep."""
    if hasattr(signal, "pthread_kill") and (main_thread := threading.main_thread().ident):
        signal.pthread_kill(main_thread, signal.SIGINT)
    else:
        _thread.interrupt_main()
