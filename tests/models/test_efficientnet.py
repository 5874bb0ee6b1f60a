from jaxcolor.models.efficientnet import STAGES, round_to_8, scaled_stages


def test_the_stages_of_the_lite_models() -> None:
    """As in efficientnet_lite_builder.py: the blocks of the first stage and the last are not scaled."""
    assert scaled_stages(1.0, 1.0) == STAGES
    lite1, lite2 = scaled_stages(1.0, 1.1), scaled_stages(1.1, 1.2)
    assert [stage.blocks for stage in lite1] == [stage.blocks for stage in lite2] == [1, 3, 3, 4, 4, 5, 1]
    assert [stage.features for stage in lite1] == [stage.features for stage in STAGES]
    assert [stage.features for stage in lite2] == [16, 24, 48, 88, 120, 208, 352]


def test_features_are_rounded_to_multiples_of_8() -> None:
    numbers = [1, 10, 11, 12, 17.6, 26.4]
    # 8 is 20 % less than 10, so it becomes 16.
    assert [round_to_8(number) for number in numbers] == [8, 16, 16, 16, 16, 24]
