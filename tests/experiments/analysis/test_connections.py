from pathlib import Path

import pytest
from analysis import connections
from analysis.config import AnalyzeConfig
from analysis.connections import formula, stage_name, stages
from analysis.tracing import trace


def test_stages_of_a_resnet() -> None:
    found = stages(trace("resnet50", 64))
    assert {stage_name(stage): len(stage) for stage in found} == {
        "stem": 1,
        "layer1_0–layer1_2": 10,
        "layer2_0–layer2_3": 13,
        "layer3_0–layer3_5": 19,
        "layer4_0–layer4_2": 10,
        "aspp": 6,
        "conv": 1,
        "classifier": 1,
    }
    assert {(layer.rows, layer.columns) for layer in found[4]} == {(8, 8)}  # the output stride is 8


def test_stages_of_the_efficientnet_are_those_of_its_paper() -> None:
    blocks = [stage_name(stage) for stage in stages(trace("efficientnet-lite0", 64))[1:-3]]
    assert blocks == [
        "block0",
        "block1–block2",
        "block3–block4",
        "block5–block7",
        "block8–block10",
        "block11–block14",
        "block15",
    ]


def test_formulas_beside_the_published_ones() -> None:
    """At 64×64 the published one has more connections than its own table: 5120 − 3584 = 1536."""
    assert formula("cnn", "connections", 64) == {
        "quantity": "connections",
        "size": 64,
        "traced": "k²(4096NC² + 1024NC·NF + 3584NF² + 4096NF·NIC)",
        "published": "k²(4096NC² + 1024NC·NF + 5120NF² + 4096NF)",
        "difference": "−1536k²·NF²",
    }
    assert formula("cnn", "weights", 64) == {
        "quantity": "weights",
        "size": 64,
        "traced": "k²(NC² + NC·NF + 8NF² + NF·NIC) + 4NC + 18NF",
        "published": "k²(NC² + NC·NF + 8NF² + NF) + 4NC + 18NF",
        "difference": "0",
    }
    outputs = formula("cnn", "outputs", 64)
    assert (outputs["traced"], outputs["published"]) == ("8192NC + 3072NF", None)


def test_formulas_of_the_conv_transpose_net() -> None:
    """Positions at 32×32: 256 and 64 of the outputs, 64 and 256 of the inputs, 1024."""
    found = {name: formula("conv-transpose", name, 32) for name in ("connections", "weights")}
    assert found["connections"]["traced"] == "k²(1024NC² + 256NC·NF + 256NF² + 256NF·NIC)"
    assert found["weights"]["traced"] == "k²(NC² + NC·NF + 4NF² + NF·NIC) + 4NC + 12NF"
    assert found["connections"]["published"] is None


def test_the_report_has_a_row_a_layer_and_columns_for_each_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formula = {"size": 8, "traced": "a", "published": "b", "difference": "c"}
    monkeypatch.setattr(
        connections, "formula", lambda network, quantity, size: formula | {"quantity": quantity}
    )
    results = connections.measure(AnalyzeConfig(image_size=(8, 32)))
    text = connections.render(results, tmp_path)
    lines = text.splitlines()
    cnn = lines[lines.index("### CNN") + 2 :]
    assert cnn[0].startswith("|  | kernel | channels | positions | weights | outputs, 8×8")
    assert cnn[2].startswith("| layer1 | 3×3 | 1 → 32 | 8×8, 32×32 | 384 | 512 | 8,192 | 18,432 | 294,912 |")
    assert cnn[8].startswith("| total |  |  |  | 86,784 |")
    assert "| weights, 8×8 and 8×8 | a | b | c |" in lines  # one row for equal formulas
    assert "21 classes; features of 1×1 for 8×8, 4×4 for 32×32." in lines
    assert sum(line.startswith("| classifier | 1 | 5,397 |") for line in lines) == 3
