"""The parity certificate: from the same weights and batches, how far jaxcolor's numbers are from PyTorch's.

Both programs compute in float32, and a third, PyTorch in float64, says how far each is from the truth.
Differences are shares of the quantity's largest value. Three things differ by more than rounding:

- Biases right before a BatchNorm have no gradient, since the mean takes them away again. What rounding
  leaves of it Adam turns into steps of full size, so that PyTorch's biases wander, and with them the
  running means. Those biases are listed apart, and running means are compared after taking away what the
  biases put into them.
- Where two pixels of a square tie but for rounding, max-pooling sends the whole gradient one way or the
  other, and a ReLU lets it pass or not where its input is zero but for rounding. A few pixels do so in any
  batch, and they make up most of the differences of gradients.
- Adam divides by the gradient's size: in the first steps a small gradient moves a weight as far as a large
  one, and one that is nothing but rounding moves it anywhere. That is how weights drift apart in 50 steps,
  two float32 programs from each other as each of them from float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
import optax
import torch
from jaxtyping import UInt8

from jaxcolor.benchmark.programs import Arrays, Inputs, JaxProgram, Labels, Program, TorchProgram
from jaxcolor.colorization.config import DILATION, ColorizeConfig
from jaxcolor.colorization.dataset import make_arrays
from jaxcolor.colorization.job import build_model
from jaxcolor.colorization.palette import Palette
from jaxcolor.reference import colorization as reference
from jaxcolor.reference.variants import choose_device
from jaxcolor.reference.weights import BLOCKS
from jaxcolor.training.state import initialize

Network = Literal["cnn", "unet", "dunet", "super-resolution"]
NETWORKS: tuple[Network, ...] = get_args(Network)
LEARNING_RATE = 1e-3
STEPS = 50
MOMENTUM = 0.9  # of the running averages

Record = dict[str, Arrays]  # what a program came to: the arrays of each quantity


@dataclass(frozen=True)
class Difference:
    """How far three programs are apart in one quantity, as shares of its largest value."""

    quantity: str
    between: float  # jaxcolor and PyTorch, both in float32
    ours: float  # jaxcolor and PyTorch in float64
    theirs: float  # PyTorch in float32 and in float64


def certify(
    network: Network,
    pictures: UInt8[np.ndarray, "n height width 3"],
    palette: Palette,
    batch_size: int = 20,
    filters: int = 32,
    steps: int = STEPS,
) -> list[Difference]:
    """A network's differences: in its first step, after some steps of Adam, and in evaluation, which has
    the weights of PyTorch after those steps."""
    arrays = make_arrays(pictures, palette, downsize_input=network == "super-resolution")
    inputs, labels = np.asarray(arrays["inputs"]), np.asarray(arrays["labels"])
    order = np.arange(steps * batch_size) % (len(pictures) // batch_size * batch_size)
    batches = [(inputs[i], labels[i]) for i in order.reshape(steps, batch_size)]

    ours, float32, float64 = programs = make_programs(network, inputs[:1], filters, len(palette))
    records = [train(program, batches) for program in programs]
    weights = float32.model.state_dict()
    ours.load(weights)
    float64.load(weights)
    for program, record in zip(programs, records, strict=True):
        record |= evaluate(program, *batches[-1])
    return compare(*records)


def make_programs(
    network: Network, example: Inputs, filters: int, colors: int
) -> tuple[JaxProgram, TorchProgram, TorchProgram]:
    """jaxcolor, PyTorch in float32 and PyTorch in float64, with the same weights."""
    torch.manual_seed(0)
    device = choose_device()
    channels = example.shape[-1]
    if network == "cnn":
        model: torch.nn.Module = reference.CNN(filters, colors)
    else:
        dilation = DILATION if network == "dunet" else 1
        model = reference.UNet(filters, colors, in_channels=channels, dilation=dilation)
    config = ColorizeConfig(
        model="unet" if network == "super-resolution" else network, filters=filters, colors=colors
    )
    module = build_model(config)
    fresh = initialize(module, jnp.asarray(example), optax.identity(), seed=0)
    ours = JaxProgram(module, fresh.variables, LEARNING_RATE)
    ours.load(model.state_dict())
    return (
        ours,
        TorchProgram(model, torch.float32, LEARNING_RATE, device),
        TorchProgram(model, torch.float64, LEARNING_RATE, device),
    )


def train(program: Program, batches: Sequence[tuple[Inputs, Labels]]) -> Record:
    """The outputs, loss, gradients and statistics of the first step, and the weights after all."""
    record: Record = {}
    for layer, output in program.outputs(batches[0][0], train=True).items():
        record[f"output of {layer}, training"] = {layer: output}
    from_biases = {layer: np.zeros(()) for layer in BLOCKS}  # what they put into the running means
    for step, batch in enumerate(batches, start=1):
        for layer, bias in biases(program.weights()).items():
            from_biases[layer] = MOMENTUM * from_biases[layer] + (1 - MOMENTUM) * bias
        loss = program.step(*batch)
        if step == 1:
            record["loss, training"] = {"loss": np.asarray(loss)}
            record |= of_gradients(program.gradients())
            record |= of_statistics(program.weights(), from_biases, "step 1")
    record |= of_parameters(program.weights(), f"step {step}")
    record |= of_statistics(program.weights(), from_biases, f"step {step}")
    return record


def evaluate(program: Program, inputs: Inputs, labels: Labels) -> Record:
    """The outputs and the loss with running statistics."""
    outputs = program.outputs(inputs, train=False).items()
    record = {f"output of {layer}, evaluation": {layer: output} for layer, output in outputs}
    return record | {"loss, evaluation": {"loss": np.asarray(program.evaluate(inputs, labels))}}


def biases(parameters: Arrays) -> Arrays:
    """Those that a BatchNorm takes away again, by layer."""
    return {layer: parameters[f"{layer}/conv/bias"] for layer in BLOCKS}


def of_gradients(gradients: Arrays) -> Record:
    """Of each layer's parameters; those of biases before a BatchNorm, which are 0, as shares of the largest
    gradient of the kernel beside them."""
    record: Record = {f"gradients of layer{i}": {} for i in range(1, 7)}
    kernels = {layer: np.abs(gradients[f"{layer}/conv/kernel"]).max() for layer in BLOCKS}
    for path, gradient in gradients.items():
        layer = path.split("/")[0]
        if not path.endswith("conv/bias"):
            record[f"gradients of {layer}"][path] = gradient
    shares = {layer: bias / kernels[layer] for layer, bias in biases(gradients).items()}
    return record | {"gradients of biases before BatchNorm": shares}


def of_parameters(weights: Arrays, when: str) -> Record:
    parameters = {k: v for k, v in weights.items() if not k.endswith(("conv/bias", "/mean", "/variance"))}
    return {
        f"parameters, {when}": parameters,
        f"biases before BatchNorm, {when}": biases(weights),
    }


def of_statistics(weights: Arrays, from_biases: Arrays, when: str) -> Record:
    means = {layer: weights[f"{layer}/norm/mean"] - from_biases[layer] for layer in BLOCKS}
    return {
        f"running means less biases, {when}": means,
        f"running variances, {when}": {layer: weights[f"{layer}/norm/variance"] for layer in BLOCKS},
    }


def compare(ours: Record, float32: Record, float64: Record) -> list[Difference]:
    """The largest difference in each quantity, over its arrays, each in its own scale."""
    if not ours.keys() == float32.keys() == float64.keys():
        raise ValueError(f"different quantities: {ours.keys() ^ float32.keys() | ours.keys() ^ float64.keys()}")

    def apart(quantity: str, one: Record, other: Record) -> float:
        return max(
            float(np.abs(np.float64(one[quantity][name]) - other[quantity][name]).max())
            / scale_of(quantity, values)
            for name, values in float64[quantity].items()
        )

    return [
        Difference(q, apart(q, ours, float32), apart(q, ours, float64), apart(q, float32, float64))
        for q in ours
    ]


def scale_of(quantity: str, values: np.ndarray) -> float:
    """What a difference is a share of."""
    return 1.0 if quantity.startswith("gradients of biases before") else float(np.abs(values).max())
