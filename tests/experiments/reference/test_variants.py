import pytest

pytest.importorskip("torch")

from reference.variants import choose_variants

from jaxcolor.errors import UserError


def test_an_error_names_unknown_variants() -> None:
    with pytest.raises(UserError, match="no variant fast on this device: choose from eager, channels_last"):
        choose_variants(["eager", "fast"])
    assert [v.name for v in choose_variants(["channels_last"])] == ["channels_last"]
    assert len(choose_variants([])) >= 3
