"""Options of the command line from a dataclass of settings: grouped, and described by its docstrings."""

import dataclasses
import inspect
import sys
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import docstring_parser
import tyro

from jaxcolor.errors import UserError

Settings = TypeVar("Settings", bound=Any)
Command = TypeVar("Command")

ALIASES = {"learning_rate": ("--lr",), "weight_decay": ("--wd",)}


def read_options(
    cls: type[Settings],
    arguments: Sequence[str] | None = None,
    prog: str | None = None,
    default: Any = None,
) -> Settings:
    """Return the settings from the command line. Options that are not given keep the value in `default`.

    `cls` is a `jaxcolor.training.config.Settings`. The docstring of each field describes its option.
    """
    texts = {
        entry.arg_name: entry.description or "" for entry in docstring_parser.parse_from_object(cls).params
    }
    hints = typing.get_type_hints(cls)
    firsts = {first: group for group, first in cls.GROUPS.items()}
    group = "options"
    groups: dict[str, list[tuple[str, Any, Any]]] = {}
    for field in dataclasses.fields(cls):
        group = firsts.get(field.name, group)
        value = field.default if default is None else getattr(default, field.name)
        option = describe(field.name, value, " ".join(texts[field.name].split()))
        groups.setdefault(group, []).append(
            (field.name, Annotated[hints[field.name], option], dataclasses.field(default=value))
        )
    # tyro puts the fields of a nested dataclass into a box of their own.
    boxes = {name: dataclasses.make_dataclass(name, fields, frozen=True) for name, fields in groups.items()}
    nested = dataclasses.make_dataclass(
        cls.__name__, [(name, box, dataclasses.field(default=box())) for name, box in boxes.items()]
    )
    refuse_empty(arguments)
    try:
        given: Any = tyro.cli(
            nested,
            args=without_repeats(cls, sys.argv[1:] if arguments is None else arguments, default),
            prog=prog or Path(sys.argv[0]).name,
            description=inspect.getdoc(cls),
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
        )
    except BrokenPipeError as error:
        raise SystemExit(141) from error  # `--help | head -1` ends without a word, as other programs do
    return cls(**{name: value for box in boxes for name, value in vars(getattr(given, box)).items()})


def read_command(
    cls: type[Command], arguments: Sequence[str] | None = None, prog: str | None = None
) -> Command:
    """Return the settings of a command with few options, which is a dataclass as tyro reads it."""
    refuse_empty(arguments)
    try:
        return tyro.cli(cls, args=arguments, prog=prog, config=(tyro.conf.DisallowNone,))
    except BrokenPipeError as error:
        raise SystemExit(141) from error  # `--help | head -1` ends without a word, as other programs do


def without_repeats(cls: type, arguments: Sequence[str], default: Any) -> list[str]:
    """Return the arguments without flags that are set already, which tyro would not know.

    A run that resumes with `--flip`, with which it was started, has only the option `--no-flip`.
    """
    repeats = set()
    for field in dataclasses.fields(cls):
        value = field.default if default is None else getattr(default, field.name)
        if isinstance(value, bool):
            repeats.add(f"--{'' if value else 'no-'}{field.name.replace('_', '-')}")
    return [argument for argument in arguments if argument not in repeats]


def refuse_empty(arguments: Sequence[str] | None) -> None:
    """Raise `UserError` for an empty argument: as a path it would be the current folder.

    It comes from a variable of the shell that is not set.
    """
    option = "an argument"
    for argument in sys.argv[1:] if arguments is None else arguments:
        if argument.startswith("--"):
            option, _, argument = argument.partition("=") if "=" in argument else (argument, "", "given")
        if not argument:
            raise UserError(f"{option} is empty: give a value, or leave it out")


def describe(name: str, value: Any, text: str) -> Any:
    """Return the entry of an option in --help. `value` is its default, and `text` describes the setting."""
    if value is True:  # the option switches it off
        text = f"Do not {text[0].lower()}{text[1:]}"
    hides_default = value is None or isinstance(value, bool) or value == ()
    return tyro.conf.arg(
        help=text, help_behavior_hint="" if hides_default else None, aliases=ALIASES.get(name)
    )
