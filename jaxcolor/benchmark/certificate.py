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
  one, and one that is nothing but rounding moves it anywhere. So weights drift apart in 50 steps, two
  float32 programs from each other as each of them from float64. With the ε of Adam's denominator at 0.01
  small gradients stay small steps: those 50 steps differ by little more than rounding, as long as no pixel
  ties on the way.
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
from jaxcolor.reference.weights import BLOCKS
from jaxcolor.training.state import initialize

Network = Literal["cnn", "unet", "dunet", "super-resolution"]
NETWORKS: tuple[Network, ...] = get_args(Network)
LEARNING_RATE = 1e-3
EPSILON, CALM_EPSILON = 1e-8, 1e-2  # of Adam: the usual one, and one that rounding does not get past
STEPS = 50
MOMENTUM = 0.9  # of the running averages

# What the difference of jaxcolor and PyTorch may be, by the start of a quantity's name. Where it has no
# limit, chaos decides, and ours may be AS_FAR times as far from float64 as PyTorch's, or NEGLIGIBLE.
TOLERANCES = {
    "output of": 1e-5,
    "loss": 1e-6,
    "gradients of": 1e-3,  # rounding makes up 1e-5 of it, but a pixel that ties may count for more
    "step 1: ": 1e-5,
    "trained: way": 0.1,
    "trained: ": float("inf"),
    "trained, ε = 0.01: biases": float("inf"),
    "trained, ε = 0.01: ": 1e-2,
}
AS_FAR = 10.0
NEGLIGIBLE = 0.2

Record = dict[str, Arrays]  # what a program came to: the arrays of each quantity


@dataclass(frozen=True)
class Difference:
    """How far three programs are apart in one quantity, as shares of its largest value."""

    quantity: str
    between: float  # jaxcolor and PyTorch, both in float32
    ours: float  # jaxcolor and PyTorch in float64
    theirs: float  # PyTorch in float32 and in float64

    @property
    def tolerance(self) -> float:
        """What `between` may be."""
        return next(limit for start, limit in TOLERANCES.items() if self.quantity.startswith(start))

    @property
    def is_good(self) -> bool:
        """Within the tolerance, and where there is none, about as close to float64 as PyTorch is."""
        if np.isinf(self.tolerance):
            return self.ours <= max(AS_FAR * self.theirs, NEGLIGIBLE)
        return self.between <= self.tolerance


