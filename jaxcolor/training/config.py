"""What the settings of all tasks have in common. Imports nothing heavy, so that `--help` is quick."""

import dataclasses
import typing
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from jaxcolor.errors import UserError

Config = TypeVar("Config", bound="FolderConfig")
Run = TypeVar("Run", bound="RunConfig")


class FolderConfig:
    """The base of a frozen dataclass with the settings of what leaves a folder; those named here are some."""

    name: str | None
    runs_dir: Path
    resume: bool
    overwrite: bool

    @property
    def folder(self) -> Path:
        """The run's folder."""
        raise NotImplementedError

    def check_name(self) -> None:
        """Refuse a name that is no folder's."""
        if self.name is not None and (self.name in ("", ".", "..") or Path(self.name).name != self.name):
            raise UserError(f"--name {self.name!r} must be the name of a folder; --runs-dir says where")

    def to_json(self) -> dict[str, Any]:
        """The settings as plain values."""
        values = dataclasses.asdict(self)  # type: ignore[call-overload]
        return {name: str(v.absolute()) if isinstance(v, Path) else v for name, v in values.items()}

    @classmethod
    def from_json(cls: type[Config], values: dict[str, Any]) -> Config:
        """The inverse of `to_json`, for the settings in a run's config.json."""
        hints = {field.name: typing.get_type_hints(cls)[field.name] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        unknown = values.keys() - hints.keys()
        if unknown:
            raise UserError(f"config.json has unknown settings: {', '.join(sorted(unknown))}")
        try:
            return cls(**{name: _restored(value, hints[name]) for name, value in values.items()})
        except TypeError as error:
            raise UserError(f"config.json has settings of a wrong type: {error}") from error

    def to_continue(self: Config) -> Config:
        """The settings of a run as the defaults for going on with it."""
        return dataclasses.replace(self, resume=False, overwrite=False)  # type: ignore[type-var]


class RunConfig(FolderConfig):
    """The base of a frozen dataclass with the settings of a training run, among them those named here."""

    # What decides whether the weights of one network fit another, and what decides the numbers of a run
    # besides, and so must stay as it was when the run is resumed.
    STRUCTURE: ClassVar[tuple[str, ...]]
    TRAINING: ClassVar[tuple[str, ...]]

    epochs: int
    evaluate: bool
    init_from: Path | None
    checkpoint: Literal["latest", "best"]
    precision: str

    def check_run(self) -> None:
        """Refuse options of this class that contradict each other."""
        if self.resume + self.overwrite + self.evaluate > 1:
            raise UserError("--resume, --overwrite and --evaluate exclude each other: choose one")
        if self.init_from and self.evaluate:
            raise UserError("--init-from is for new runs: leave out --evaluate")
        self.check_name()

    def to_continue(self: Run) -> Run:
        """The settings of a run as the defaults for going on with it."""
        return dataclasses.replace(super().to_continue(), evaluate=False)  # type: ignore[type-var]

    def with_absolute_paths(self: Run) -> Run:
        """The settings as they can be read again from anywhere; `init_from` may be a run's name."""
        paths = {
            field.name: value.absolute()
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, field.name), Path) and field.name != "runs_dir"
        }
        if self.init_from and (self.runs_dir / self.init_from / "config.json").is_file():
            paths["init_from"] = (self.runs_dir / self.init_from).absolute()
        return dataclasses.replace(self, **paths)  # type: ignore[type-var]


def require(good: bool, field: str, range_: str, value: object) -> None:
    """Refuse a setting outside of its range."""
    if not good:
        raise UserError(f"--{field.replace('_', '-')} must be {range_}, not {value}")


def _restored(value: Any, hint: Any) -> Any:
    """A value of config.json as the setting of that type."""
    is_path = hint is Path or Path in typing.get_args(hint)
    if isinstance(value, list):
        return tuple(Path(item) if is_path else _restored(item, None) for item in value)
    return Path(value) if is_path and value is not None else value
