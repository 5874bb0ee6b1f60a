"""Pretrained weights of segmentation networks: what a file holds, and the place of each of its keys."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxcolor.data.download import file_hash
from jaxcolor.errors import UserError
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.heads import RATES
from jaxcolor.pretrained.keys import (
    COUNTER,
    TWICE,
    Problem,
    Table,
    conv,
    conv_norm,
    from_torch,
    list_keys,
)  # fmt: skip
from jaxcolor.pretrained.state_dict import find_prefixes
from jaxcolor.pretrained.weight_files import read_weights

# Of the classifiers of ImageNet in the files of EfficientNet-Lite and of ResNets. Not used here.
OF_IMAGENET = ("_conv_head.", "_bn1.", "_fc.", "fc.")
OF_BACKBONE = "backbone."  # in torchvision's segmentation networks; files of a classifier lack it
PARTS = ("backbone", "head", "classifier", "aux_head", "aux_classifier")
LAST_LAYERS = ("classifier", "aux_classifier")


@dataclass(frozen=True)
class Pretrained:
    """Variables of a network, and their description in config.json."""

    variables: dict[str, Any]
    facts: dict[str, Any]


class Named(NamedTuple):
    """Tensors of a file under the keys of the tables."""

    prefix: str  # of the file's keys
    keys: dict[str, str]  # a key in the file, which has the prefix → the key without it, as in the tables
    left_out: list[str]  # keys of an ImageNet classifier, or without the prefix


def load_pretrained(
    backbone: str, variables: Mapping[str, Any], file: Path | None = None, head: str = "deeplabv3"
) -> Pretrained:
    """Return `variables`, arrays or their shapes, with the weights of a file.

    The default file is the published one of the backbone. The file may also hold a classifier of ImageNet, or
    another head. A `head` that the file lacks stays as it is. So does a last layer with another number of
    classes. Raises `UserError` with all faults of the file.
    """
    file = file or BACKBONES[backbone].locate(head)
    found = read_weights(file)
    prefixes = _prefixes(found.arrays, backbone)
    if len(prefixes) > 1:
        raise UserError(
            f"{file} holds several networks: keys start with {' and '.join(map(repr, prefixes))}; save one "
            "network alone: torch.save(model.state_dict(), FILE)"
        )
    named = _name(found.arrays, backbone, prefixes[0] if prefixes else "")
    weights = {key: found.arrays[in_file] for in_file, key in named.keys.items()}
    head_in_file = _head_of(weights)
    parts, wanted_parts = tables(backbone, head_in_file), tables(backbone, head)
    problems = _problems(named, found.duplicates, backbone, parts)
    like = flatten_dict(dict(variables))
    facts: dict[str, Any] = {"file": file.name, "sha256": file_hash(file, "sha256")}
    origin = {"entry": "/".join(found.entry), "prefix": named.prefix, "left_out": named.left_out}
    facts |= {name: value for name, value in origin.items() if value} | {"backbone": "pretrained"}
    wanted = dict(parts["backbone"])
    for part in PARTS[1:]:
        table = parts[part]
        has_place = all(place.path in like for place in wanted_parts[part].values())
        present = [key for key in table if key in weights]
        fits = bool(present) and has_place
        if part == "head":
            fits = fits and head_in_file == head
        if part == "classifier":  # its input is the head's output
            fits = fits and facts["head"] == "pretrained"
        if fits and part in LAST_LAYERS:
            # The classes are the first axis in PyTorch's arrays, and the last in ours.
            fits = all(weights[key].shape[:1] == like[table[key].path].shape[-1:] for key in present)
        if fits:
            wanted |= table
        else:
            weights = {key: w for key, w in weights.items() if key not in table}
        if has_place or part == "head":
            facts[part] = "pretrained" if fits else "new"
    paths = {place.path for place in wanted.values()}
    try:
        converted = from_torch(
            weights,
            wanted,
            unflatten_dict({path: leaf for path, leaf in like.items() if path in paths}),
            problems,
            f"{file} does not fit {backbone}",
        )
    except UserError as error:
        raise UserError(f"{error}{_contents(found.arrays, backbone)}") from None
    return Pretrained(unflatten_dict(like | flatten_dict(converted)), facts)


def describe(facts: Mapping[str, Any]) -> str:
    """Return what the file of pretrained weights holds, and what is new, in a line."""
    entry = f" under {facts['entry']!r}" if "entry" in facts else ""
    prefix = f", without the prefix {facts['prefix']!r}" if "prefix" in facts else ""
    left_out = f"; left out: {list_keys(facts['left_out'])}" if "left_out" in facts else ""
    parts = ", ".join(f"{part.replace('_', ' ')}: {facts[part]}" for part in PARTS if part in facts)
    return f"{facts['file']}: the weights{entry}{prefix}{left_out}; {parts}"


def _spellings(backbone: str) -> dict[str, str]:
    """Return the keys of the backbone as files spell them, and as the tables do.

    A file of the backbone alone lacks "backbone.", and a DeepLabV3 on EfficientNet-Lite0 has it.
    """
    keys = tables(backbone)["backbone"]
    bare = {key.removeprefix(OF_BACKBONE): key for key in keys}
    return bare | {OF_BACKBONE + name: key for name, key in bare.items()}


def _prefixes(keys: Iterable[str], backbone: str) -> list[str]:
    """Return the prefixes under which the file has at least half of the backbone."""
    return find_prefixes(keys, _spellings(backbone), (len(tables(backbone)["backbone"]) + 1) // 2)


def _name(keys: Iterable[str], backbone: str, prefix: str) -> Named:
    """Return the names of a file's keys that have a prefix."""
    spellings = _spellings(backbone)
    named, left_out = {}, []
    for key in keys:
        name = key.removeprefix(prefix)
        if not key.startswith(prefix) or name.removeprefix(OF_BACKBONE).startswith(OF_IMAGENET):
            if not key.endswith(COUNTER):
                left_out.append(key)
        else:
            named[key] = spellings.get(name, name)
    return Named(prefix, named, left_out)


