"""The command line: `jaxcolor colorize`, `jaxcolor segment`, and the same as scripts in experiments/.

Settings come from a dataclass; an error that the user can fix is one line.
"""

import _thread
import argparse
import contextlib
import dataclasses
import difflib
import functools
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from jaxcolor.errors import UserError, describe
from jaxcolor.files import expand_user
from jaxcolor.options import read_command, read_options
from jaxcolor.terminal import flush_streams, one_line_messages, prepare_streams
from jaxcolor.training.memory import enough_memory
from jaxcolor.training.run_folder import RunFolder

Config = TypeVar("Config", bound=Any)

USAGE = """\
usage: jaxcolor COMMAND [OPTIONS]

Color and segment images with convolutional networks, in JAX and Flax.

commands:
  colorize    train a network that colors gray images, or color images with it
  segment     train a network that segments images, or segment images with it
  convert     turn annotations of COCO or labelme into images and masks
  inspect     report what a folder of images and masks holds, and its problems
  runs        list the runs in a folder, with scores and settings that differ
  compare     draw what several runs predict for the same images
  export      write a network for ONNX, StableHLO, PyTorch or safetensors
  demo        color and segment in the browser (in a clone of the repository)
  analyze     answer the assignment's questions (in a clone of the repository)
  benchmark   compare jaxcolor with PyTorch (in a clone of the repository)

`jaxcolor COMMAND --help` lists the options of a command.
"""
STARTED = time.perf_counter()  # of the process, because scripts import this module first
PREDICT_ADVICE = "the images that are written are complete"
RESUME_ADVICE = "with --name and --resume a run resumes after its last checkpoint"
NEW_FILES_ADVICE = "nothing is written"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `jaxcolor COMMAND …`."""
    given = sys.argv[1:] if arguments is None else arguments
    advice = NEW_FILES_ADVICE if given[:1] in (["convert"], ["export"]) else RESUME_ADVICE
    run_script(lambda: run_command(COMMANDS | STUDIES, USAGE, "jaxcolor", given), advice)


def run_command(
    commands: Mapping[str, Callable[..., None]], usage: str, prog: str, arguments: Sequence[str]
) -> None:
    """Run the command that the first argument names, with the other arguments, or print the usage."""
    command, *rest = arguments or ["--help"]
    if command in commands:
        commands[command](rest, prog=f"{prog} {command}")
    elif command in ("-h", "--help"):
        print(usage, end="")
    elif command == "--version":
        from jaxcolor import __version__

        print(f"jaxcolor {__version__}")
    else:
        close = difflib.get_close_matches(command, commands)
        hint = f"did you mean {close[0]}?" if close else f"choose from {', '.join(commands)}"
        print(f"error: there is no command {command!r}: {hint}", file=sys.stderr)
        sys.exit(2)


def colorize(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run `jaxcolor colorize`."""
    from jaxcolor.colorization.config import ColorizeConfig, defaults_of

    if uses_shipped(arguments):
        color_with_shipped(arguments, prog)
        return
    model = given_value("--model", arguments)
    if model is None and given_value("--name", arguments) is None and given_value("--image-dir", arguments):
        model = "photo"
    if model == "photo" or (model is None and is_photo_run(arguments)):
        color_photos(arguments, prog)
        return
    default = defaults_of(model or ColorizeConfig.model, given_value("--optimizer", arguments))
    config = parse(ColorizeConfig, arguments, prog=prog, default=default)
    # Imported after parsing, so --help does not wait for JAX.
    from jaxcolor.colorization.job import colorize

    with enough_memory(config.memory_advice):
        colorize(config, STARTED)


def uses_shipped(arguments: Sequence[str] | None) -> bool:
    """Return whether images are to be colored, and no option names a network or a run."""
    given = sys.argv[1:] if arguments is None else arguments
    options = {argument.partition("=")[0] for argument in given}
    if options & {"--model", "--name", "--runs-dir", "--checkpoint"}:
        return False
    return "--predict" in options or {"--evaluate", "--image-dir"} <= options


