"""The pieces of HTML that the page is made of. Names from outside are escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from PIL import Image

LARGEST_SHOWN = 1600  # pixels of the longer side of a shown image; the downloads have all of them
JPEG = {"quality": 92, "subsampling": 0}
# What a gallery does in the browser: the event has the attribute `index`.
PICK = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", { index: Number(button.dataset.index) });
});"""


class Shown(NamedTuple):
    """A file that the browser shows in place of a large image. `width` and `height` are its pixels."""

    path: Path
    width: int
    height: int


class Area(NamedTuple):
    """The part of an image that a class takes. `color` is that of its legend, `share` from 0 to 1."""

    name: str
    color: tuple[int, int, int]
    share: float


def for_browser(image: Image.Image, path: Path) -> Shown:
    """Write an image as a JPEG of at most `LARGEST_SHOWN` pixels a side."""
    image.thumbnail((LARGEST_SHOWN, LARGEST_SHOWN), Image.Resampling.LANCZOS, reducing_gap=3)
    image.save(path, format="JPEG", **JPEG)
    return Shown(path, *image.size)


def address(path: Path) -> str:
    """Return the address of a file below the server's temporary folder, relative to the page."""
    return f"gradio_api/file={quote(path.as_posix())}"


def invitation(text: str) -> str:
    """Return what an empty result says."""
    return f'<div class="invitation">{escape(text)}</div>'


def message(text: str) -> str:
    """Return an error, which a screen reader reads at once."""
    return f'<div class="message" role="alert">{escape(text)}.</div>'


def note(text: str) -> str:
    """Return a remark below a result."""
    return f'<p class="note">{escape(text)}</p>'


def comparison(before: Shown, after: Shown, name: str) -> str:
    """Return two images on top of each other. A range input, as large as they, is the divider."""
    return f"""
<figure class="figure compare" style="--width: {after.width}; --height: {after.height}">
  <img src="{address(before.path)}" alt="{escape(name)} in gray">
  <img class="after" src="{address(after.path)}" alt="{escape(name)} in color">
  <span class="corner left">gray</span><span class="corner right">colored</span>
  <span class="divider"></span>
  <input type="range" min="0" max="100" step="0.5" value="50" oninput="jaxcolor.divide(this)"
    aria-label="Divider between the gray and the colored image">
</figure>"""


def figure(image: Shown, text: str) -> str:
    """Return an image."""
    return f"""
<figure class="figure" style="--width: {image.width}; --height: {image.height}">
  <img src="{address(image.path)}" alt="{escape(text)}">
</figure>"""


def gallery(images: Sequence[tuple[str, Path]]) -> str:
    """Return a button for each example. `PICK` makes the component tell which one was clicked."""
    buttons = [
        f'<button type="button" data-index="{index}" title="{escape(name)}">'
        f'<img src="{address(path)}" alt="{escape(name)}"></button>'
        for index, (name, path) in enumerate(images)
    ]
    return f'<p class="caption">Examples</p><div class="gallery">{"".join(buttons)}</div>'


def downloads(files: Sequence[tuple[str, Path]]) -> str:
    """Return a button for each file, with its label and its size."""
    links = [
        f'<a href="{address(path)}" download="{escape(path.name)}">{escape(label)}'
        f"<small>{escape(path.name)} · {file_size(path.stat().st_size)}</small></a>"
        for label, path in files
    ]
    return f'<div class="downloads">{"".join(links)}</div>'


def thumbnails(images: Iterable[tuple[str, Shown]]) -> str:
    """Return a grid of small images with their names."""
    cells = [
        f'<figure><img src="{address(image.path)}" alt=""><figcaption>{escape(name)}</figcaption></figure>'
        for name, image in images
    ]
    return f'<div class="thumbnails">{"".join(cells)}</div>'


def legend(areas: Sequence[Area]) -> str:
    """Return a table of classes: the color, the name, and the share of the image as a bar and a number."""
    rows = [
        f'<tr><td><i style="background: rgb{area.color}"></i></td><th scope="row">{escape(area.name)}</th>'
        f'<td class="bar"><b style="width: {100 * area.share:.2f}%; background: rgb{area.color}"></b></td>'
        f'<td class="share">{percent(area.share)}</td></tr>'
        for area in areas
    ]
    head = "<tr><th></th><th>class</th><th></th><th>area</th></tr>"
    return f'<table class="legend"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'


def percent(share: float) -> str:
    """Return a share in percent, such as 12.3 %."""
    return f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"


def file_size(count: int) -> str:
    """Return a number of bytes in kB or MB."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(count / 1e3, 1):.0f} kB"
