"""The tab that colors: photographs, a network, a dial, and the colored photograph beside the gray one."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from jaxcolor.colored_files import ColorFile, read_original
from jaxcolor.colorization.predictor import Colorizer
from jaxcolor.errors import UserError
from jaxcolor.painting import gray_of
from jaxcolor.photo.config import VIVIDNESS
from jaxcolor.predict import name_predictions
from page import fragments
from page.networks import SHIPPED, Networks
from page.uploads import ResultFolders, check_image, named_errors, unique_names

INVITATION = "Drop a photograph, paste one, or choose an example: here it will be in color."
IN_COLOR = "The photograph has colors. The network sees its lightness alone, and replaces them."
NO_DIAL = "The networks of this run have no dial: they always give the most likely colors."
DIAL = "0: safe, pale colors. 1: the most likely colors."
ZIP = "colored.zip"


@dataclass(frozen=True)
class ColorizeTab:
    """What happens when a visitor uses the tab. It holds nothing of a visitor."""

    networks: Networks
    results: ResultFolders
    most_pixels: int

    def choices(self) -> list[tuple[str, str]]:
        """Return the networks to choose from: what the page shows, and the name."""
        runs = [(f"run {name}", name) for name in self.networks.colorizers()]
        return [("shipped, for photographs", SHIPPED), *runs]

    def color(
        self, files: list[str] | None, which: int | None, network: str, vividness: float,
        request: gr.Request, progress: gr.Progress = gr.Progress(),  # noqa: B008 — Gradio finds it here
    ) -> str:  # fmt: skip
        """Color one of the uploaded files. Return the result, or what is wrong, as HTML."""
        if not files:
            return fragments.invitation(INVITATION)
        source = Path(files[min(which or 0, len(files) - 1)])
        try:
            check_image(source, self.most_pixels)
            progress(0.1, desc="Loading the network")
            color_file = self.color_file(network, vividness)
            progress(0.3, desc="Coloring")
            folder = self.results.new(str(request.session_hash), "colorize")
            (name,) = name_predictions([source], keep_suffix=True)
            with named_errors(source):
                colored, remark = write_colored(color_file, source, folder / "colored" / name)
                progress(0.8, desc="Showing the colors")
                before = fragments.for_browser(gray_image(source), folder / "before.jpg")
                after = fragments.for_browser(color_image(colored), folder / "after.jpg")
        except UserError as error:
            return fragments.message(str(error))
        return (
            fragments.comparison(before, after, source.name)
            + fragments.downloads([("Download", colored)])
            + (fragments.note(remark) if remark else "")
        )

    def color_all(
        self, files: list[str] | None, network: str, vividness: float,
        request: gr.Request, progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> str:  # fmt: skip
        """Color all uploaded files. Return small images, and a zip archive to download, as HTML."""
        sources = [Path(file) for file in files or []]
        folder = self.results.new(str(request.session_hash), "batch")
        colored: list[Path] = []
        problems: list[str] = []
        small: list[tuple[str, fragments.Shown]] = []
        try:
            progress(0, desc="Loading the network")
            color_file = self.color_file(network, vividness)
        except UserError as error:
            return fragments.message(str(error))
        for index, (source, name) in enumerate(zip(sources, unique_names(sources), strict=True)):
            progress((index, len(sources)), desc=f"Coloring {source.name}", unit="images")
            try:
                check_image(source, self.most_pixels)
                with named_errors(source):
                    path, _ = write_colored(color_file, source, folder / "colored" / name)
                    colored.append(path)
                    shown = fragments.for_browser(color_image(path), folder / f"{index}.jpg")
                    small.append((path.name, shown))
            except UserError as error:
                problems.append(str(error))
        result = "".join(map(fragments.message, problems))
        if not colored:
            return result
        label = "Download the colored image" if len(colored) == 1 else f"Download {len(colored)} images"
        archive = write_zip(folder / ZIP, colored)
        return result + fragments.thumbnails(small) + fragments.downloads([(label, archive)])

    def color_file(self, network: str, vividness: float) -> ColorFile:
        """Return what `--predict` calls for each file."""
        model = self.networks.colorizer(network)
        return model.file_writer() if isinstance(model, Colorizer) else model.file_writer(vividness)

    def dial(self, network: str) -> dict[str, Any]:
        """Return whether a network has a dial, and its position for a run."""
        try:
            model = self.networks.colorizer(network)
        except UserError:
            return gr.update()  # coloring says what is wrong with it
        if isinstance(model, Colorizer):
            return gr.update(interactive=False, info=NO_DIAL)
        return gr.update(interactive=True, info=DIAL, value=model.vividness)


def write_colored(color_file: ColorFile, source: Path, target: Path) -> tuple[Path, str]:
    """Color a file as `--predict` does. Return the path of the colored one, and a remark for the page."""
    (path,), note = color_file(source, target)
    remarks = [IN_COLOR] if note.startswith("has colors") else []
    if path.suffix != target.suffix:
        remarks.append(f"It becomes a PNG, because {target.suffix[1:].upper()} does not suit photographs.")
    return path, " ".join(remarks)


def gray_image(source: Path) -> Image.Image:
    """Return what the network sees of a file, made small enough to show."""
    image = Image.fromarray(read_original(source).rgb)
    image.thumbnail((fragments.LARGEST_SHOWN,) * 2, Image.Resampling.LANCZOS, reducing_gap=3)
    return Image.fromarray(gray_of(np.asarray(image)))


def color_image(path: Path) -> Image.Image:
    """Return the image of a file in sRGB."""
    return Image.fromarray(read_original(path).rgb)


def write_zip(path: Path, files: list[Path]) -> Path:
    """Write files into an archive. They are compressed already."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.write(file, file.name)
    return path


