"""The page in a real browser: Chromium, which Playwright controls."""

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the page needs Gradio")
pytest.importorskip("playwright", reason="the tests of the page need Playwright")

import trained_segmenter
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.job import colorize
from jaxcolor.training import compilation

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="the tests of the page need the browser Chromium"),
]

TESTS = Path(__file__).parents[1]
SCRIPT = TESTS.parent / "experiments" / "demo.py"
MEGAPIXELS = 0.02  # the largest image that the page accepts
PATIENCE = 120_000  # milliseconds, to load and compile a network on a busy machine
# Predicts as the command line does, for images, with runs, into a folder.
PREDICT = """
import sys
from jaxcolor import cli

images, runs, out = sys.argv[1:]
own = ["--predict", images + "/gray.jpg", images + "/tiger.png"]
run = ["--runs-dir", runs, "--name"]
cli.colorize([*own, "--out", out + "/shipped"])
cli.colorize([*own, "--out", out + "/pale", "--vividness", "0.55"])
cli.colorize([*run, "cnn", *own, "--out", out + "/cnn"])
cli.segment([*run, "shapes", *own, "--out", out + "/segmented"])
"""


@dataclass(frozen=True)
class Served:
    """A page that a server shows, images to upload, and what the command line predicts for them."""

    address: str
    images: Path
    runs: Path
    predicted: Path

    def expected(self, network: str, name: str) -> bytes:
        return (self.predicted / network / name).read_bytes()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gray JPEG with EXIF data, a colored PNG with alpha, a broken image, and two that are too large."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    gray = Image.fromarray(rng.integers(0, 256, (9, 12), np.uint8)).resize((120, 90))
    exif = Image.Exif()
    exif[0x010E] = "the description"
    gray.save(folder / "gray.jpg", exif=exif, dpi=(300, 300))
    colors = Image.fromarray(rng.integers(0, 256, (8, 8, 4), np.uint8)).resize((64, 80))
    colors.save(folder / "tiger.png")
    (folder / "broken.jpg").write_bytes((folder / "gray.jpg").read_bytes()[:700])
    (folder / "notes.txt").write_text("no image")
    Image.new("L", (201, 100)).save(folder / "large.png")
    (folder / "heavy.png").write_bytes(bytes(round(8e6 * MEGAPIXELS) + 1))
    return folder


