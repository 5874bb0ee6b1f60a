import pytest

pytest.importorskip("torch")

from benchmarks.profile import INSTRUCTION, part_of, summarize_events

HLO = """
ENTRY %main {
  %fusion.1 = f32[2]{0} fusion(%a), calls=%c, metadata={op_name="jit(train_step)/jvp(UNet)/layer1/conv/conv_general_dilated" stack_frame_id=2}
  ynn_fusion.2 = f32[2] fusion(%b), metadata={op_name="jit(train_step)/transpose(jvp(UNet))/layer5/norm/mul"}
  ROOT %tuple = (f32[2]) tuple(%fusion.1)
}
"""  # noqa: E501


def test_instructions_are_found_with_their_sources() -> None:
    assert dict(INSTRUCTION.findall(HLO)) == {
        "fusion.1": "jit(train_step)/jvp(UNet)/layer1/conv/conv_general_dilated",
        "ynn_fusion.2": "jit(train_step)/transpose(jvp(UNet))/layer5/norm/mul",
    }


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("jit(train_step)/jvp(UNet)/layer1/conv/conv_general_dilated", "layer1 convolution, forward"),
        ("jit(train_step)/transpose(jvp(UNet))/layer5/norm/mul", "layer5 normalization, backward"),
        ("jit(train_step)/transpose(jvp(UNet))/layer6/dot_general", "layer6 convolution, backward"),
        ("jit(train_step)/jvp(UNet)/layer2/max", "layer2 pooling, ReLU, forward"),
        ("jit(train_step)/jvp()/reduce_sum", "loss, forward"),
        ("jit(train_step)/sqrt", "optimizer and the rest"),
    ],
)
def test_the_source_gives_the_part_of_the_step(source: str, part: str) -> None:
    assert part_of(source) == part


def test_instructions_of_onednn_are_convolutions() -> None:
    sources = {"custom-call.2.clone": "jvp(UNet)/layer2/jit(conv2d)/x", "custom-call": "jvp(UNet)/layer2/max"}
    events = [("custom-call.2.clone__onednn$convolution", 3.0), ("custom-call", 1.0)]
    parts = {"layer2 convolution, forward": 3.0, "layer2 pooling, ReLU, forward": 1.0}
    assert summarize_events(events, sources) == parts


def test_times_are_summed_by_part_without_containers_and_unknown_instructions() -> None:
    sources = {"a": "jvp(UNet)/layer1/conv/x", "b": "jvp(UNet)/layer1/conv/y", "c": "z", "while.1": "z"}
    events = [("c", 9.0), ("a", 1.0), ("b", 2.0), ("a", 3.0), ("unknown", 50.0), ("while.1", 70.0)]
    parts = summarize_events(events, sources)
    assert list(parts.items()) == [("optimizer and the rest", 9.0), ("layer1 convolution, forward", 6.0)]
