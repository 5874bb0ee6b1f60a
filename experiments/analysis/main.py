"""An analysis: `analyze(config)` answers the questions and writes the report."""

import dataclasses
import json
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis import (
    ablation,
    batch_sizes,
    connections,
    input_change,
    memory,
    memory_report,
    networks,
    skips,
)
from analysis.config import PARTS, AnalyzeConfig, Part, Variant
from analysis.report import Results, Section, report
from analysis.runs import Run, Runs
from analysis.trainings import Trainer, Training
from jaxcolor.colorization.config import ColorizeConfig, defaults_of
from jaxcolor.colorization.data import Dataset, load_dataset
from jaxcolor.colorization.palette import fit_palette
from jaxcolor.errors import UserError, reason
from jaxcolor.files import write_atomically
from jaxcolor.training.compilation import set_up
from jaxcolor.training.run_folder import RunFolder, environment, find_run, on_device

CNN, UNET = "cnn", "unet"
STRIDED = "conv-transpose", "strided-unet"
ASSIGNMENT = CNN, UNET, "dunet", *STRIDED
RESUNET = "resunet"
TITLES: dict[Part, str] = {
    "connections": "Weights, outputs, connections",
    "input-change": "Pixels x that become a·x + b",
    "networks": "All networks",
    "ablation": "The settings of the ResUNet's training",
    "skips": "Skip connections",
    "batch-sizes": "Batch sizes",
    "memory": "Memory of training a part or everything",
}
WITH_IMAGES = {"networks", "ablation", "input-change", "skips", "batch-sizes"}  # these parts train networks


def analyze(config: AnalyzeConfig) -> Path:
    """Answer the questions of the settings, and return the path of the report."""
    set_up("float32")
    folder = RunFolder(config.folder)
    resuming = config.resume
    if resuming:
        find_run(folder.path)
    else:
        folder.check_free(config.overwrite)
    analysis = Analysis(config)
    record = {"task": config.TASK, "settings": config.to_json(), "dataset": {}, **environment()}
    if WITH_IMAGES & set(config.parts):
        record["dataset"] = analysis.images.facts
    if resuming:
        record = continued(folder, record)
    else:
        folder.create(record, overwrite=config.overwrite)
    with folder.locked():
        if resuming:
            folder.write_config(record)
        print(
            f"Analyzing {', '.join(config.parts)}; {on_device(record['device'])}; into {folder.path}",
            flush=True,
        )
        for part in config.parts:
            start = time.perf_counter()
            section = analysis.answer(part)
            write(folder.path / f"{part}.json", json.dumps(section))
            write(folder.path / "report.md", report(record, read_sections(folder.path)))
            print(f"{TITLES[part]}: {time.perf_counter() - start:.1f} s", flush=True)
    path = folder.path / "report.md"
    print(f"report: {path}")
    return path


class Analysis:
    """Images, palette and trainings that the parts share."""

    def __init__(self, config: AnalyzeConfig):
        self.config = config
        self.settings = ColorizeConfig(
            dataset=config.dataset, category=config.category, archive=config.archive, data_dir=config.data_dir
        )

    @cached_property
    def images(self) -> Dataset:
        """The images of the trainings."""
        return load_dataset(self.settings)

    @cached_property
    def trainer(self) -> Trainer:
        """The trainings, all with one palette, so that all seeds have the same task."""
        palette = fit_palette(self.images.train, self.settings.colors, self.settings.seed)
        return Trainer(self.images, palette, self.config.folder / "trainings")

    @cached_property
    def runs(self) -> Runs:
        """The runs of the ResUNet, with the same palette."""
        config = self.config
        data = {name: getattr(self.settings, name) for name in ("dataset", "category", "archive", "data_dir")}
        settings = dataclasses.replace(defaults_of(RESUNET), epochs=config.resunet_epochs, **data)
        return Runs(settings, self.trainer.palette, config.folder / "runs", config.seeds)

    def answer(self, part: Part) -> dict[str, Any]:
        """Return the results of a part and the time they took, as plain values."""
        start = time.perf_counter()
        if part not in WITH_IMAGES:
            results = self._measure(part)
            seconds = results.get("seconds", time.perf_counter() - start)
            return {"results": results, "seconds": seconds, "trainings": {}}
        trainers = self.trainer, self.runs
        for trainer in trainers:
            trainer.used.clear()
        spent = sum(trainer.spent for trainer in trainers)
        results = self._measure(part)
        seconds = time.perf_counter() - start - (sum(trainer.spent for trainer in trainers) - spent)
        return {"results": results, "seconds": seconds, "trainings": self.trainer.used | self.runs.used}

    def _measure(self, part: Part) -> Results:
        config = self.config
        if part == "connections":
            return connections.measure(config)
        if part == "networks":
            trainings = {model: self._trainings(model) for model in ASSIGNMENT}
            return networks.measure(self.trainer, trainings, {RESUNET: self._run_resunet()}, config.folder)
        if part == "ablation":
            return ablation.measure({name: self._run_resunet(name) for name in config.variants})
        if part == "input-change":
            plains = self._trainings(config.model)
            return input_change.measure(self.trainer, plains, config.changes, config.folder)
        if part == "skips":
            with_skips = UNET if config.model in (CNN, *STRIDED) else config.model
            pairs = [
                {model: self._trainings(model) for model in pair} for pair in ((CNN, with_skips), STRIDED)
            ]
            return skips.measure(self.trainer, pairs, config.folder)
        if part == "batch-sizes":
            sizes = {size: self._trainings(config.model, size) for size in sorted(set(config.batch_sizes))}
            return batch_sizes.measure(self.trainer, sizes)
        return memory.measure(config, config.folder / "compiled")

    def _run_resunet(self, variant: Variant = "own") -> list[Run]:
        return self.runs.train(variant, **ablation.CHANGES[variant])

    def _trainings(self, model: str, batch_size: int | None = None) -> list[Training]:
        """Return one training per seed."""
        config = self.config
        return [
            Training(model, batch_size or config.batch_size, seed, config.epochs, config.updates)
            for seed in range(config.seeds)
        ]


RENDER = {
    "networks": networks.render,
    "ablation": ablation.render,
    "connections": connections.render,
    "input-change": input_change.render,
    "skips": skips.render,
    "batch-sizes": batch_sizes.render,
    "memory": memory_report.render,
}


def read_sections(folder: Path) -> list[Section]:
    """Return the sections that are finished, by this call or earlier ones."""
    sections = []
    for part in PARTS:
        path = folder / f"{part}.json"
        if not path.exists():
            continue
        try:
            values = json.loads(path.read_text())
            text = RENDER[part](values["results"], folder)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{path} is damaged ({reason(error)}): delete it, and --resume") from error
        sections.append(Section(TITLES[part], text, values["seconds"], values["trainings"]))
    return sections


def continued(folder: RunFolder, record: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a resumed analysis. Raises `UserError` for other images or another device."""
    earlier = folder.read_config()
    was, now = (one["device"].split(":")[0] for one in (earlier, record))
    if was != now:
        raise UserError(f"{folder.path} was started on a {was}: start a new one with another --name")
    if not record["dataset"]:
        return record | {"dataset": earlier["dataset"]}
    if earlier["dataset"] and earlier["dataset"] | {"requested": None} != record["dataset"] | {
        "requested": None
    }:
        raise UserError(f"{folder.path} was started with other images: start a new one with another --name")
    return record


def write(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))