@pytest.fixture(scope="module")
def runs(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each task."""
    folder = tmp_path_factory.mktemp("trained")
    trained = trained_segmenter.train(folder)
    shutil.move(trained.config.folder, folder / "runs" / "shapes")
    config = ColorizeConfig(
        name="cnn", model="cnn", filters=4, colors=6, epochs=1, batch_size=16, archive=archive,
        data_dir=folder / "data", runs_dir=folder / "runs",
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilation, "compiler_options", lambda backend: {})
        colorize(config)
    return folder / "runs"


@pytest.fixture(scope="module")
def served(images: Path, runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page, from a server of its own. It ends as asked, and leaves no temporary files."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "predict.py").write_text(PREDICT)
    temporary = folder / "temporary"
    temporary.mkdir()
    python: list[str | Path] = [sys.executable, TESTS / "tiny_backbone.py"]
    subprocess.run([*python, folder / "predict.py", images, runs, folder], check=True)
    options: list[str | Path] = ["--port", "0", "--runs-dir", runs, "--max-megapixels", str(MEGAPIXELS)]
    environment = os.environ | {"TMPDIR": str(temporary)}
    command: list[str | Path] = [*python, SCRIPT, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        try:
            found = re.match(r"(http://127\.0\.0\.1:\d+) shows the page", server.stdout.readline())
            assert found is not None
            yield Served(found[1], images, runs, folder)
            server.terminate()
            assert server.wait(timeout=60) == 0
            assert server.stdout.read() == "the page is closed\n"
            assert list(temporary.iterdir()) == []
        finally:
            server.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """The opened page. It loads nothing from elsewhere, and its scripts have no errors."""
    opened = open_page(browser, served)
    elsewhere: list[str] = []
    problems: list[str] = []
    opened.on("request", lambda request: elsewhere.append(request.url))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.reload()
    expect(opened.locator("#colored .invitation")).to_be_visible(timeout=PATIENCE)
    yield opened
    opened.context.close()
    assert [url for url in elsewhere if not url.startswith((served.address, "data:", "blob:"))] == []
    assert problems == []


def open_page(browser: Browser, served: Served, **options: Any) -> Page:
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    opened.goto(served.address)
    expect(opened.locator("#colored .invitation")).to_be_visible(timeout=PATIENCE)
    return opened


def upload(page: Page, *files: Path, to: str = "#photographs") -> None:
    page.locator(f"{to} input[type=file]").first.set_input_files(files)


def result(page: Page, of: str = "#colored", part: str = ".figure") -> Locator:
    """Wait for a result. Return it."""
    expect(page.locator(f"{of} {part}").first).to_be_visible(timeout=PATIENCE)
    idle(page)
    return page.locator(of)


def idle(page: Page) -> None:
    """Wait until the page computes nothing."""
    page.wait_for_timeout(300)
    expect(page.locator("[data-testid=status-tracker].translucent:not(.hide)")).to_have_count(
        0, timeout=PATIENCE
    )


def download(page: Page, link: Locator) -> tuple[str, bytes]:
    """Click a link. Return the name and the contents of the file."""
    with page.expect_download() as started:
        link.click()
    return started.value.suggested_filename, Path(started.value.path()).read_bytes()


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_label(label).click()
    page.get_by_role("option", name=option).click()


def test_an_uploaded_photograph_is_colored_as_predict_does(page: Page, served: Served) -> None:
    upload(page, served.images / "gray.jpg")
    colored = result(page)
    expect(colored.locator(".note")).to_have_count(0)
    expect(page.get_by_text("Color all")).to_have_count(0)
    assert download(page, colored.get_by_role("link")) == ("gray.jpg", served.expected("shipped", "gray.jpg"))


def test_the_slider_chooses_the_vividness_also_with_the_keyboard(page: Page, served: Served) -> None:
    upload(page, served.images / "gray.jpg")
    before = result(page).locator(".after").get_attribute("src")
    slider = page.get_by_role("slider", name="vividness")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#colored .after")).not_to_have_attribute("src", before or "", timeout=PATIENCE)
    link = result(page).get_by_role("link")
    assert download(page, link)[1] == served.expected("pale", "gray.jpg")
    assert served.expected("pale", "gray.jpg") != served.expected("shipped", "gray.jpg")


def test_the_divider_follows_the_mouse_and_the_arrow_keys(page: Page, served: Served) -> None:
    upload(page, served.images / "gray.jpg")
    box = result(page).locator(".compare").bounding_box()
    assert box is not None
    across, middle = box["width"], box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + across / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + across / 4, middle, steps=5)
    page.mouse.up()
    assert divider(page) == pytest.approx(box["x"] + across / 4, abs=3)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert divider(page) == pytest.approx(box["x"] + across * 0.26, abs=3)
    clipped = page.locator("#colored .after").evaluate("element => getComputedStyle(element).clipPath")
    assert float(clipped.split()[-1].strip("%)")) == pytest.approx(26, abs=1)
    # A new result keeps the position.
    page.get_by_role("slider", name="vividness").focus()
    page.keyboard.press("ArrowRight")
    idle(page)
    assert float(page.locator("#colored .compare input").input_value()) == pytest.approx(26, abs=1)


def divider(page: Page) -> float:
    """Return the middle of the divider, in pixels from the left."""
    box = page.locator("#colored .divider").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2


def test_colors_are_replaced_and_the_page_says_so(page: Page, served: Served) -> None:
    upload(page, served.images / "tiger.png")
    colored = result(page)
    expect(colored.locator(".note")).to_contain_text("The photograph has colors.")
    assert download(page, colored.get_by_role("link"))[1] == served.expected("shipped", "tiger.png")


def test_a_run_colors_without_a_dial(page: Page, served: Served) -> None:
    upload(page, served.images / "gray.jpg")
    result(page)
    choose(page, "Network", "run cnn")
    expect(page.get_by_role("slider", name="vividness")).to_be_disabled(timeout=PATIENCE)
    link = result(page).get_by_role("link")
    assert download(page, link)[1] == served.expected("cnn", "gray.jpg")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notes.txt", "notes.txt is broken, or not an image."),
        ("broken.jpg", "broken.jpg is broken: "),
        ("large.png", "large.png is too large: it has 0.0201 megapixels, and this page takes 0.02."),
    ],
)
def test_other_files_give_a_message(page: Page, served: Served, name: str, text: str) -> None:
    upload(page, served.images / name)
    alert = page.locator("#colored").get_by_role("alert")
    expect(alert).to_contain_text(text, timeout=PATIENCE)
    assert "/" not in alert.inner_text()
    expect(page.locator("#colored .figure")).to_have_count(0)


def test_a_file_of_too_many_bytes_gives_a_message(page: Page, served: Served) -> None:
    upload(page, served.images / "heavy.png")
    expect(page.get_by_text('exceed the maximum allowed size of 156.3 kB: "heavy.png"')).to_be_visible()


def test_several_files_are_colored_and_a_broken_one_does_not_stop_them(page: Page, served: Served) -> None:
    upload(page, *(served.images / name for name in ("gray.jpg", "broken.jpg", "tiger.png")))
    result(page)
    choose(page, "Show", "tiger.png")
    expect(page.locator("#colored .note")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Color all 3 photographs").click()
    batch = result(page, "#batch", ".thumbnails")
    expect(batch.get_by_role("alert")).to_contain_text("broken.jpg is broken")
    expect(batch.locator("figure")).to_have_count(2)
    name, archive = download(page, batch.get_by_role("link"))
    assert name == "colored.zip"
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        found = {name: files.read(name) for name in files.namelist()}
    assert found == {name: served.expected("shipped", name) for name in ("gray.jpg", "tiger.png")}
    # Another setting makes another batch.
    page.get_by_role("slider", name="vividness").focus()
    page.keyboard.press("ArrowRight")
    expect(batch.get_by_role("link")).to_have_count(0, timeout=PATIENCE)


def test_pasted_and_dropped_images_are_taken(page: Page, served: Served) -> None:
    pixels = list((served.images / "gray.jpg").read_bytes())
    for kind, data in (("paste", "clipboardData"), ("drop", "dataTransfer")):
        page.evaluate(
            f"""pixels => {{
              const data = new DataTransfer();
              data.items.add(new File([new Uint8Array(pixels)], "{kind}.jpg", {{ type: "image/jpeg" }}));
              const event = new {"ClipboardEvent" if kind == "paste" else "DragEvent"}(
                "{kind}", {{ {data}: data, bubbles: true }});
              document.body.dispatchEvent(event);
            }}""",
            pixels,
        )
        link = page.locator("#colored").get_by_role("link")
        expect(link).to_have_attribute("download", f"{kind}.jpg", timeout=PATIENCE)
        idle(page)
        assert download(page, link)[1] == served.expected("shipped", "gray.jpg")


def test_segmentation_shows_areas_and_writes_what_predict_does(page: Page, served: Served) -> None:
    page.get_by_role("tab", name="Segment").click()
    upload(page, served.images / "tiger.png", to="#image")
    segmented = result(page, "#segmented")
    shares = segmented.locator(".legend .share").all_inner_texts()
    mask = np.asarray(Image.open(io.BytesIO(served.expected("segmented", "tiger-mask.png"))))
    counts = np.sort(np.unique(mask, return_counts=True)[1])[::-1]
    assert shares == [f"{100 * count / mask.size:.1f} %" for count in counts]
    for label in ("mask", "overlay"):
        name, data = download(page, segmented.get_by_role("link", name=f"Download the {label}"))
        assert (name, data) == (f"tiger-{label}.png", served.expected("segmented", f"tiger-{label}.png"))
    before = segmented.locator("img").get_attribute("src")
    page.get_by_role("slider", name="opacity").focus()
    page.keyboard.press("Home")
    expect(segmented.locator("img")).not_to_have_attribute("src", before or "", timeout=PATIENCE)
    overlay = download(page, segmented.get_by_role("link", name="Download the overlay"))[1]
    original = Image.open(served.images / "tiger.png").convert("RGB")
    np.testing.assert_array_equal(Image.open(io.BytesIO(overlay)), original)


def test_without_a_run_the_page_says_how_to_train_one(page: Page, served: Served) -> None:
    run = served.runs / "shapes"
    run.rename(served.runs.parent / "away")
    try:
        page.reload()
        page.get_by_role("tab", name="Segment").click()
        command = f"segment.py --name shapes --dataset sample --runs-dir {served.runs}"
        expect(page.locator(".advice").first).to_contain_text(command, timeout=PATIENCE)
        expect(page.locator("#image")).not_to_be_visible()
    finally:
        (served.runs.parent / "away").rename(run)
    page.reload()
    page.get_by_role("tab", name="Segment").click()
    expect(page.locator("#image")).to_be_visible(timeout=PATIENCE)


def test_everything_works_with_the_keyboard(page: Page, served: Served) -> None:
    example = page.locator("#colorize .gallery button").nth(0)
    example.focus()
    # The examples are larger than this page accepts.
    page.keyboard.press("Enter")
    alert = page.locator("#colored").get_by_role("alert")
    expect(alert).to_contain_text("camera.png is too large", timeout=PATIENCE)
    with page.expect_file_chooser() as chooser:
        page.locator("#photographs [aria-label='Clear']").press("Enter")
        page.locator("#photographs .upload-container").press("Enter")
    chooser.value.set_files(served.images / "gray.jpg")
    link = result(page).get_by_role("link")
    reached = [press_tab(page) for _ in range(60)]
    assert {
        "range slider for Vividness",
        "Divider between the gray and the colored image",
        "gray.jpg",
    } <= set(reached)
    link.focus()
    with page.expect_download() as started:
        page.keyboard.press("Enter")
    assert Path(started.value.path()).read_bytes() == served.expected("shipped", "gray.jpg")
    page.get_by_role("tab", name="Segment").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#image")).to_be_visible()


def press_tab(page: Page) -> str:
    """Move the focus. Return what names the element that has it now."""
    page.keyboard.press("Tab")
    name = "element => element.ariaLabel || element.download || element.innerText || ''"
    return str(page.locator(":focus").first.evaluate(name)) if page.locator(":focus").count() else ""


def test_two_visitors_at_once_get_their_own_results(browser: Browser, served: Served) -> None:
    pages = [open_page(browser, served) for _ in range(2)]
    names = ("gray.jpg", "tiger.png")
    for page, name in zip(pages, names, strict=True):
        upload(page, served.images / name)
    for page, name in zip(pages, names, strict=True):
        link = result(page).get_by_role("link")
        assert download(page, link) == (name, served.expected("shipped", name))
        page.context.close()


def test_the_page_fits_a_phone_and_is_dark_at_night(browser: Browser, served: Served) -> None:
    page = open_page(browser, served, viewport={"width": 360, "height": 740}, color_scheme="dark")
    upload(page, served.images / "gray.jpg")
    result(page)
    for tab in ("Colorize", "Segment"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in re.findall(r"\d+", color)[:3]) < 60
    page.context.close()


def test_the_server_loads_nothing_from_elsewhere(page: Page, served: Served) -> None:
    for path in ("gradio_api/file=https://example.com/a.png", "gradio_api/proxy=https://example.com/"):
        assert page.request.get(f"{served.address}/{path}").status == 403
    policy = page.request.get(served.address).headers["content-security-policy"]
    assert policy.startswith("default-src 'self' data: blob:;")
    assert page.request.get(f"{served.address}/gradio_api/file={served.runs}/cnn/config.json").status == 403


def test_a_port_in_use_is_one_line_and_takes_no_time(served: Served) -> None:
    port = served.address.rpartition(":")[2]
    done = subprocess.run([sys.executable, SCRIPT, "--port", port], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert (
        done.stderr == f"error: cannot listen on port {port}: Address already in use; choose another --port\n"
    )