def color_with_shipped(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run `jaxcolor colorize --predict`."""
    from jaxcolor.photo.config import ShippedConfig

    config = read_options(ShippedConfig, arguments, prog)
    # Imported after parsing, so --help does not wait for JAX.
    from jaxcolor.photo import shipped

    with enough_memory(config.memory_advice):
        shipped.use(config)


def is_photo_run(arguments: Sequence[str] | None) -> bool:
    """Return whether the run that `--name` names colors photographs, so that it needs no `--model`."""
    name, runs_dir = given_value("--name", arguments), given_value("--runs-dir", arguments)
    run = RunFolder(expand_user(Path(runs_dir or "runs")) / (name or ""))
    return bool(name) and run.is_run() and run.read_config().get("task") == "photo"


def color_photos(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run `jaxcolor colorize --model photo`."""
    from jaxcolor.photo.config import PhotoConfig

    config = parse(PhotoConfig, arguments, prog=prog)
    # Imported after parsing, so --help does not wait for JAX.
    from jaxcolor.photo.job import color_photos

    with enough_memory(config.memory_advice):
        color_photos(config, STARTED)


def segment(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run `jaxcolor segment`."""
    from jaxcolor.segmentation.config import SegmentConfig, defaults_of

    given = sys.argv[1:] if arguments is None else arguments
    backbone, head, optimizer = (given_value(name, given) for name in ("--backbone", "--head", "--optimizer"))
    default = defaults_of(backbone, head, optimizer, augment="--augment" in given)
    config = parse(SegmentConfig, arguments, prog=prog, default=default)
    # Imported after parsing, so --help does not wait for JAX.
    from jaxcolor.segmentation.job import segment

    with enough_memory(config.memory_advice):
        segment(config, STARTED)


def convert(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run `jaxcolor convert`."""
    from jaxcolor.annotations.config import ConvertConfig

    config = read_command(ConvertConfig, arguments, prog)
    # Imported after parsing, so --help is fast.
    from jaxcolor.annotations.conversion import convert

    convert(config)


def inspect(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run `jaxcolor inspect`."""
    from jaxcolor.segmentation.config import InspectConfig

    config = read_command(InspectConfig, arguments, prog)
    # Imported after parsing, so --help does not wait for JAX.
    from jaxcolor.segmentation.inspection import inspect

    inspect(expand_user(config.data), config.classes, config.sheet and expand_user(config.sheet))


def runs(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run `jaxcolor runs`."""
    from jaxcolor.training.overview import RunsConfig, list_runs

    config = read_command(RunsConfig, arguments, prog)
    plot = config.plot and expand_user(config.plot)
    list_runs(dataclasses.replace(config, folder=expand_user(config.folder), plot=plot))


def compare(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run `jaxcolor compare`."""
    from jaxcolor.comparison import CompareConfig, compare

    config = read_command(CompareConfig, arguments, prog)
    images, out = tuple(map(expand_user, config.images)), expand_user(config.out)
    compare(dataclasses.replace(config, images=images, out=out))


def export(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run `jaxcolor export`."""
    from jaxcolor.export.config import ExportConfig

    config = read_command(ExportConfig, arguments, prog)
    # Imported after parsing, so --help does not wait for JAX.
    from jaxcolor.export.command import export

    export(dataclasses.replace(config, out=config.out and expand_user(config.out)))


def run_study(name: str, arguments: Sequence[str], prog: str) -> None:
    """Run a script of experiments/. Raises `UserError` outside of a clone of the repository."""
    script = Path(__file__).parents[1] / "experiments" / f"{name}.py"
    if not script.is_file():
        raise UserError(
            f"{prog} needs a clone of the repository: run `pip install -e .` there, "
            f"then `python experiments/{name}.py`"
        )
    sys.path.insert(0, str(script.parent))
    sys.argv = [str(script), *arguments]
    runpy.run_path(str(script), run_name="__main__")


COMMANDS: dict[str, Callable[..., None]] = {
    "colorize": colorize, "segment": segment, "convert": convert, "inspect": inspect, "runs": runs,
    "compare": compare, "export": export,
}  # fmt: skip
# Scripts in experiments/, which the installed package does not contain.
STUDIES: dict[str, Callable[..., None]] = {
    name: functools.partial(run_study, name) for name in ("demo", "analyze", "benchmark")
}


def parse(
    cls: type[Config],
    arguments: Sequence[str] | None = None,
    presets: Mapping[str, Config] | None = None,
    prog: str | None = None,
    default: Any = None,
) -> Config:
    """Return the settings from the command line. Options that are not given keep the value in `default`.

    `cls` is a dataclass with `name`, `runs_dir`, `folder` and `resume`. `presets` maps a flag to the defaults
    that it brings. With `--resume`, `--evaluate` or `--predict`, options that are not given keep the values
    in the config.json of the run.
    """

    read = functools.partial(read_options, cls, arguments, prog)
    config = read(default)
    if "--predict" in (sys.argv[1:] if arguments is None else arguments) and not config.predict:
        raise UserError("--predict needs at least one image")
    for flag, preset in (presets or {}).items():
        if getattr(config, flag):
            config = read(preset)
    run = RunFolder(config.folder)
    only_reads = getattr(config, "evaluate", False) or getattr(config, "predict", ())
    if (config.resume or only_reads) and run.is_run():
        # The folder may have moved since: these options say where it is now.
        run.check_task(config.TASK)
        stored = cls.from_json(run.read_config()["settings"])
        default = dataclasses.replace(stored.to_resume(), name=config.name, runs_dir=config.runs_dir)
        if only_reads:
            default = dataclasses.replace(default, init_from=None, checkpoint="best", predict=())
        config = read(default)
    return config


def given_value(option: str, arguments: Sequence[str] | None = None) -> str | None:
    """Return the value of an option on the command line, or None if it is not given."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(option, dest="value")
    try:
        return parser.parse_known_args(arguments)[0].value
    except argparse.ArgumentError:  # the option has no value: the whole parser reports that
        return None


def run_script(main: Callable[[], None], advice: str = RESUME_ADVICE) -> None:
    """Run a main function. An error that the user can fix is one line and exit status 1.

    Ctrl-C is exit status 130. If the program that reads the output has ended, the status is 141, that of a
    program which SIGPIPE ends. `advice` is printed in both cases.
    """
    if any(argument.partition("=")[0] == "--predict" for argument in sys.argv):
        advice = PREDICT_ADVICE
    sys.unraisablehook = interrupt_again
    prepare_streams()
    try:
        with ctrl_c_stays(), one_line_messages(), enough_memory("lower the sizes"):
            main()
            sys.stdout.flush()
    except (UserError, OSError) as error:
        flush_streams()
        if BrokenPipeError in (type(error), type(error.__cause__)):
            say(f"stopped, because nothing reads the output: {advice}")
            sys.exit(141)
        say(f"error: {describe(error)}")
        sys.exit(1)
    except KeyboardInterrupt:
        flush_streams()
        say(f"\ninterrupted: {advice}")
        os._exit(130)  # at once, without waiting for steps that the device still computes
    finally:
        flush_streams()


@contextlib.contextmanager
def ctrl_c_stays() -> Iterator[None]:
    """Raise `KeyboardInterrupt` after Ctrl-C, whatever error a library makes of it."""
    pressed = False

    def press(*_: object) -> NoReturn:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # in the background of a shell
        yield
        return
    signal.signal(signal.SIGINT, press)
    try:
        yield
    except BaseException as error:
        if pressed and not isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def say(line: str) -> None:
    """Print a line to standard error, unless that has ended, too."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


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
