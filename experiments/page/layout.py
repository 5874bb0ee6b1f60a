"""The page: its title, its two tabs, and its looks."""

from pathlib import Path
from typing import Any

import gradio as gr

from page import examples, fragments
from page.colorize import ColorizeTab, build_colorize_tab
from page.config import DemoConfig
from page.networks import Networks
from page.segment import SegmentTab, build_segment_tab
from page.uploads import ResultFolders

HERE = Path(__file__).parent
FOREVER = 24 * 3600  # seconds that an uploaded file is kept, at most
HEADER = """
<header>
  <h1><span>jax</span><span class="colors">color</span></h1>
  <p>Color gray photographs and segment images with convolutional networks, on your own machine.
  Nothing leaves it: images are only sent to the program that you started.</p>
</header>"""
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif")


def build_page(config: DemoConfig, folder: Path) -> gr.Blocks:
    """Return the page. `folder` is the server's temporary folder."""
    networks, results = Networks(config.runs_dir), ResultFolders(folder / "results")
    colorize = ColorizeTab(networks, results, config.most_pixels)
    segment = SegmentTab(networks, results, config.most_pixels)
    photographs = examples.write_photographs(folder / "examples")
    images = [*examples.write_shapes(folder / "examples"), *photographs[1:]]
    gr.set_static_paths([folder / "examples", folder / "thumbnails"])
    with gr.Blocks(title="jaxcolor", analytics_enabled=False, delete_cache=(3600, FOREVER)) as page:
        gr.HTML(HEADER)
        with gr.Tabs():
            with gr.Tab("Colorize", elem_id="colorize"):
                gallery = make_gallery(photographs, folder / "thumbnails" / "gray", in_gray=True)
                network = build_colorize_tab(colorize, photographs, gallery)
            with gr.Tab("Segment", elem_id="segment"):
                gallery = make_gallery(images, folder / "thumbnails" / "color", in_gray=False)
                run = build_segment_tab(segment, images, gallery)

        def refresh() -> tuple[dict[str, Any], dict[str, Any]]:
            """Offer the runs that are there when a visitor opens the page."""
            runs = segment.choices()
            return gr.update(choices=colorize.choices()), gr.update(
                choices=runs, value=next(iter(runs), None)
            )

        def leave(request: gr.Request) -> None:
            """Delete the results of a visitor who closes the page."""
            results.close(str(request.session_hash))

        page.load(refresh, None, [network, run], api_visibility="private", show_progress="hidden")
        page.unload(leave)
    return page.queue()


def make_gallery(images: list[Path], folder: Path, in_gray: bool) -> str:
    """Write small images, and return the HTML that offers them as examples."""
    small = examples.write_thumbnails(images, folder, in_gray)
    return fragments.gallery([(path.stem.replace("_", " "), path) for path in small])


def looks() -> dict[str, Any]:
    """Return theme, style sheet and script of the page. All are local."""
    theme = gr.themes.Base(
        primary_hue="orange", secondary_hue="orange", neutral_hue="stone", radius_size="lg",
        font=FONTS, font_mono=("ui-monospace", "Consolas", "DejaVu Sans Mono", "monospace"),
    ).set(
        body_background_fill="*neutral_50", body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_400",
        block_shadow="none", block_border_width="1px",
    )  # fmt: skip
    script = (HERE / "page.js").read_text()
    return {"theme": theme, "css_paths": HERE / "page.css", "head": f"<script>{script}</script>"}
