from pathlib import Path, PurePosixPath

import pytest

from jaxcolor.data.voc_layout import VocLayout, find_root, split_names
from jaxcolor.errors import UserError

WHERE = Path("voc")


def layout(names: list[str], **lists: str) -> VocLayout[str]:
    """A layout whose files are their own contents."""
    files = {PurePosixPath(name): name for name in names}
    files |= {PurePosixPath(f"ImageSets/Segmentation/{split}.txt"): text for split, text in lists.items()}
    return VocLayout(WHERE, files, str.encode)


FILES = [
    "JPEGImages/a.jpg", "JPEGImages/b.JPG", "JPEGImages/c.png", "JPEGImages/Screenshot 7 a.jpeg",
    "JPEGImages/e.v2.jpg", "JPEGImages/.hidden.jpg", "JPEGImages/Thumbs.db",
    "SegmentationClass/a.png", "SegmentationClass/b.png", "SegmentationClass/c.PNG",
    "SegmentationClass/Screenshot 7 a.png", "SegmentationClass/e.v2.png",
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "a\nb\nScreenshot 7 a\ne.v2\n",
        "\ufeffa\r\n\r\nb\r\nScreenshot 7 a\r\ne.v2",
        "# train\na 1\nb -1\nScreenshot 7 a\ne.v2 1\n",
        "a.jpg\nb.JPG\nScreenshot 7 a.jpeg\ne.v2.jpg\n",
        "JPEGImages/a.jpg SegmentationClass/a.png\n/b.JPG,b.png\nScreenshot 7 a\ne.v2\n",
        "JPEGImages\\a.jpg\nb\nScreenshot 7 a\ne.v2.png\n",
    ],
)
def test_a_list_names_images_in_many_ways(text: str) -> None:
    assert layout(FILES, train=text).names("train") == ["a", "b", "Screenshot 7 a", "e.v2"]


def test_bad_lists_are_one_line() -> None:
    with pytest.raises(UserError, match=r"voc/ImageSets/Segmentation/val.txt does not exist: .*--split 0.2"):
        layout(FILES, train="a").names("val")
    with pytest.raises(UserError, match=r"train.txt names no image: write one name per line"):
        layout(FILES, train="# nothing\n\n").names("train")
    with pytest.raises(UserError, match=r"names the image a twice, 'a' and 'a.jpg': remove one line"):
        layout(FILES, train="a\nb\na.jpg\n").names("train")
    with pytest.raises(UserError, match=r"JPEGImages has no image aa and 1 others; did you mean a\?"):
        layout(FILES, train="a\naa\nzzz\n").names("train")


def test_pairs_have_any_suffix() -> None:
    files = layout(FILES)
    assert files.pair("b") == ("JPEGImages/b.JPG", "SegmentationClass/b.png")
    assert files.pair("c") == ("JPEGImages/c.png", "SegmentationClass/c.PNG")
    assert ".hidden" not in files.images
    assert "Thumbs" not in files.images
    with pytest.raises(UserError, match=r"voc/SegmentationClass has no file x; did you mean"):
        layout(["JPEGImages/x.jpg", "SegmentationClass/x1.png"]).pair("x")
    with pytest.raises(UserError, match=r"voc/JPEGImages has 2 files named x: keep one of them"):
        layout(["JPEGImages/x.jpg", "JPEGImages/x.png", "SegmentationClass/x.png"]).pair("x")


def test_all_names_are_those_of_the_largest_list_or_of_all_masks() -> None:
    assert layout(FILES, train="c", trainval="c\na").all_names() == ["c", "a"]
    assert layout(FILES, train="c\nb").all_names() == ["c", "b"]
    assert layout(FILES).all_names() == ["Screenshot 7 a", "a", "b", "c", "e.v2"]
    with pytest.raises(UserError, match=r"voc has 1 images with masks: at least 2 are needed"):
        layout(FILES[:1] + FILES[7:8]).all_names()


def test_a_split_follows_from_its_seed() -> None:
    names = [f"image{i}" for i in range(20)]
    train, validation = split_names(names, 0.2, seed=0)
    assert len(validation) == 4
    assert sorted(train + validation) == sorted(names)
    assert [name for name in names if name in train] == train
    assert split_names(names, 0.2, seed=0) == (train, validation)
    assert split_names(names, 0.2, seed=1) != (train, validation)
    # At least one image for each.
    assert [len(part) for part in split_names(names[:2], 0.01, 0)] == [1, 1]
    assert [len(part) for part in split_names(names[:2], 0.99, 0)] == [1, 1]


def test_the_root_is_the_folder_of_images_and_masks() -> None:
    def paths(*names: str) -> list[PurePosixPath]:
        return [PurePosixPath(name) for name in names]

    both = ("JPEGImages/a.jpg", "SegmentationClass/a.png")
    assert find_root(paths(*both), WHERE) == PurePosixPath()
    inside = [f"VOCdevkit/VOC2012/{name}" for name in both]
    mac = [f"__MACOSX/VOCdevkit/VOC2012/{name}" for name in both]
    assert find_root(paths(*inside, *mac, "VOCdevkit/x/JPEGImages/b.jpg"), WHERE) == PurePosixPath(
        "VOCdevkit/VOC2012"
    )
    with pytest.raises(UserError, match=r"voc has no folder with JPEGImages and SegmentationClass"):
        find_root(paths("JPEGImages/a.jpg", "masks/a.png"), WHERE)
    with pytest.raises(UserError, match=r"voc has 2 folders with JPEGImages and SegmentationClass"):
        find_root(paths(*both, *inside), WHERE)
