"""The settings that both tasks share. This module imports nothing heavy, so `--help` is fast."""

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from jaxcolor.errors import UserError
from jaxcolor.files import expand_user

LogName = Literal["none", "csv", "tensorboard", "wandb"]
Config = TypeVar("Config", bound="FolderConfig")
Run = TypeVar("Run", bound="RunConfig")


class Place(NamedTuple):
    """Where a process finds the others of a run: the address of the first, their number, and its own."""

    coordinator_address: str
    num_processes: int
    process_id: int


class Settings:
    """Base class of frozen dataclasses with the settings of a program.

    Paths may start with `~`. Raises `UserError` if it stands for a user who does not exist.
    """

    GROUPS: ClassVar[Mapping[str, str]] = {}  # the groups of --help, and the first setting of each
    MEMORY: ClassVar[tuple[str, ...]] = ()  # the settings that lower the memory

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Path):
                object.__setattr__(self, field.name, expand_user(value))
            elif isinstance(value, tuple):
                paths = tuple(expand_user(item) if isinstance(item, Path) else item for item in value)
                object.__setattr__(self, field.name, paths)

    @property
    def memory_advice(self) -> str:
        """What to do if there is too little memory."""
        return f"lower {' or '.join(option(name) for name in self.MEMORY)}"


class FolderConfig(Settings):
    """Base class of frozen dataclasses with the settings of a program that writes a folder."""

    TASK: ClassVar[str]  # the name of the program, without .py

    name: str | None
    runs_dir: Path
    resume: bool
    overwrite: bool

    @property
    def folder(self) -> Path:
        """The run's folder."""
        raise NotImplementedError

    def check_name(self) -> None:
        """Raise `UserError` if the name cannot be the name of a folder."""
        if self.name is not None and (self.name in ("", ".", "..") or Path(self.name).name != self.name):
            raise UserError(
                f"--name {self.name!r} must be the name of a folder; --runs-dir chooses its place"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the settings as values that JSON can hold."""
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

    def to_resume(self: Config) -> Config:
        """Return the settings of a run as the defaults to resume it with."""
        return dataclasses.replace(self, resume=False, overwrite=False)  # type: ignore[type-var]


class RunConfig(FolderConfig):
    """Base class of frozen dataclasses with the settings of a training run."""

    # The settings that decide whether weights fit the network, and those that decide the numbers of a run
    # besides. Both must stay the same when a run resumes.
    STRUCTURE: ClassVar[tuple[str, ...]]
    TRAINING: ClassVar[tuple[str, ...]]

    epochs: int | None  # None: the data decides
    batch_size: int
    evaluate: bool
    predict: tuple[Path, ...]
    out: Path | None
    init_from: Path | None
    checkpoint: Literal["best", "latest"]
    precision: str
    schedule: str
    devices: int | None
    coordinator: str | None
    processes: int | None
    process: int | None
    best: str  # a metric in `jaxcolor.training.history.LABELS`
    patience: int | None
    save_steps: int
    log: LogName

    @property
    def memory_advice(self) -> str:
        """What to do if there is too little memory."""
        return "give a smaller image" if self.predict else super().memory_advice

    @property
    def predictions(self) -> Path:
        """The folder for the results of `--predict`."""
        return self.out or self.folder / "predictions"

    @property
    def run_to_start_from(self) -> Path | None:
        """The run whose weights this one starts from."""
        return self.init_from

    @property
    def dtype(self) -> str:
        """The dtype of the layers' arithmetic."""
        return "bfloat16" if self.precision == "bfloat16" else "float32"

    @property
    def place(self) -> Place | None:
        """Where this process finds the others of the run, or None if it is alone, or a launcher knows it."""
        if self.coordinator is None or self.processes is None or self.process is None:
            return None
        return Place(self.coordinator, self.processes, self.process)

    def check_place(self) -> None:
        """Raise `UserError` if the options do not say where this process finds the others."""
        given = (self.coordinator, self.processes, self.process)
        if given == (None, None, None):
            return
        if not self.place:
            raise UserError("--coordinator, --processes and --process belong together: give all three")
        coordinator, processes, process = self.place
        host, _, port = coordinator.rpartition(":")
        is_address = bool(host) and port.isdecimal() and 0 < int(port) < 2**16
        require(is_address, "coordinator", "the first process's HOST:PORT", coordinator)
        require(processes >= 1, "processes", "at least 1", processes)
        require(0 <= process < processes, "process", f"0 to {processes - 1}", process)
        if self.predict:
            raise UserError("--predict is for one process: leave out --coordinator")

    def check_run(self) -> None:
        """Raise `UserError` if options contradict each other."""
        if self.resume + self.overwrite + self.evaluate > 1:
            raise UserError("--resume, --overwrite and --evaluate exclude each other: choose one")
        if self.init_from and self.evaluate:
            raise UserError("--init-from is for new runs: leave out --evaluate")
        if self.predict and (self.resume or self.overwrite or self.evaluate):
            raise UserError("--predict excludes --resume, --overwrite and --evaluate: leave them out")
        if self.out and not self.predict:
            raise UserError("--out is for --predict: leave it out")
        if self.checkpoint != "best" and not (self.evaluate or self.init_from or self.predict):
            raise UserError("--checkpoint is for --evaluate, --predict and --init-from: leave it out")
        require(self.patience is None or self.patience >= 1, "patience", "at least 1", self.patience)
        require(self.save_steps >= 1, "save_steps", "at least 1", self.save_steps)
        require(self.devices is None or self.devices >= 1, "devices", "at least 1", self.devices)
        self.check_place()
        self.check_name()

    def to_resume(self: Run) -> Run:
        """Return the settings of a run as the defaults to resume it with."""
        alone: dict[str, Any] = {"coordinator": None, "processes": None, "process": None}
        return dataclasses.replace(super().to_resume(), evaluate=False, **alone)  # type: ignore[type-var]

    def with_absolute_paths(self: Run) -> Run:
        """Return the settings with absolute paths. `init_from` may be the name of a run."""
        paths = {
            field.name: value.absolute()
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, field.name), Path) and field.name != "runs_dir"
        }
        if self.init_from and (self.runs_dir / self.init_from / "config.json").is_file():
            paths["init_from"] = (self.runs_dir / self.init_from).absolute()
        return dataclasses.replace(self, **paths)  # type: ignore[type-var]


def require(good: bool, field: str, range_: str, value: object) -> None:
    """Raise `UserError` if a setting is outside of its range."""
    if not good:
        raise UserError(f"{option(field)} must be {range_}, not {value}")


def option(field: str) -> str:
    """Return the option of a setting."""
    return f"--{field.replace('_', '-')}"


def _restored(value: Any, hint: Any) -> Any:
    """Convert a value of config.json to the type of its setting."""
    is_path = hint is Path or Path in typing.get_args(hint)
    if isinstance(value, list):
        return tuple(Path(item) if is_path else _restored(item, None) for item in value)
    return Path(value) if is_path and value is not None else value