def _problems(
    named: Named, duplicates: Iterable[str], backbone: str, parts: Mapping[str, Table]
) -> list[Problem]:
    """Return the keys that are there twice, and those of the network that lack the prefix of the others."""
    counts = Counter(named.keys.values())
    twice = {*duplicates, *(key for key, count in counts.items() if count > 1)}
    known = {key for table in parts.values() for key in table} | set(_spellings(backbone))
    lack = (f"lacks the prefix {named.prefix!r}", f"lack the prefix {named.prefix!r}")
    return [Problem(key, *TWICE) for key in twice] + [
        Problem(key, *lack) for key in named.left_out if key in known and not key.startswith(named.prefix)
    ]


def _contents(keys: Iterable[str], backbone: str) -> str:
    """Return what a file that does not fit seems to hold, for the end of a message."""
    keys = [key for key in keys if not key.endswith(COUNTER)]
    others = []
    for other in BACKBONES:
        needed = set(tables(other)["backbone"])
        heads = {key for head in HEAD_KEYS for table in tables(other, head).values() for key in table}
        for prefix in _prefixes(keys, other):
            names = set(_name(keys, other, prefix).keys.values())
            if needed <= names <= heads:
                others.append(other)
    if others:
        name = " or ".join(others)
        return f"; it holds {name}: choose --backbone {name}" if backbone not in others else ""
    if _prefixes(keys, backbone):
        return ""
    parts = [key.split(".") for key in keys]
    length = 1
    while len({tuple(part[:length]) for part in parts}) == 1 < len(parts):
        length += 1  # up to the first part that tells the keys apart
    starts = Counter(".".join(part[:length]) for part in parts)
    groups = [f"{name!r} ({count})" for name, count in starts.most_common(4)]
    more = [f"{len(starts) - 4} other names"] if len(starts) > 4 else []
    return f"; its {len(keys)} keys start with {', '.join([*groups, *more])}"


def tables(backbone: str, head: str = "deeplabv3") -> dict[str, Table]:
    """Return the table of keys of each part of a network. A head that no file has gets those of DeepLabV3."""
    return {
        "backbone": BACKBONES[backbone].build(32, jnp.float32).keys(),
        "head": HEAD_KEYS.get(head, _deeplabv3)(),
        "classifier": _lraspp_classifier() if head == "lraspp" else _classifier(),
        "aux_head": conv_norm("aux_classifier.0", "aux_classifier.1", ("aux_head", "conv")),
        "aux_classifier": conv("aux_classifier.4", ("aux_head", "classifier"), bias=True),
    }


def _head_of(keys: Collection[str]) -> str:
    """Return the head of which a file has the most keys."""
    return max(HEAD_KEYS, key=lambda head: sum(key in keys for key in HEAD_KEYS[head]()))


def _deeplabv3() -> Table:
    """Return the keys of torchvision's DeepLabHead without its last layer."""
    aspp = ("head", "aspp")
    atrous = [f"atrous{i}" for i in range(1, len(RATES) + 1)]
    table: Table = {}
    for i, name in enumerate(("conv1x1", *atrous)):
        table |= conv_norm(f"classifier.0.convs.{i}.0", f"classifier.0.convs.{i}.1", (*aspp, name))
    pooling = f"classifier.0.convs.{len(atrous) + 1}"
    table |= conv_norm(f"{pooling}.1", f"{pooling}.2", (*aspp, "image_pooling"))
    table |= conv_norm("classifier.0.project.0", "classifier.0.project.1", (*aspp, "project"))
    return table | conv_norm("classifier.1", "classifier.2", ("head", "conv"))


def _fcn() -> Table:
    """Return the keys of torchvision's FCNHead without its last layer."""
    return conv_norm("classifier.0", "classifier.1", ("head", "conv"))


def _lraspp() -> Table:
    """Return the keys of torchvision's LRASPPHead without its last layer."""
    table = conv_norm("classifier.cbr.0", "classifier.cbr.1", ("head", "conv"))
    return table | conv("classifier.scale.1", ("head", "scale"))


def _classifier() -> Table:
    """Return the keys of the last layer of torchvision's DeepLabHead and FCNHead."""
    return conv("classifier.4", ("head", "classifier"), bias=True)


def _lraspp_classifier() -> Table:
    """Return the keys of the last layer of torchvision's LRASPPHead."""
    low = conv("classifier.low_classifier", ("head", "classifier", "low"), bias=True)
    return low | conv("classifier.high_classifier", ("head", "classifier", "high"), bias=True)


# The heads that files may have.
HEAD_KEYS = {"deeplabv3": _deeplabv3, "fcn": _fcn, "lraspp": _lraspp}
