import pytest
from page.config import DemoConfig

from jaxcolor.errors import UserError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": -1}, "--port must be 0 to 65535, not -1"),
        ({"port": 65536}, "--port must be 0 to 65535, not 65536"),
        ({"max_megapixels": 0.0}, "--max-megapixels must be above 0 and at most 250, not 0.0"),
        ({"max_megapixels": 251.0}, "--max-megapixels must be above 0 and at most 250, not 251.0"),
    ],
)
def test_settings_outside_of_their_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DemoConfig(**settings)  # type: ignore[arg-type]


def test_the_largest_file_holds_the_largest_image_with_16_bits_and_alpha() -> None:
    config = DemoConfig(max_megapixels=0.5)
    assert config.most_pixels == 500_000
    assert config.most_bytes == 500_000 * 4 * 2