def certify(
    network: Network,
    pictures: UInt8[np.ndarray, "n height width 3"],
    palette: Palette,
    batch_size: int = 10,
    filters: int = 32,
    steps: int = STEPS,
) -> list[Difference]:
    """A network's differences: in its first step, after some steps of Adam, and in evaluation, which has
    the weights of PyTorch after those steps."""
    arrays = make_arrays(pictures, palette, downsize_input=network == "super-resolution")
    inputs, labels = np.asarray(arrays["inputs"]), np.asarray(arrays["labels"])
    order = np.arange(steps * batch_size) % (len(pictures) // batch_size * batch_size)
    batches = [(inputs[i], labels[i]) for i in order.reshape(steps, batch_size)]

    programs: Sequence[Program] = make_programs(network, inputs[:1], filters, len(palette), EPSILON)
    records = [first_step(program, *batches[0]) for program in programs]
    for epsilon, name in ((EPSILON, "trained"), (CALM_EPSILON, f"trained, ε = {CALM_EPSILON}")):
        ours, float32, float64 = make_programs(network, inputs[:1], filters, len(palette), epsilon)
        programs = [ours, float32, float64]
        for program, record in zip(programs, records, strict=True):
            record |= train(program, batches, name)
    weights = float32.model.state_dict()
    ours.load(weights)
    float64.load(weights)
    for program, record in zip(programs, records, strict=True):
        record |= evaluate(program, *batches[-1])
    return compare(*records)


def make_programs(
    network: Network, example: Inputs, filters: int, colors: int, epsilon: float
) -> tuple[JaxProgram, TorchProgram, TorchProgram]:
    """jaxcolor, PyTorch in float32 and PyTorch in float64, with the same weights."""
    torch.manual_seed(0)
    if network == "cnn":
        model: torch.nn.Module = reference.CNN(filters, colors)
    else:
        dilation = DILATION if network == "dunet" else 1
        model = reference.UNet(filters, colors, in_channels=example.shape[-1], dilation=dilation)
    kind = "unet" if network == "super-resolution" else network
    module = build_model(ColorizeConfig(model=kind, filters=filters, colors=colors))
    fresh = initialize(module, jnp.asarray(example), optax.identity(), seed=0)
    ours = JaxProgram(module, fresh.variables, LEARNING_RATE, epsilon)
    ours.load(model.state_dict())
    float32, float64 = (
        TorchProgram(model, dtype, LEARNING_RATE, epsilon) for dtype in (torch.float32, torch.float64)
    )
    return ours, float32, float64


def first_step(program: Program, inputs: Inputs, labels: Labels) -> Record:
    """The outputs, loss, gradients and statistics of a step."""
    outputs = program.outputs(inputs, train=True).items()
    record: Record = {f"output of {layer}, training": {layer: output} for layer, output in outputs}
    before = biases(program.weights())
    record["loss, training"] = {"loss": np.asarray(program.step(inputs, labels))}
    record |= of_gradients(program.gradients())
    shares = {layer: (1 - MOMENTUM) * bias for layer, bias in before.items()}
    return record | of_statistics(program.weights(), shares, "step 1")


def train(program: Program, batches: Sequence[tuple[Inputs, Labels]], name: str) -> Record:
    """The weights after some steps, and the way that they have gone."""
    start = program.weights()
    shares = {layer: np.zeros(()) for layer in BLOCKS}  # of the running means, that come from biases
    for batch in batches:
        for layer, bias in biases(program.weights()).items():
            shares[layer] = MOMENTUM * shares[layer] + (1 - MOMENTUM) * bias
        program.step(*batch)
    end = program.weights()
    parameters = {k: v for k, v in end.items() if not k.endswith(("conv/bias", "/mean", "/variance"))}
    way = np.concatenate([np.ravel(parameters[k] - np.float64(start[k])) for k in sorted(parameters)])
    return {
        f"{name}: way of all parameters": {"way": way},
        f"{name}: parameters": parameters,
        f"{name}: biases before BatchNorm": biases(end),
    } | of_statistics(end, shares, name)


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
        if not path.endswith("conv/bias"):
            record[f"gradients of {path.split('/')[0]}"][path] = gradient
    shares = {layer: bias / kernels[layer] for layer, bias in biases(gradients).items()}
    return record | {"gradients of biases before BatchNorm": shares}


def of_statistics(weights: Arrays, shares: Arrays, when: str) -> Record:
    """Running variances, and running means without what biases before them put in."""
    return {
        f"{when}: running means less biases": {b: weights[f"{b}/norm/mean"] - shares[b] for b in BLOCKS},
        f"{when}: running variances": {b: weights[f"{b}/norm/variance"] for b in BLOCKS},
    }


def compare(ours: Record, float32: Record, float64: Record) -> list[Difference]:
    """The largest difference in each quantity, over its arrays, each in its own scale."""
    if not ours.keys() == float32.keys() == float64.keys():
        different = ours.keys() ^ float32.keys() | ours.keys() ^ float64.keys()
        raise ValueError(f"only some programs have {different}")

    def apart(quantity: str, one: Record, other: Record) -> float:
        return max(
            share(quantity, np.float64(one[quantity][name]) - other[quantity][name], values)
            for name, values in float64[quantity].items()
        )

    return [
        Difference(q, apart(q, ours, float32), apart(q, ours, float64), apart(q, float32, float64))
        for q in ours
    ]


def share(quantity: str, difference: np.ndarray, values: np.ndarray) -> float:
    """The largest difference as a share of the largest value; of a way, its length as one of the length."""
    if "way of all" in quantity:
        return float(np.linalg.norm(difference) / np.linalg.norm(values))
    if "biases before BatchNorm" in quantity and "gradients" in quantity:
        return float(np.abs(difference).max())  # a share already
    return float(np.abs(difference).max() / np.abs(values).max())
