import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxcolor.errors import UserError
from jaxcolor.training.devices import Devices

PROGRAM = Path(__file__).parents[1] / "device_losses.py"


@pytest.mark.slow
def test_losses_are_those_of_one_device() -> None:
    """Batches of 10 images, of which 4 and 8 devices get padding; BatchNorm, dropout, flips and shifts."""
    # At this level programs compile four times as fast.
    flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=1"
    path = os.pathsep.join(map(str, (PROGRAM.parents[1], PROGRAM.parent)))
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, PROGRAM], env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    for task, losses in json.loads(done.stdout).items():
        assert list(losses) == ["1", "2", "4", "8"], task
        for number in ("2", "4", "8"):
            np.testing.assert_allclose(losses[number], losses["1"], rtol=1e-6, err_msg=f"{task}, {number}")


def test_one_device_changes_nothing() -> None:
    devices, batch = Devices(1), {"inputs": np.zeros((3, 2))}
    assert devices.count == 1
    for place in (devices.copy, devices.divide, devices.keep_copied, devices.keep_divided):
        assert place(batch) is batch


def test_more_devices_than_there_are_is_an_error() -> None:
    found = jax.local_device_count()
    with pytest.raises(UserError, match=rf"--devices {found + 1} is too many: JAX finds {found} \(CPU\)"):
        Devices(found + 1)
