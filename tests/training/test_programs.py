import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.training.programs import Program
from jaxcolor.training.timing import Timing

SHAPE = {"x": jax.ShapeDtypeStruct((3,), np.float32)}


def test_a_program_that_was_compiled_ahead_is_not_compiled_again() -> None:
    traced: list[int] = []

    def double(values: dict[str, jax.Array]) -> jax.Array:
        traced.append(threading.get_ident())
        return 2 * values["x"]

    program = Program(double)
    program.compile_ahead(SHAPE)
    for _ in range(2):
        np.testing.assert_array_equal(program({"x": np.ones(3, np.float32)}), [2, 2, 2])
    assert len(traced) == 1
    assert traced[0] != threading.get_ident()


def test_other_shapes_are_compiled_when_they_come() -> None:
    program = Program(lambda values: 2 * values["x"])
    np.testing.assert_array_equal(program({"x": np.ones(1)}), [2])
    program.compile_ahead(SHAPE)
    np.testing.assert_array_equal(program({"x": np.ones(2, np.float32)}), [2, 2])
    np.testing.assert_array_equal(program({"x": np.ones(3, np.int32)}), [2, 2, 2])


def test_waiting_for_the_thread_counts_as_compiling() -> None:
    go_on = threading.Event()

    def double(values: dict[str, jax.Array]) -> jax.Array:
        go_on.wait()
        return 2 * values["x"]

    program = Program(double)
    with Timing("training") as timing:
        program.compile_ahead(SHAPE)
        threading.Timer(0.2, go_on.set).start()
        program({"x": np.ones(3, np.float32)})
        assert timing.seconds()["compiling"] > 0.1


def test_an_error_of_the_thread_is_raised_by_the_first_call() -> None:
    program = Program(lambda values: values["y"])
    program.compile_ahead(SHAPE)
    with pytest.raises(KeyError, match="y"):
        program({"x": np.ones(3, np.float32)})


def test_donated_arguments_are_used_up() -> None:
    program = Program(lambda x: x + 1, donate_argnums=0)
    program.compile_ahead(jax.ShapeDtypeStruct((3,), np.float32))
    x = jnp.zeros(3)
    np.testing.assert_array_equal(program(x), [1, 1, 1])
    assert x.is_deleted()
