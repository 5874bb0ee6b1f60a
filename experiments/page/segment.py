"""The tab that segments: an image, a run, and the classes as an overlay with a legend."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from PIL import Image

from jaxcolor.data.colors import class_colors, has_background
from jaxcolor.data.image_files import read_image
from jaxcolor.errors import UserError
from jaxcolor.images import save_image
from jaxcolor.predict import name_predictions
from jaxcolor.segmentation.drawing import OPACITY, Labels, overlay
from page import fragments
from page.networks import Networks
from page.uploads import ResultFolders, check_image, named_errors

INVITATION = "Drop an image, paste one, or choose an example: here it will be in the colors of its classes."
BACKGROUND = (160, 160, 160)  # stands for the gray image in the legend


class Segmented(NamedTuple):
    """An image and the mask of its classes, both on disk."""

    source: Path
    mask: Path
    classes: tuple[str, ...]


@dataclass(frozen=True)
class SegmentTab:
    """What happens when a visitor uses the tab. It holds nothing of a visitor."""

    networks: Networks
    results: ResultFolders
    most_pixels: int

    def choices(self) -> list[str]:
        """Return the runs to choose from."""
        return self.networks.segmenters()

    def segment(
        self, file: str | None, run: str | None, opacity: float,
        request: gr.Request, progress: gr.Progress = gr.Progress(),  # noqa: B008 — Gradio finds it here
    ) -> tuple[Segmented | None, str]:  # fmt: skip
        """Segment the uploaded file. Return the result, and its HTML or what is wrong."""
        if not file or not run:
            return None, fragments.invitation(INVITATION)
        source = Path(file)
        try:
            check_image(source, self.most_pixels)
            progress(0.1, desc="Loading the network")
            model = self.networks.segmenter(run)
            progress(0.3, desc="Segmenting")
            folder = self.results.new(str(request.session_hash), "segment")
            (name,) = name_predictions([source])
            with named_errors(source):
                (mask, _), _ = model.predict_file(source, folder / name)
            segmented = Segmented(source, mask, model.classes)
            return segmented, self.show(segmented, opacity)
        except UserError as error:
            return None, fragments.message(str(error))

    def show(self, segmented: Segmented | None, opacity: float) -> str:
        """Return overlay, legend and downloads of a result as HTML."""
        if segmented is None:
            return fragments.invitation(INVITATION)
        source, mask, classes = segmented
        try:
            with named_errors(source):
                image = read_image(source)
        except UserError as error:
            return fragments.message(str(error))
        labels = np.asarray(Image.open(mask))
        blended = overlay(image, labels, classes, opacity)
        path = mask.with_name(f"{mask.name.removesuffix('-mask.png')}-overlay.png")
        save_image(path, blended)
        shown = fragments.for_browser(blended, mask.with_name(f"shown-{round(100 * opacity)}.jpg"))
        return (
            fragments.figure(shown, f"{source.name} in the colors of its classes")
            + fragments.legend(areas(labels, classes))
            + fragments.downloads([("Download the overlay", path), ("Download the mask", mask)])
        )


def areas(labels: Labels, classes: tuple[str, ...]) -> list[fragments.Area]:
    """Return the classes in a label map, the largest first."""
    shares = np.bincount(labels.ravel(), minlength=len(classes)) / labels.size
    colors = [tuple(color.tolist()) for color in class_colors(classes)]
    if has_background(classes):
        colors[0] = BACKGROUND
    found = [label for label in np.argsort(-shares, kind="stable") if shares[label]]
    return [fragments.Area(classes[label], colors[label], shares[label]) for label in found]


def how_to_train(runs_dir: Path) -> str:
    """Return how a visitor gets a run that segments."""
    where = "" if runs_dir == Path("runs") else f" --runs-dir {runs_dir}"
    return f"""
There is no run that segments yet. This command trains one on the built-in sample, images of generated shapes,
in a few minutes:

```bash
python experiments/segment.py --name shapes --dataset sample{where}
```

Then reload this page. With images of your own, or Pascal VOC, see the README."""


def build_segment_tab(tab: SegmentTab, images: list[Path], gallery: str) -> gr.Dropdown:
    """Lay out the tab, and connect it. Return the choice of runs, which the page keeps up to date."""
    runs = tab.choices()
    advice = gr.Markdown(how_to_train(tab.networks.runs_dir), visible=not runs, elem_classes="advice")
    with gr.Row(visible=bool(runs)) as row:
        with gr.Column(scale=2, min_width=300):
            file = gr.File(label="Image", elem_id="image", elem_classes="drop", height=150)
            examples = gr.HTML(gallery, js_on_load=fragments.PICK)
            run = gr.Dropdown(runs, value=runs[0] if runs else None, label="Run", filterable=False)
            info = "0: the image. 1: the colors of the classes."
            opacity = gr.Slider(0, 1, OPACITY, step=0.05, label="Opacity", info=info, buttons=[])
        with gr.Column(scale=3, min_width=300):
            result = gr.HTML(fragments.invitation(INVITATION), elem_id="segmented")
    segmented = gr.State(None)

    given: dict[str, Any] = {"inputs": [file, run, opacity], "outputs": [segmented, result]}
    busy: dict[str, Any] = {
        "concurrency_limit": 2, "concurrency_id": "compute", "api_visibility": "private",
        "show_progress_on": result,
    }  # fmt: skip
    quick: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}

    def pick(event: gr.EventData) -> str:
        """Return the example that the visitor has clicked."""
        return str(images[event.index])

    examples.click(pick, None, file, **quick)
    file.change(tab.segment, **given, **busy)
    run.input(tab.segment, **given, **busy)
    opacity.input(
        tab.show, [segmented, opacity], result,
        api_visibility="private", trigger_mode="always_last", show_progress="hidden",
    )  # fmt: skip

    def reveal(name: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Show the tab if there is a run, and how to train one if there is none."""
        return gr.update(visible=not name), gr.update(visible=bool(name))

    run.change(reveal, run, [advice, row], **quick)
    return run
