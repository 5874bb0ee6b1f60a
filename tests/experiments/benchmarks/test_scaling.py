import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.config import ScalingBenchmark
from benchmarks.scaling import Collectives, Link, all_reduce_seconds, array_bytes, count_collectives

from jaxcolor.errors import UserError

SCRIPT = Path(__file__).parents[3] / "experiments" / "benchmark.py"
PROGRAM = """\
  %add = f32[8,4]{1,0} add(%a, %b)
  %all-reduce.1 = f32[64]{0} all-reduce(%add), replica_groups={{0,1}}
  %all-reduce.2 = (f32[3,4]{1,0}, bf16[10]{0}) all-reduce(%x, %y), channel_id=2
  %gte = f32[3,4]{1,0} get-tuple-element(%all-reduce.2), index=0
  %start = f32[] all-gather-start(%z), dimensions={0}
"""


def test_collectives_are_counted_with_their_bytes() -> None:
    assert count_collectives(PROGRAM) == Collectives(3, 64 * 4 + 12 * 4 + 10 * 2 + 4)
    assert count_collectives("%add = f32[8,4]{1,0} add(%a, %b)") == Collectives(0, 0)


@pytest.mark.parametrize(
    ("shapes", "size"), [("f32[]", 4), ("f32[2,3]{1,0}", 24), ("(s8[5]{0}, u32[2]{0})", 13), ("f32[0]", 0)]
)
def test_sizes_of_arrays(shapes: str, size: int) -> None:
    assert array_bytes(shapes) == size


def test_a_ring_sends_almost_twice_the_bytes() -> None:
    link = Link("two", 2, bandwidth=100.0, latency=0.5)
    # Two devices: each sends half of the bytes twice, in two messages.
    assert all_reduce_seconds(Collectives(1, 1000), link) == 1000 / 100 + 2 * 0.5
    many = Link("many", 1000, bandwidth=100.0, latency=0.0)
    assert all_reduce_seconds(Collectives(3, 1000), many) == pytest.approx(2 * 1000 / 100, rel=1e-2)


def test_the_batch_divides_by_the_devices() -> None:
    with pytest.raises(UserError, match="--batch-size 10 must divide by all of --devices"):
        ScalingBenchmark(batch_size=10, devices=(1, 4))


@pytest.mark.slow
def test_gradients_are_added_up_in_one_group(tmp_path: Path) -> None:
    options = ("--devices", 1, 2, "--batch-size", 4, "--steps", 1, "--rounds", 5)
    command = [sys.executable, SCRIPT, "scaling", *options, "--json", tmp_path / "results.json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, two = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert (one["number"], one["bytes"]) == (0, 0)
    # BatchNorm needs the mean and the variance of the whole batch, and one group of sums for their gradients.
    # The UNet has five such layers.
    assert two["number"] == 1 + 3 * 5
    assert 112_344 * 4 < two["bytes"] < 1.2e6
    assert two["relative_to_half"] == pytest.approx(two["images_per_second"] / one["images_per_second"], 1e-2)
