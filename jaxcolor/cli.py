"""What the scripts in `experiments/` share: settings from the command line, errors in one line."""

import dataclasses
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import tyro

from jaxcolor.errors import UserError, reason
from jaxcolor.training.run_folder import RunFolder

Config = TypeVar("Config", bound=Any)


def parse(
    cls: type[Config], arguments: Sequence[str] | None = None, presets: Mapping[str, Config] | None = None
) -> Config:
    """Settings from the command line; those of an existing run are the defaults where one is named.

    `presets` are the defaults that come with a flag of this name.

    With `--resume`, `--evaluate` or `--predict`, options that are not given keep the values in the run's
    config.json. `cls` is a dataclass with `name`, `runs_dir`, `folder` and `resume`.
    """
    markers = (tyro.conf.FlagCreatePairsOff,)
    config = tyro.cli(cls, args=arguments, config=markers)
    for flag, preset in (presets or {}).items():
        if getattr(config, flag):
            config = tyro.cli(cls, args=arguments, default=preset, config=markers)
    run = RunFolder(config.folder)
    reads = getattr(config, "evaluate", False) or getattr(config, "predict", ())
    if (config.resume or reads) and run.is_run():
        # The folder may have been moved since: what was asked for now says where it is.
        stored = cls.from_json(run.read_config()["settings"])
        default = dataclasses.replace(stored.to_continue(), name=config.name, runs_dir=config.runs_dir)
        if reads:
            default = dataclasses.replace(default, init_from=None, checkpoint="latest")
        config = tyro.cli(cls, args=arguments, default=default, config=markers)
    return config


GOES_ON = "with --name and --resume a run goes on after its last epoch"


def run_script(main: Callable[[], None], advice: str = GOES_ON) -> None:
    """Run a script's main function: a `UserError` is one line and exit status 1, Ctrl-C status 130.

    After Ctrl-C the advice says how to go on.
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
    """Repeat a Ctrl-C that came where Python cannot raise: in a callback of the garbage collector, say."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        main = threading.main_thread().ident
        threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(unraisable)
