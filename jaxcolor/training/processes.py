"""Several processes that train one run together, on one machine or on many, with `jax.distributed`.

All processes run the same program. Each reads its own share of every batch. The first one alone prints,
draws, and writes the run folder, which all of them can read; orbax saves from all.
"""

import contextlib
import json
import os
import sys
import threading
import traceback
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxcolor.errors import UserError, describe, reason
from jaxcolor.training.config import Place
from jaxcolor.training.memory import enough_memory
from jaxcolor.training.progress import Progress

Tree = TypeVar("Tree")

HEARTBEAT_SECONDS = 20  # without a sign of life, after which a process counts as ended
CONNECT_SECONDS = 60  # until all processes have started
# In the messages of JAX, gloo, NCCL and gRPC when another process does not answer.
LOST = ("gloo", "nccl", "unavailable", "deadline_exceeded", "coordination service")


@contextlib.contextmanager
def together(place: Place | None) -> Iterator[None]:
    """Connect this process with the others of its run, if there are any.

    Without a `place`, Slurm, Open MPI and TPU pods say where the others are. If this process fails, it ends
    at once, without waiting for the others, which then end, too.
    """
    if place is None and not is_launched(os.environ):
        yield
        return
    connect(place)
    if is_first():
        print(f"{jax.process_count()} processes with {jax.device_count()} devices", flush=True)
    else:
        Progress.hidden = True
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 the process keeps it to its end
    try:
        with enough_memory("lower the sizes"):
            yield
    except Exception as error:
        leave(last_words(error))


def last_words(error: Exception) -> str:
    """Return what a process that fails prints: one line if the user can do something, or the traceback."""
    if any(word in str(error).lower() for word in LOST):
        return f"error: process {jax.process_index()} has lost another one: start all again with --resume"
    if isinstance(error, UserError | OSError):
        return f"error: {describe(error)}"
    return "".join(traceback.format_exception(error))


def is_launched(environment: Mapping[str, str]) -> bool:
    """Return whether Slurm, Open MPI or a TPU pod has started several processes, of which this is one."""
    sizes = (environment.get("SLURM_STEP_NUM_TASKS", "1"), environment.get("OMPI_COMM_WORLD_SIZE", "1"))
    workers = environment.get("TPU_WORKER_HOSTNAMES", "")
    return "," in workers or any(size.isdecimal() and int(size) > 1 for size in sizes)


def connect(place: Place | None) -> None:
    """Connect this process with the others, or end it if they do not answer in time."""
    advice = (
        f"start all within {CONNECT_SECONDS} seconds, with the same --coordinator and --processes, and each "
        "with its own --process"
    )
    # When JAX itself gives up, it aborts the process with a stack trace.
    give_up = threading.Timer(CONNECT_SECONDS, leave, [f"error: the other processes do not answer: {advice}"])
    give_up.daemon = True
    give_up.start()
    # On CPUs JAX's own collectives are for one process.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            **place._asdict() if place else {},
            initialization_timeout=2 * CONNECT_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=CONNECT_SECONDS,
        )
        wait_for_all("start")
    except (RuntimeError, ValueError) as error:
        leave(f"error: cannot connect with the other processes ({reason(error)}): {advice}")
    give_up.cancel()


def leave(message: str) -> NoReturn:
    """End this process at once, with a last line. The others would wait for it otherwise."""
    print(message, file=sys.__stderr__, flush=True)
    os._exit(1)


def is_first() -> bool:
    """Return whether this is the process that prints, draws and writes."""
    return jax.process_index() == 0


def wait_for_all(point: str) -> None:
    """Wait until all processes have come to this point of the program, which has a name."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(point)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise `UserError` in all processes if one has other settings. Paths may differ from machine to machine.

    With another learning rate or seed they would train without an error, each a network of its own.
    """
    own = ("coordinator", "process")
    values = {name: value for name, value in settings.items() if name not in own}
    given = {name: isinstance(value, Path) or value for name, value in values.items()}
    if names := differing(given):
        options = ", ".join(f"--{name.replace('_', '-')}" for name in names)
        raise UserError(f"the processes were started with different {options}: give all the same options")


def differing(values: Mapping[str, Any]) -> list[str]:
    """Return the names of the values that are not the same in all processes. All call this together."""
    if jax.process_count() == 1:
        return []
    texts = [json.dumps(value, default=str, sort_keys=True) for value in values.values()]
    marks = np.array([zlib.crc32(text.encode()) for text in texts], np.uint32)
    everyone = np.asarray(multihost_utils.process_allgather(marks))  # [process, value]
    return [name for name, column in zip(values, everyone.T, strict=True) if len(set(column.tolist())) > 1]


def local(tree: Tree) -> Tree:
    """Return copies on this process's first device of arrays that all processes hold, or their shapes.

    A program that runs in one process alone needs them. With one process they stay where they are.
    """
    return tree if jax.process_count() == 1 else jax.tree.map(_local, tree)


def _local(leaf: Any) -> Any:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    return leaf.addressable_data(0) if isinstance(leaf, jax.Array) else leaf