def choose_shown(files: list[str] | None, before: int) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Return what chooses among several files, the button that colors all of them, and their number.

    `before` is how many there were. The first new one is shown.
    """
    names = unique_names([Path(file) for file in files or []])
    several = len(names) > 1
    choices = [(name, index) for index, name in enumerate(names)]
    shown = before if before < len(names) else 0
    return (
        gr.update(choices=choices, value=shown if names else None, visible=several),
        gr.update(value=f"Color all {len(names)} photographs", visible=several),
        len(names),
    )


def build_colorize_tab(tab: ColorizeTab, photographs: list[Path], gallery: str) -> gr.Dropdown:
    """Lay out the tab, and connect it. Return the choice of networks, which the page keeps up to date."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            files = gr.File(
                label="Photographs", file_count="multiple", elem_id="photographs", elem_classes="drop",
                height=150,
            )  # fmt: skip
            examples = gr.HTML(gallery, js_on_load=fragments.PICK)
            network = gr.Dropdown(tab.choices(), value=SHIPPED, label="Network", filterable=False)
            vividness = gr.Slider(0, 1, VIVIDNESS, step=0.05, label="Vividness", info=DIAL, buttons=[])
        with gr.Column(scale=3, min_width=300):
            which = gr.Dropdown([], label="Show", visible=False, filterable=False)
            result = gr.HTML(fragments.invitation(INVITATION), elem_id="colored")
            all_of_them = gr.Button("Color all", visible=False)
            batch = gr.HTML(elem_id="batch")

    before = gr.State(0)  # how many files there were

    given: dict[str, Any] = {"inputs": [files, which, network, vividness], "outputs": result}
    busy: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "compute", "api_visibility": "private"}
    quick: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}

    def pick(event: gr.EventData) -> list[str]:
        """Return the example that the visitor has clicked."""
        return [str(photographs[event.index])]

    examples.click(pick, None, files, **quick)
    chosen = files.change(choose_shown, [files, before], [which, all_of_them, before], **quick)
    chosen.then(tab.color, **given, **busy)
    which.input(tab.color, **given, **busy)
    network.input(tab.dial, network, vividness, **busy).then(tab.color, **given, **busy)
    vividness.input(tab.color, **given, **busy, trigger_mode="always_last", show_progress="minimal")
    for changed in (files.change, network.change, vividness.change):
        changed(lambda: "", None, batch, **quick)  # its images are those of other settings
    all_of_them.click(tab.color_all, [files, network, vividness], batch, **busy)
    return network
