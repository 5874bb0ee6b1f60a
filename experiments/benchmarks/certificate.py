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
  float32 programs from each other as each of them from float64. How far PyTorch alone drifts is the largest
  of several runs, that start from weights changed by a rounding. With the ε of Adam's denominator at 0.01
  small gradients stay small steps: then programs drift apart only from where a pixel ties on the way.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jaxtyping import UInt8
from reference import colorization as reference
from reference.weights import BLOCKS, from_torch

from benchmarks.programs import Arrays, Inputs, JaxProgram, Labels, Program, TorchProgram
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.data import make_arrays
from jaxcolor.colorization.palette import Palette
from jaxcolor.colorization.predictor import build_network
from jaxcolor.models import DilatedUNet

Network = Literal["cnn", "unet", "dunet", "super-resolution"]
NETWORKS: tuple[Network, ...] = get_args(Network)
LEARNING_RATE = 1e-3
EPSILON, CALM_EPSILON = 1e-8, 1e-2  # of Adam: the usual one, and one that rounding does not get past
STEPS = 50
MOMENTUM = 0.9  # of the running averages

RESTARTS = 3  # of PyTorch in float32, from weights changed by a rounding
ROUNDING = 2.0**-24

# What the difference of jaxcolor and PyTorch may be, by the start of a quantity's name. Where it has no
# limit, chaos decides, and ours may be AS_FAR times as far from float64 as PyTorch's, or as far as chaos
# takes a single weight: of 40 runs of PyTorch from weights changed by a rounding, one came to 0.2.
TOLERANCES = {
    "output of": 1e-5,
    "loss": 1e-6,
    "gradients of": 1e-3,  # rounding makes up 1e-5 of it, but a pixel that ties may count for more
    "step 1: ": 1e-5,
    "trained: way": 0.1,
    "trained, ε = 0.01: way": 0.03,
    "trained": float("inf"),
}
AS_FAR = 5.0
CHAOS = {"trained, ε = 0.01": 0.1, "trained": 0.5}

Record = dict[str, Arrays]  # what a program came to: the arrays of each quantity


@dataclass(frozen=True)
class Difference:
    """How far three programs are apart in one quantity, as shares of its largest value."""

    quantity: str
    between: float  # jaxcolor and PyTorch, both in float32
    ours: float  # jaxcolor and PyTorch in float64
    theirs: float  # PyTorch in float32 and in float64; the largest of several runs of the former

    @property
    def tolerance(self) -> float:
        """What `between` may be."""
        return _limit(TOLERANCES, self.quantity)

    @property
    def is_good(self) -> bool:
        """Within the tolerance, and where there is none, about as close to float64 as PyTorch is."""
        if np.isinf(self.tolerance):
            return self.ours <= max(AS_FAR * self.theirs, _limit(CHAOS, self.quantity))
        return self.between <= self.tolerance


def _limit(limits: dict[str, float], quantity: str) -> float:
    """The first whose name the quantity's begins with."""
    return next(limit for start, limit in limits.items() if quantity.startswith(start))


