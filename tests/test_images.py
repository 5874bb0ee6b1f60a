from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxcolor.data.classes import VOC_CLASSES, voc_colors
from jaxcolor.data.colors import separated_colors
from jaxcolor.errors import UserError
from jaxcolor.images import ColorImage, LabelMap, as_images, save_image

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((4, 4, 3), np.float32, r"expected a uint8 image .*, not float32 \[4, 4, 3\]"),
        ((4, 4, 2), np.uint8, r"not uint8 \[4, 4, 2\]"),
        ((5,), np.uint8, r"not uint8 \[5\]"),
        ((1, 2, 3, 4, 3), np.uint8, r"not uint8 \[1, 2, 3, 4, 3\]"),
        ((0, 4, 3), np.uint8, r"an image of shape \[0, 4, 3\] has no pixels"),
    ],
)
def test_other_arrays_are_refused(shape: tuple[int, ...], dtype: type, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_images(np.zeros(shape, dtype))


def test_one_image_and_a_batch_are_told_apart() -> None:
    image = RNG.integers(0, 256, (4, 5, 3), np.uint8)
    for value, is_one in ((image, True), (image[None], False)):
        images, one = as_images(value)
        np.testing.assert_array_equal(images, image[None])
        assert one == is_one


@pytest.mark.parametrize(
    "mode", ["L", "P", "LA", "La", "PA", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I", "F"]
)
def test_pillow_images_of_any_mode(mode: str) -> None:
    gray = Image.new("L", (5, 4), 102)
    # Pillow converts to some modes only by way of others.
    for step in {"La": ("LA", "La"), "PA": ("RGB", "P", "PA")}.get(mode, ("RGB", mode)):
        gray = gray.convert(step)
    images, is_one = as_images(gray)
    assert (gray.mode, images.shape, images.dtype, is_one) == (mode, (1, 4, 5, 3), np.uint8, True)
    assert abs(images.astype(int) - 102).max() <= 1


def test_16_bits_in_any_order_of_bytes() -> None:
    for mode in ("I;16", "I;16B", "I;16L"):
        np.testing.assert_array_equal(
            as_images(Image.new(mode, (2, 2), 51 * 257))[0], np.full((1, 2, 2, 3), 51)
        )


def test_a_mode_that_pillow_cannot_convert_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("conversion from HSV to RGB not supported")

    monkeypatch.setattr(Image.Image, "convert", refuse)
    with pytest.raises(UserError, match="^the image has Pillow's mode HSV, which does not become RGB: conv"):
        as_images(Image.new("HSV", (2, 2)))


def test_a_list_of_images_of_one_size_is_a_batch(tmp_path: Path) -> None:
    image = RNG.integers(0, 256, (4, 5, 3), np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(image).save(path)
    images, is_one = as_images([path, str(path), image, Image.fromarray(image)])
    np.testing.assert_array_equal(images, np.stack([image] * 4))
    assert not is_one
    with pytest.raises(ValueError, match="must have one size, not 2×3 and 4×5: predict each alone"):
        as_images([image, image[:2, :3]])
    for value in ([], [image[None]]):
        with pytest.raises(ValueError, match="expected a list of images"):
            as_images(value)


def test_a_file_that_is_no_image_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(UserError, match=r"a\.png is broken, or not an image"):
        as_images(tmp_path / "a.png")


def test_a_color_image_is_an_array_that_saves_and_shows_itself(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (4, 5, 3), np.uint8)
    image = values.view(ColorImage)
    image.save(tmp_path / "new" / "a.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), values)
    png = image._repr_png_()
    assert png is not None
    assert png[:4] == b"\x89PNG"
    assert (image / 2).view(ColorImage)._repr_png_() is None
    image.save(str(tmp_path / "a.jpg"))
    with Image.open(tmp_path / "a.jpg") as saved:
        assert saved.format == "JPEG"


def test_a_label_map_keeps_its_classes(tmp_path: Path) -> None:
    labels = LabelMap.of(np.asarray([[0, 1], [2, 1]], np.uint8), ["sky", "road", "car"])
    assert labels.classes == labels[:1].view(LabelMap).classes == ("sky", "road", "car")
    assert labels.dtype == np.uint8
    labels.save(tmp_path / "mask.png")
    saved = Image.open(tmp_path / "mask.png")
    assert saved.mode == "P"
    np.testing.assert_array_equal(np.asarray(saved), labels)
    np.testing.assert_array_equal(np.asarray(saved.convert("RGB")), separated_colors()[labels])
    assert labels._repr_png_()


def test_a_label_map_of_vocs_classes_has_vocs_colors() -> None:
    values = np.arange(256, dtype=np.uint8)[None]
    image = LabelMap.of(values, VOC_CLASSES).to_image()
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), voc_colors()[values])


def test_a_batch_is_not_saved_as_one_image(tmp_path: Path) -> None:
    colored = np.zeros((2, 4, 4, 3), np.uint8).view(ColorImage)
    with pytest.raises(ValueError, match=r"save takes one image, not an array of shape \[2, 4, 4, 3\]"):
        colored.save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="save takes one image"):
        LabelMap.of(colored[..., 0], ["a", "b"]).save(tmp_path / "a.png")
    colored[1].save(tmp_path / "a.png")


def test_a_file_without_a_suffix_is_a_png(tmp_path: Path) -> None:
    save_image(tmp_path / "image", Image.new("RGB", (2, 2)))
    with Image.open(tmp_path / "image") as saved:
        assert saved.format == "PNG"
    with pytest.raises(UserError, match=r"image.psd: no image format has the suffix .psd: use .png or .jpg"):
        save_image(tmp_path / "image.psd", Image.new("RGB", (2, 2)))
