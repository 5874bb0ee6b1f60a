"""Scores of color images against the originals."""

import numpy as np
from jaxtyping import Float, UInt8

Images = UInt8[np.ndarray, "n height width 3"]
OfImages = Float[np.ndarray, " n"]
IMAGES_PER_SSIM = 100  # side by side


def psnr(images: Images, originals: Images) -> float:
    """Return the peak signal-to-noise ratio in dB, from the mean squared error over all images."""
    from skimage.metrics import peak_signal_noise_ratio  # imports scipy.stats, which takes a second

    with np.errstate(divide="ignore"):  # it is infinite for equal images
        return float(peak_signal_noise_ratio(originals, images, data_range=255))


def psnr_of_images(images: Images, originals: Images) -> OfImages:
    """Return the peak signal-to-noise ratio of each image in dB, infinite for equal images."""
    pairs = zip(images, originals, strict=True)
    return np.array([psnr(image[None], original[None]) for image, original in pairs])


def ssim(images: Images, originals: Images) -> float:
    """Return the mean structural similarity of the images."""
    return float(ssim_of_images(images, originals).mean())


def ssim_of_images(images: Images, originals: Images) -> OfImages:
    """Return the structural similarity (Wang et al., 2004) of each image with 7×7 windows.

    It is 1 for equal images. Many small images are compared as one wide image, without the windows that two
    of them share.
    """
    from skimage.metrics import structural_similarity

    n, height, width, _ = images.shape
    window = min(7, height, width)
    window -= 1 - window % 2
    inside = slice(window // 2, -(window // 2))
    found = []
    for start in range(0, n, IMAGES_PER_SSIM):
        part = slice(start, start + IMAGES_PER_SSIM)
        of_pixels = structural_similarity(
            _side_by_side(images[part]), _side_by_side(originals[part]),
            win_size=window, channel_axis=-1, data_range=255, full=True,
        )[1]  # fmt: skip
        of_images = of_pixels.reshape(height, -1, width, 3)[inside, :, inside]
        found.append(of_images.mean(axis=(0, 2, 3)))
    return np.concatenate(found)


def _side_by_side(images: Images) -> UInt8[np.ndarray, "height n*width 3"]:
    return images.swapaxes(0, 1).reshape(images.shape[1], -1, 3)


def colorfulness(images: Images) -> float:
    """Return the mean colorfulness (Hasler and Süsstrunk, 2003): 0 is gray, 33 moderate, 82 high."""
    red, green, blue = (images[..., i].astype(np.float32) for i in range(3))
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    spread = np.sqrt(opponents.var(axis=(2, 3)).sum(axis=0))
    distance = np.sqrt(np.square(opponents.mean(axis=(2, 3))).sum(axis=0))
    return float(np.mean(spread + 0.3 * distance))