def certify(
    network: Network,
    images: UInt8[np.ndarray, "n height width 3"],
    palette: Palette,
    batch_size: int = 10,
    filters: int = 32,
    steps: int = STEPS,
) -> list[Difference]:
    """A network's differences: in its first step, after some steps of Adam, and in evaluation, which has
    the weights of PyTorch after those steps."""
    arrays = make_arrays(images, palette, downsize_input=network == "super-resolution")
    inputs, labels = np.asarray(arrays["inputs"]), np.asarray(arrays["labels"])
    order = np.arange(steps * batch_size) % (len(images) // batch_size * batch_size)
    batches = [(inputs[i], labels[i]) for i in order.reshape(steps, batch_size)]

    records: list[Record] = [{} for _ in range(3 + RESTARTS)]
    for epsilon, name in ((EPSILON, "trained"), (CALM_EPSILON, f"trained, ε = {CALM_EPSILON}")):
        ours, float32, float64 = make_programs(network, inputs[:1], filters, len(palette), epsilon)
        programs: list[Program] = [ours, float32, float64]
        programs += [restart(float32, seed) for seed in range(RESTARTS)]
        for program, record in zip(programs, records, strict=True):
            record |= train(program, batches, name)
    weights = float32.model.state_dict()
    ours.load(weights)
    float64.load(weights)
    for program, record in zip(programs[:3], records, strict=False):
        record |= evaluate(program, *batches[-1])
    return compare(*records)


def restart(program: TorchProgram, seed: int) -> TorchProgram:
    """The same program before its first step, with weights changed by a rounding."""
    generator = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(program)
    with torch.no_grad():
        for parameter in other.model.parameters():
            signs = torch.randint(0, 2, parameter.shape, generator=generator) * 2 - 1
            parameter.mul_(1 + 2 * ROUNDING * signs.to(parameter))
    return other


def make_programs(
    network: Network, example: Inputs, filters: int, colors: int, epsilon: float
) -> tuple[JaxProgram, TorchProgram, TorchProgram]:
    """jaxcolor, PyTorch in float32 and PyTorch in float64, with the same weights."""
    torch.manual_seed(0)
    if network == "cnn":
        model: torch.nn.Module = reference.CNN(filters, colors)
    else:
        dilation = DilatedUNet.dilation if network == "dunet" else 1
        model = reference.UNet(filters, colors, in_channels=example.shape[-1], dilation=dilation)
    kind = "unet" if network == "super-resolution" else network
    module = build_network(ColorizeConfig(model=kind, filters=filters, colors=colors))
    # Only their shapes are needed, and take no compiling.
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.asarray(example)))
    ours = JaxProgram(module, from_torch(model.state_dict(), shapes), LEARNING_RATE, epsilon)
    float32, float64 = (
        TorchProgram(model, dtype, LEARNING_RATE, epsilon) for dtype in (torch.float32, torch.float64)
    )
    return ours, float32, float64


def train(program: Program, batches: Sequence[tuple[Inputs, Labels]], name: str) -> Record:
    """All that a first step is made of, the weights after the others, and the way that they have gone."""
    outputs = program.outputs(batches[0][0], train=True).items()
    record: Record = {f"output of {layer}, training": {layer: output} for layer, output in outputs}
    start = program.weights()
    shares = {layer: np.zeros(()) for layer in BLOCKS}  # of the running means, that come from biases
    for step, batch in enumerate(batches):
        for layer, bias in biases(program.weights()).items():
            shares[layer] = MOMENTUM * shares[layer] + (1 - MOMENTUM) * bias
        loss = program.step(*batch)
        if step == 0:
            record |= {"loss, training": {"loss": np.asarray(loss)}} | of_gradients(program.gradients())
            record |= of_statistics(program.weights(), shares, "step 1")
    end = program.weights()
    parameters = {k: v for k, v in end.items() if not k.endswith(("conv/bias", "/mean", "/variance"))}
    way = np.concatenate([np.ravel(parameters[k] - np.float64(start[k])) for k in sorted(parameters)])
    record |= {
        f"{name}: way of all parameters": {"way": way},
        f"{name}: parameters": parameters,
        f"{name}: biases before BatchNorm": biases(end),
    }
    return record | of_statistics(end, shares, name)


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


def compare(ours: Record, float32: Record, float64: Record, *restarts: Record) -> list[Difference]:
    """The largest difference in each quantity, over its arrays, each in its own scale."""
    if not ours.keys() == float32.keys() == float64.keys():
        different = ours.keys() ^ float32.keys() | ours.keys() ^ float64.keys()
        raise ValueError(f"only some programs have {different}")

    def theirs_of(quantity: str) -> list[Record]:
        # A changed start shows in everything at once; how far it grows is of interest only after training.
        return [float32, *restarts] if quantity.startswith("trained") else [float32]

    def apart(quantity: str, one: Record, other: Record) -> float:
        return max(
            share(quantity, np.asarray(np.float64(one[quantity][name]) - other[quantity][name]), values)
            for name, values in float64[quantity].items()
        )

    return [
        Difference(
            quantity,
            between=apart(quantity, ours, float32),
            ours=apart(quantity, ours, float64),
            theirs=max(apart(quantity, record, float64) for record in theirs_of(quantity)),
        )
        for quantity in ours
    ]


def share(quantity: str, difference: np.ndarray, values: np.ndarray) -> float:
    """The largest difference as a share of the largest value; of a way, its length as one of the length."""
    if "way of all" in quantity:
        return float(np.linalg.norm(difference) / np.linalg.norm(values))
    if "biases before BatchNorm" in quantity and "gradients" in quantity:
        return float(np.abs(difference).max())  # a share already
    return float(np.abs(difference).max() / np.abs(values).max())
