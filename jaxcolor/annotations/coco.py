"""COCO's files of instances: categories, images, and polygons or run lengths per object.

https://cocodataset.org/#format-data
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from jaxcolor.annotations.class_names import BACKGROUND, label_of
from jaxcolor.annotations.images import AnnotatedImage, ImageFile, find_image, place_of
from jaxcolor.annotations.json_files import get_list, get_text, get_whole, read_json, show
from jaxcolor.annotations.problems import Problems
from jaxcolor.annotations.run_lengths import Region, draw, import_pycocotools, read_runs
from jaxcolor.data.image_files import Size
from jaxcolor.data.label_maps import VOID
from jaxcolor.errors import UserError


class CocoFile:
    """The images of a COCO file.

    Label 0 is the background. The categories follow in the order of their ids. Problems with a part of the
    file are noted. Raises `UserError` for a file that is not COCO's.
    """

    def __init__(self, path: Path, folder: Path | None, problems: Problems):
        data = read_json(path)
        self.path = path
        self._folder = path.parent if folder is None else folder
        self._problems = problems
        self._unclear = 0
        import_pycocotools()  # before the images are read, if it is missing
        check_kind(data, path)
        self.categories = read_categories(get_list(data, "categories", str(path)), path, problems)
        self.classes, self._labels = number_classes(self.categories)
        self._images = self._by_id(get_list(data, "images", str(path)))
        if not self._images:
            raise UserError(f"{path} has no images: export it again")
        self._annotations = self._by_image(get_list(data, "annotations", str(path)))

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> AnnotatedImage:
        """Return an image with its mask. Raises `UserError` if the image cannot be used.

        Problems with annotations are noted.
        """
        key, entry = self._images[index]
        where = f"{self.path}: image {show(key)}"
        name = get_text(entry, "file_name", where)
        size = (get_whole(entry, "height", where), get_whole(entry, "width", where))
        path = find_image(name, [self._folder], where)
        image = ImageFile(path, str(path))
        image.check_size(size, where)
        self._unclear += image.is_unclear
        regions = []
        for annotation in self._annotations.get(key, ()):
            with self._problems.noting():
                regions.append(self._region(annotation, size))
        return image.annotate(draw(regions, size), place_of(name), where)

    def warnings(self) -> list[str]:
        """Return what the user may not expect of the images that were read."""
        line = f"{self.path}: images that EXIF turns, and that count as annotated upright: {self._unclear}"
        return [line] if self._unclear else []

    def _by_id(self, entries: Sequence[Any]) -> list[tuple[Hashable, dict[str, Any]]]:
        """Return the images and their ids."""
        found: dict[Hashable, dict[str, Any]] = {}
        for place, entry in enumerate(entries):
            with self._problems.noting():
                key = get_id(entry, "id", f"{self.path}: image number {place + 1}")
                if key in found:
                    raise UserError(f"{self.path} has two images with the id {show(key)}: remove one")
                found[key] = entry
        return list(found.items())

    def _by_image(self, entries: Sequence[Any]) -> dict[Hashable, list[dict[str, Any]]]:
        """Return the annotations of each image."""
        known = {key for key, _ in self._images}
        found: dict[Hashable, list[dict[str, Any]]] = defaultdict(list)
        for place, entry in enumerate(entries):
            with self._problems.noting():
                where = f"{self.path}: annotation number {place + 1}"
                get_id(entry, "id", where)
                key = get_id(entry, "image_id", where)
                if key not in known:
                    raise UserError(f"{where} is of image {show(key)}, which is not in the file: remove it")
                found[key].append(entry)
        return found

    def _region(self, annotation: dict[str, Any], size: Size) -> Region:
        where = f"{self.path}: annotation {show(annotation['id'])}"
        category = get_whole(annotation, "category_id", where)
        if category not in self._labels:
            raise UserError(f"{where} has the category {category}, which is not in the file: add it")
        runs = read_runs(annotation.get("segmentation"), size, where)
        return Region(runs, VOID if annotation.get("iscrowd") else self._labels[category])


def check_kind(data: dict[str, Any], path: Path) -> None:
    """Raise `UserError` for the files of labelme, and for COCO's that have no outlines of objects."""
    if "shapes" in data:
        raise UserError(f"{path} is a file of labelme: give its folder")
    annotations = data.get("annotations")
    first = annotations[0] if isinstance(annotations, list) and annotations else {}
    if isinstance(first, dict) and ("segments_info" in first or "caption" in first):
        raise UserError(f"{path} has no outlines of objects: give COCO's file of instances")


def read_categories(entries: Sequence[Any], path: Path, problems: Problems) -> dict[int, str]:
    """Return the names of the categories by their ids."""
    names: dict[int, str] = {}
    for place, entry in enumerate(entries):
        with problems.noting():
            where = f"{path}: category number {place + 1}"
            if not isinstance(entry, dict):
                raise UserError(f"{where} is {show(entry)}: export the file again")
            key, name = get_whole(entry, "id", where), get_text(entry, "name", where).strip()
            if key in names:
                raise UserError(f"{path} has two categories with the id {key}: give each an id of its own")
            is_known = name in names.values()
            names[key] = name
            if is_known:
                raise UserError(f"{path} has two categories with the name {show(name)}: rename one")
    return names


def number_classes(categories: dict[int, str]) -> tuple[tuple[str, ...], dict[int, int]]:
    """Return the names of the classes, and the label of each category id."""
    classes, labels = [BACKGROUND], {}
    for key, name in sorted(categories.items()):
        label = label_of(name)
        if label is None:
            label = len(classes)
            classes.append(name)
        labels[key] = label
    return tuple(classes), labels


def get_id(entry: Any, key: str, where: str) -> Hashable:
    """Return an id: a number or a text. Raises `UserError` with `where` if there is none."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, int | str):
        raise UserError(f"{where} has no {key}: export the file again")
    return value
