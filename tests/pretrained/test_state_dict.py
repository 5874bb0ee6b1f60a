from jaxcolor.pretrained.state_dict import find_prefixes, find_state_dicts

WEIGHTS = {"a": 1.0, "b": 2.0}  # here a float counts as a tensor
SPELLINGS = {"stem.weight": "stem.weight", "last.weight": "last.weight"}


def test_weights_are_at_the_top_or_under_usual_entries() -> None:
    assert find_state_dicts(WEIGHTS, float) == [((), WEIGHTS)]
    for name in ("model", "state_dict", "model_state", "model_state_dict", "module", "net"):
        found = find_state_dicts({"epoch": 3, name: WEIGHTS, "best": 0.5, "optimizer": {"state": {}}}, float)
        assert found == [((name,), WEIGHTS)]
    assert find_state_dicts({"module": {"state_dict": WEIGHTS}}, float) == [
        (("module", "state_dict"), WEIGHTS)
    ]
    assert find_state_dicts({"model": "resnet50", "net": WEIGHTS}, float) == [(("net",), WEIGHTS)]


def test_other_entries_are_no_weights() -> None:
    for value in (
        {"optimizer": {"state": {0: WEIGHTS}}},
        {"list": [WEIGHTS]},
        [WEIGHTS],
        {"model": [1.0]},
        {"model": {"x": 3}},
        {},
        1.0,
    ):
        assert find_state_dicts(value, float) == []


def test_weights_may_be_under_any_entry() -> None:
    for name in ("weights", "params", "network", "ema", "teacher"):
        found = [((name,), WEIGHTS)]
        assert find_state_dicts({"epoch": 3, name: WEIGHTS, "best": 0.5}, float) == found
        assert find_state_dicts({name: WEIGHTS, "net": "unet"}, float) == found
    assert find_state_dicts({"a": {"b": WEIGHTS}}, float) == [(("a", "b"), WEIGHTS)]
    assert find_state_dicts({"a": {"b": {"c": WEIGHTS}}}, float) == []
    # An entry with a usual name comes first, and one that is smaller than what is around it does not count.
    assert find_state_dicts({"ema": WEIGHTS, "model": WEIGHTS}, float) == [(("model",), WEIGHTS)]
    flat = {**WEIGHTS, "extra": {"c": 1.0}}
    assert find_state_dicts(flat, float) == [((), flat)]


def test_every_network_of_a_file_is_found() -> None:
    found = find_state_dicts({"net": WEIGHTS, "model": {"a": 3.0}}, float)
    assert found == [(("model",), {"a": 3.0}), (("net",), WEIGHTS)]
    found = find_state_dicts({"params": WEIGHTS, "params_ema": WEIGHTS}, float)
    assert found == [(("params",), WEIGHTS), (("params_ema",), WEIGHTS)]


def test_entries_inside_each_other_cannot_take_forever() -> None:
    endless: dict = {"a": 1.0}
    for name in ("model", "state_dict", "net"):
        endless[name] = endless
    found = find_state_dicts(endless, float)
    assert len(found) == 3**4
    assert {len(entry) for entry, _ in found} == {4}


def test_the_prefix_is_what_known_keys_start_with() -> None:
    keys = [f"module._orig_mod.{key}" for key in SPELLINGS]
    assert find_prefixes([*keys, "criterion.weight", "epoch"], SPELLINGS, 2) == ["module._orig_mod."]
    assert find_prefixes(list(SPELLINGS), SPELLINGS, 2) == [""]
    assert find_prefixes([*keys, *SPELLINGS], SPELLINGS, 2) == ["", "module._orig_mod."]
    assert find_prefixes(["net.stem.weight", "last.weight"], SPELLINGS, 2) == []
    assert find_prefixes(["net.stem.weight", "last.weight"], SPELLINGS, 1) == ["", "net."]


def test_the_longest_known_name_counts() -> None:
    spellings = {"conv.weight": "backbone.conv.weight", "backbone.conv.weight": "backbone.conv.weight"}
    assert find_prefixes(["backbone.conv.weight"], spellings, 1) == [""]
    assert find_prefixes(["model.backbone.conv.weight"], spellings, 1) == ["model."]
    assert find_prefixes(["model.conv.weight"], spellings, 1) == ["model."]
