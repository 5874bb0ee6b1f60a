"""`--inspect`: what a data set holds, all its problems, and a sheet of examples, before any training."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxcolor.data.classes import Classes, read_classes
from jaxcolor.data.image_files import Size
from jaxcolor.data.label_maps import VOID, LabelFormat
from jaxcolor.data.voc_archive import open_archive
from jaxcolor.data.voc_examples import VocExamples, open_folder
from jaxcolor.data.voc_layout import VocLayout
from jaxcolor.errors import UserError
from jaxcolor.images import image_format
from jaxcolor.segmentation.data import choose_classes, warn, warn_of_shared_names
from jaxcolor.segmentation.drawing import draw_examples
from jaxcolor.segmentation.survey import Survey, binary, survey

SHOWN = 8  # examples in the sheet
SIZES = 5  # image sizes in the report


class Inspection:
    """The readable examples of a data set by split, what they hold, and all problems."""

    def __init__(self, layout: VocLayout[Any], classes: Classes | None):
        self.layout = layout
        self.problems: list[str] = []
        label_format = LabelFormat(VOID, classes.colors if classes else ())
        self.examples = {split: self._read(names, label_format) for split, names in self._splits().items()}
        self.surveys = {split: survey(part) for split, part in self.examples.items()}
        for found in self.surveys.values():
            self.problems += found.problems
        self.classes: tuple[str, ...] = ()
        readable = [split for split, found in self.surveys.items() if found.labels - {VOID}]
        with self._noting_problems():
            if not readable:
                raise UserError(f"{layout.where} has no image with a mask that can be read")
            self.classes, label_format = choose_classes(
                classes, [self.examples[s] for s in readable], [self.surveys[s] for s in readable]
            )
            if label_format.binary:
                self.surveys = {split: binary(found) for split, found in self.surveys.items()}
            self.examples = {s: part.with_format(label_format) for s, part in self.examples.items()}
        if readable and not self.classes:  # show the labels without a class, too
            labels = set().union(*(found.labels for found in self.surveys.values())) - {VOID}
            names = classes.names if classes else ()
            self.classes = (*names, *(f"{label} (no class)" for label in range(len(names), max(labels) + 1)))

    def report(self) -> str:
        """Return the counts, the sizes, the classes and the problems, as lines."""
        lines = [f"{self.layout.where}: {len(self.layout.images)} images, {len(self.layout.masks)} masks"]
        for split, part in self.examples.items():
            images = f"{len(part)} image{'' if len(part) == 1 else 's'}"
            lines.append(f"{split}: {images} that can be read{describe_sizes(part.sizes)}")
        if "all" in self.examples:
            lines.append("there are no lists train.txt and val.txt: train with --split 0.2")
        lines += ["", *class_table(self.classes, self.surveys), ""] if self.classes else [""]
        count = len(self.problems)
        lines.append(f"{count or 'no'} problem{'' if count == 1 else 's'}{':' if count else ''}")
        return "\n".join(lines + [f"  {problem}" for problem in self.problems])

    def draw(self, path: Path, title: str) -> None:
        """Draw a sheet of examples from all over the splits: image, mask, and overlay.

        `classes` must not be empty.
        """
        drawn = {}
        for split, part in self.examples.items():
            places = np.linspace(0, len(part) - 1, min(len(part), SHOWN // len(self.examples))).astype(int)
            for index in places.tolist():
                with contextlib.suppress(UserError):  # it is among the problems
                    name, image, label_map = part[index]
                    drawn[name if split == "all" else f"{split}\n{name}"] = (image, label_map)
        draw_examples(path, title, drawn, self.classes)

    def _splits(self) -> dict[str, list[str]]:
        """Return the names of each list, or of all images if there are no lists."""
        listed = sorted(self.layout.lists.keys() & {"train", "val"})
        splits: dict[str, list[str]] = {}
        for split in listed:
            with self._noting_problems():
                splits[split], problem = self.layout.read_list(split)
                self.problems += [problem] if problem else []
        warn_of_shared_names(splits.get("train", []), splits.get("val", []))
        rest = sorted(self.layout.images.keys() & self.layout.masks.keys())
        # Images that no list names need no mask.
        self.problems += [line for line in self.layout.alone() if " no image" in line or not listed]
        return splits or {"all": rest}

    def _read(self, names: Sequence[str], label_format: LabelFormat) -> VocExamples:
        """Return the examples whose files exist and have fitting sizes."""
        readable = []
        for name in names:
            with self._noting_problems():
                VocExamples(self.layout, [name], label_format)
                readable.append(name)
        return VocExamples(self.layout, readable, label_format)

    @contextlib.contextmanager
    def _noting_problems(self) -> Iterator[None]:
        try:
            yield
        except UserError as error:
            self.problems.append(str(error))


def inspect(data: Path, classes: str | None = None, sheet: Path | None = None) -> None:
    """Print what a folder or an archive with the layout of VOC holds, and draw a sheet of examples.

    `sheet` is its file, by default inspect-NAME.png in the current folder. Raises `UserError` after that if
    there are problems, and at once if there are no images and masks, or no such format of images.
    """
    given = read_classes(classes) if classes is not None else None
    name = data.resolve().name.split(".")[0]
    sheet = sheet or Path(f"inspect-{name}.png")
    image_format(sheet)
    with contextlib.ExitStack() as stack:
        layout: VocLayout[Any] = (
            open_folder(data) if data.is_dir() else stack.enter_context(open_archive(data))
        )
        inspection = Inspection(layout, given)
        print(inspection.report(), flush=True)
        if inspection.classes:
            warn(inspection.surveys, inspection.classes, LabelFormat(2, given.colors if given else ()))
            inspection.draw(sheet, f"{name}: examples")
            print(f"examples: {sheet}", flush=True)
    if count := len(inspection.problems):
        raise UserError(f"{data} has {count} problem{'s' if count > 1 else ''}, listed above")


def describe_sizes(sizes: Sequence[Size]) -> str:
    """Return the most frequent sizes with their numbers, for the end of a line."""
    if not sizes:
        return ""
    counts = Counter(sizes).most_common()
    shown = ", ".join(f"{height}×{width} ({count})" for (height, width), count in counts[:SIZES])
    return f"; height×width {shown}" + (f" and {len(counts) - SIZES} other sizes" if counts[SIZES:] else "")


def class_table(classes: Sequence[str], surveys: dict[str, Survey]) -> list[str]:
    """Return a line per class: its share of the pixels that are not void, and its masks, in each split."""
    rows = [["label", "class", *(f"{split}: pixels, masks" for split in surveys)]]
    for label, name in [*enumerate(classes), (VOID, "void")]:
        cells = []
        for found in surveys.values():
            total = found.pixels.sum() if label == VOID else found.pixels[:VOID].sum()
            share = 100 * found.pixels[label] / max(1, total)
            cells.append(f"{share:6.2f} %{found.masks[label]:7,}" if found.pixels[label] else "—")
        rows.append([str(label), name, *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join([row[0].rjust(widths[0]), row[1].ljust(widths[1]), *map(str.rjust, row[2:], widths[2:])])
        for row in rows
    ]
