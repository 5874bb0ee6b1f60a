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
        '\'a\'\n"b.JPG" 1\nScreenshot 7 a 1\n"e.v2"\n',
        "my data/JPEGImages/a.jpg\nb.JPG, b.png, 1\nScreenshot 7 a.jpeg,Screenshot 7 a.png\ne.v2\n",
    ],
)
def test_a_list_names_images_in_many_ways(text: str) -> None:
    assert layout(FILES, train=text).names("train") == ["a", "b", "Screenshot 7 a", "e.v2"]


def test_bad_lists_are_one_line() -> None:
    with pytest.raises(UserError, match=r"voc/ImageSets/Segmentation/val.txt does not exist: .*--split 0.2"):
        layout(FILES, train="a").names("val")
    with pytest.raises(UserError, match=r"train.txt names no image: write one name per line"):
        layout(FILES, train="# nothing\n\n").names("train")
    for line in ("a,b", "a b"):
        with pytest.raises(
            UserError, match=f"the line '{line}' names the images a and b: write one per line"
        ):
            layout(FILES, train=line).names("train")
    with pytest.raises(UserError, match=r"names a twice, 'a' and 'a.jpg': remove one line"):
        layout(FILES, train="a\nb\na.jpg\n").names("train")
    with pytest.raises(
        UserError, match=r"JPEGImages has no image Screenshot_7 a and 1 others; did you mean S"
    ):
        layout(FILES, train="a\nScreenshot_7 a\nzzz\n").names("train")
    with pytest.raises(UserError, match=r"JPEGImages has no image Screenshot 8 a$"):
        layout(FILES, train="Screenshot 8 a\n").names("train")
    with pytest.raises(UserError, match=r"JPEGImages has no image a.x$"):
        layout(FILES, train="a.x\n").names("train")
    with pytest.raises(UserError, match=r"JPEGImages has no image JPEGImages/q.jpg SegmentationClass/b.png"):
        layout(FILES, train="JPEGImages/q.jpg SegmentationClass/b.png\n").names("train")
    line = "JPEGImages/a.jpg SegmentationClass/b.png"
    with pytest.raises(UserError, match=f"'{line}' names the image a and the mask SegmentationClass/b.png"):
        layout(FILES, train=line).names("train")
    nested = layout([*FILES, "JPEGImages/sub/q.jpg"], train="sub/q.jpg")
    with pytest.raises(UserError, match=r"has no image sub/q.jpg \(files in folders below, such as .*move"):
        nested.names("train")


def test_trainval_is_its_list_or_both_others() -> None:
    assert layout(FILES, train="a", val="b", trainval="c\nb").names("trainval") == ["c", "b"]
    assert layout(FILES, train="a\nc", val="b\na").names("trainval") == ["a", "c", "b"]
    with pytest.raises(UserError, match=r"trainval.txt does not exist"):
        layout(FILES, train="a").names("trainval")


def test_composed_and_decomposed_letters_are_the_same() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    files = layout([f"JPEGImages/{decomposed}.jpg", f"SegmentationClass/{composed}.png"], train=composed)
    assert files.names("train") == [composed]
    assert files.pair(decomposed) == (f"JPEGImages/{decomposed}.jpg", f"SegmentationClass/{composed}.png")


def test_names_that_are_no_unicode_are_refused() -> None:
    names = [f"{folder}/caf\udce9" for folder in ("JPEGImages", "SegmentationClass")]
    with pytest.raises(UserError, match=r"the name of the file 'caf\\udce9' in JPEGImages is not in UTF-8"):
        layout([f"{name}.png" for name in names]).pair("caf\udce9")


@pytest.mark.parametrize(("before", "after"), [("", "_mask"), ("gt_", ""), ("m-", ".label")])
def test_all_masks_may_have_the_same_affix(
    before: str, after: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"JPEGImages/{name}.jpg" for name in ("a", "img1", "img2")]
    names += [f"SegmentationClass/{before}{name}{after}.png" for name in ("img1", "img2", "q")]
    files = layout(names, train=f"img1.jpg {before}img1{after}.png")
    assert files.names("train") == ["img1"]
    assert files.pair("img2") == (names[2], names[4])
    assert layout(names).all_names() == ["img1", "img2"]
    assert capsys.readouterr().err.splitlines() == [
        "warning: voc: 1 image has no mask, a among them: left out",
        "warning: voc: 1 mask has no image, q among them: left out",
    ]
    with pytest.raises(UserError, match=r"SegmentationClass has no mask a$"):
        files.pair("a")


def test_pairs_have_any_suffix() -> None:
    files = layout(FILES)
    assert files.pair("b") == ("JPEGImages/b.JPG", "SegmentationClass/b.png")
    assert files.pair("c") == ("JPEGImages/c.png", "SegmentationClass/c.PNG")
    assert ".hidden" not in files.images
    assert "Thumbs" not in files.images
    with pytest.raises(UserError, match=r"voc/SegmentationClass has no mask Street; did you mean street"):
        layout(["JPEGImages/Street.jpg", "SegmentationClass/street.png", "SegmentationClass/a.png"]).pair(
            "Street"
        )
    with pytest.raises(UserError, match=r"voc/JPEGImages has 2 files named x: keep one of them"):
        layout(["JPEGImages/x.jpg", "JPEGImages/x.png", "SegmentationClass/x.png"]).pair("x")


def test_all_names_are_those_of_the_largest_list_or_of_all_masks() -> None:
    assert layout(FILES, train="c", trainval="c\na").all_names() == ["c", "a"]
    assert layout(FILES, train="c\nb").all_names() == ["c", "b"]
    assert layout(FILES).all_names() == ["Screenshot 7 a", "a", "b", "c", "e.v2"]
    with pytest.raises(UserError, match=r"voc has 1 images with masks: at least 2 are needed$"):
        layout(FILES[:1] + FILES[7:8]).all_names()
    with pytest.raises(UserError, match=r"has 1 images with masks: .*; 1 image has no mask, b among them"):
        layout(FILES[:2] + FILES[7:8]).all_names()


def test_a_split_follows_from_its_seed() -> None:
    names = [f"image{i}" for i in range(20)]
    train, validation = split_names(names, 0.2, seed=0)
    assert len(validation) == 4
    assert sorted(train + validation) == sorted(names)
    assert [name for name in names if name in train] == train
    assert split_names(names, 0.2, seed=0) == (train, validation)
    assert split_names(names, 0.2, seed=1) != (train, validation)
    with pytest.raises(UserError, match="--split needs at least 2 images, but there is 1"):
        split_names(["a"], 0.2, 0)
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
    for names, reason in (
        (["JPEGImages/a.jpg", "masks/a.png"], "SegmentationClass is missing or empty"),
        (["SegmentationClass/a.png"], "JPEGImages is missing or empty"),
        (["a.png"], "JPEGImages and SegmentationClass are missing or empty"),
        (["x/jpegimages/a.jpg", "x/SegmentationClass/a.png"], "rename jpegimages to JPEGImages"),
        (["x/JPEGImages/a.jpg", "SegmentationClass/a.png"], "both must lie in the same folder"),
    ):
        with pytest.raises(
            UserError, match=f"^voc has no folder with JPEGImages and SegmentationClass: {reason}$"
        ):
            find_root(paths(*names), WHERE)
    assert find_root(paths("x/JPEGImages/sub/a.jpg", both[1], f"x/{both[1]}"), WHERE) == PurePosixPath("x")
    with pytest.raises(UserError, match=r"voc has 2 folders with JPEGImages and SegmentationClass"):
        find_root(paths(*both, *inside), WHERE)
