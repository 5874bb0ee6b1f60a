"""The parity certificate: how far jaxcolor's numbers are from PyTorch's, from equal weights and batches.

Both programs compute in float32. PyTorch in float64 shows how far each of them is from the exact result.
Differences are relative to the largest value of a quantity. Three effects exceed rounding errors:

- The gradient of a bias before a BatchNorm is 0, because BatchNorm subtracts the mean. PyTorch computes
  rounding noise instead, and Adam turns it into steps of full size. PyTorch's biases drift, and the running
  means drift with them. The certificate lists these biases separately, and compares running means without the
  part that the biases add.
- Max-pooling sends the gradient to one of two pixels that are equal up to rounding. A ReLU passes or blocks
  the gradient where its input is 0 up to rounding. Both happen at a few pixels of every batch, and cause most
  of the differences of gradients.
- Adam divides by the size of the gradient. In the first steps it moves a weight with a small gradient as far
  as one with a large gradient, and a weight whose gradient is rounding noise in a random direction. After 50
  steps two float32 programs are as far from each other as each of them is from float64. The drift of PyTorch
  alone is the largest of several runs that start from weights changed by one rounding. With ε = 0.01 in
  Adam's denominator, small gradients make small steps, and programs drift apart only through equal pixels.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jaxtyping import UInt8
from reference import colorization as reference
from reference.weights import from_torch

from benchmarks.programs import InputArray, JaxProgram, LabelArray, NamedArrays, Program, TorchProgram
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.data import make_arrays
from jaxcolor.colorization.palette import Palette
from jaxcolor.colorization.predictor import build_network, make_apply
from jaxcolor.colorization.prior import LogPrior, count_colors, log_prior
from jaxcolor.models import DilatedUNet

NetworkName = Literal[
    "cnn", "unet", "dunet", "strided-unet", "conv-transpose", "super-resolution", "unet with prior"
]
NETWORK_NAMES: tuple[NetworkName, ...] = get_args(NetworkName)
LEARNING_RATE = 1e-3
EPSILON, LARGE_EPSILON = 1e-8, 1e-2  # of Adam: the usual one, and one far above rounding noise
ADAM_STEPS = 50
MOMENTUM = 0.9  # of the running averages

PERTURBED_RUNS = 3  # runs of PyTorch in float32 from weights changed by one rounding
ROUNDING = 2.0**-24

# The largest difference of jaxcolor and PyTorch, by the start of the quantity's name.
TOLERANCES = {
    "output of": 1e-5,
    "loss": 1e-6,
    "gradients of": 1e-3,  # rounding makes 1e-5 of it, but one pair of equal pixels may add more
    "step 1: ": 1e-5,
    "trained: total update": 0.1,
    "trained, ε = 0.01: total update": 0.03,
    "trained": float("inf"),
}
# Where the tolerance is infinite, jaxcolor's distance to float64 may be this many times PyTorch's, or reach a
# limit. In one of 40 perturbed runs of PyTorch a single weight was 0.2 away.
DRIFT_FACTOR = 5.0
DRIFT_LIMITS = {"trained, ε = 0.01": 0.1, "trained": 0.5}

Record = dict[str, NamedArrays]  # quantity → its arrays, for one program


@dataclass(frozen=True)
class Difference:
    """Distances between three programs in one quantity, relative to its largest value."""

    quantity: str
    between: float  # from jaxcolor to PyTorch, both in float32
    ours: float  # from jaxcolor to PyTorch in float64
    theirs: float  # from PyTorch in float32, the farthest of its runs, to PyTorch in float64

    @property
    def tolerance(self) -> float:
        """The largest `between` that is good."""
        return _limit(TOLERANCES, self.quantity)

    @property
    def is_good(self) -> bool:
        """Whether `between` is within its tolerance, or without one, `ours` within its limit."""
        if np.isinf(self.tolerance):
            return self.ours <= max(DRIFT_FACTOR * self.theirs, _limit(DRIFT_LIMITS, self.quantity))
        return self.between <= self.tolerance


def _limit(limits: dict[str, float], quantity: str) -> float:
    """Return the first limit whose key is the start of the quantity's name."""
    return next(limit for start, limit in limits.items() if quantity.startswith(start))


def certify(
    network: NetworkName,
    images: UInt8[np.ndarray, "n height width 3"],
    palette: Palette,
    batch_size: int = 10,
    filters: int = 32,
    steps: int = ADAM_STEPS,
) -> list[Difference]:
    """Return a network's differences in the first step, after `steps` steps of Adam, and in evaluation.

    In evaluation all programs have PyTorch's trained weights.
    """
    arrays = make_arrays(images, palette, downsize_input=network == "super-resolution")
    inputs, labels = np.asarray(arrays["inputs"]), np.asarray(arrays["labels"])
    prior = None
    if network == "unet with prior":
        prior = log_prior(count_colors(images, labels, len(palette)))
    order = np.arange(steps * batch_size) % (len(images) // batch_size * batch_size)
    batches = [(inputs[i], labels[i]) for i in order.reshape(steps, batch_size)]

    records: list[Record] = [{} for _ in range(3 + PERTURBED_RUNS)]
    for epsilon, name in ((EPSILON, "trained"), (LARGE_EPSILON, f"trained, ε = {LARGE_EPSILON}")):
        ours, float32, float64 = make_programs(network, inputs[:1], filters, len(palette), epsilon, prior)
        programs: list[Program] = [ours, float32, float64]
        programs += [perturb(float32, seed) for seed in range(PERTURBED_RUNS)]
        for program, record in zip(programs, records, strict=True):
            record |= record_training(program, batches, name)
    weights = float32.model.state_dict()
    ours.load(weights)
    float64.load(weights)
    for program, record in zip(programs[:3], records, strict=False):
        record |= record_evaluation(program, *batches[-1])
    return compare_records(*records)


def certificate_holds(differences: Mapping[str, Sequence[Difference]]) -> bool:
    """Return whether all differences of all networks are good."""
    return all(difference.is_good for found in differences.values() for difference in found)


def make_programs(
    network: NetworkName,
    example: InputArray,
    filters: int,
    colors: int,
    epsilon: float,
    prior: LogPrior | None = None,
) -> tuple[JaxProgram, TorchProgram, TorchProgram]:
    """Return jaxcolor, PyTorch in float32 and PyTorch in float64, with the same weights."""
    torch.manual_seed(0)
    kind = "unet" if network in ("super-resolution", "unet with prior") else network
    model: torch.nn.Module
    if network == "dunet":
        model = reference.UNet(filters, colors, dilation=DilatedUNet.dilation)
    else:
        model = reference.NETWORKS[kind](filters, colors, in_channels=example.shape[-1])
    if prior is not None:
        reference.add_prior(model, torch.from_numpy(prior))
    module = build_network(ColorizeConfig(model=kind, filters=filters, colors=colors))
    # Shapes are enough here, and are found without compiling.
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.asarray(example)))
    weights = from_torch(model.state_dict(), shapes)
    ours = JaxProgram(make_apply(module, prior), weights, LEARNING_RATE, epsilon)
    float32, float64 = (
        TorchProgram(model, dtype, LEARNING_RATE, epsilon) for dtype in (torch.float32, torch.float64)
    )
    return ours, float32, float64


def perturb(program: TorchProgram, seed: int) -> TorchProgram:
    """Return a copy of a program before its first step, with weights changed by one rounding."""
    generator = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(program)
    with torch.no_grad():
        for parameter in other.model.parameters():
            signs = torch.randint(0, 2, parameter.shape, generator=generator) * 2 - 1
            parameter.mul_(1 + 2 * ROUNDING * signs.to(parameter))
    return other


def record_training(program: Program, batches: Sequence[tuple[InputArray, LabelArray]], name: str) -> Record:
    """Train on the batches. Return the quantities of the first step, and the weights after the last one.

    `name` is the start of the names of the latter.
    """
    outputs = program.outputs(batches[0][0], train=True).items()
    record: Record = {f"output of {layer}, training": {layer: output} for layer, output in outputs}
    start = program.weights()
    # The parts of running means that biases add:
    bias_means = {layer: np.zeros(()) for layer in biases(program.weights())}
    for step, batch in enumerate(batches):
        for layer, bias in biases(program.weights()).items():
            bias_means[layer] = MOMENTUM * bias_means[layer] + (1 - MOMENTUM) * bias
        loss = program.step(*batch)
        if step == 0:
            record |= {"loss, training": {"loss": np.asarray(loss)}} | record_gradients(program.gradients())
            record |= record_statistics(program.weights(), bias_means, "step 1")
    end = program.weights()
    parameters = {k: v for k, v in end.items() if not k.endswith(("conv/bias", "/mean", "/variance"))}
    update = np.concatenate([np.ravel(parameters[k] - np.float64(start[k])) for k in sorted(parameters)])
    record |= {
        f"{name}: total update": {"update": update},
        f"{name}: parameters": parameters,
        f"{name}: biases before BatchNorm": biases(end),
    }
    return record | record_statistics(end, bias_means, name)


def record_evaluation(program: Program, inputs: InputArray, labels: LabelArray) -> Record:
    """Return the outputs and the loss with running statistics."""
    outputs = program.outputs(inputs, train=False).items()
    record = {f"output of {layer}, evaluation": {layer: output} for layer, output in outputs}
    return record | {"loss, evaluation": {"loss": np.asarray(program.evaluate(inputs, labels))}}


def biases(parameters: NamedArrays) -> NamedArrays:
    """Return the biases before a BatchNorm, by layer."""
    return {path.split("/")[0]: bias for path, bias in parameters.items() if path.endswith("/conv/bias")}


def record_gradients(gradients: NamedArrays) -> Record:
    """Return the gradients of each layer's parameters.

    Without rounding those of biases before a BatchNorm are 0, so they are relative to the largest gradient of
    the same layer's kernel.
    """
    record: Record = {}
    for path, gradient in sorted(gradients.items()):
        if not path.endswith("conv/bias"):
            record.setdefault(f"gradients of {path.split('/')[0]}", {})[path] = gradient
    relative = {
        layer: bias / np.abs(gradients[f"{layer}/conv/kernel"]).max()
        for layer, bias in biases(gradients).items()
    }
    return record | {"gradients of biases before BatchNorm": relative}


def record_statistics(weights: NamedArrays, bias_means: NamedArrays, when: str) -> Record:
    """Return running variances, and running means without the parts that biases add."""
    means = {layer: weights[f"{layer}/norm/mean"] - bias for layer, bias in bias_means.items()}
    variances = {layer: weights[f"{layer}/norm/variance"] for layer in bias_means}
    return {f"{when}: running means without biases": means, f"{when}: running variances": variances}


def compare_records(ours: Record, float32: Record, float64: Record, *perturbed: Record) -> list[Difference]:
    """Return the largest relative difference over the arrays of each quantity.

    `perturbed` are records of PyTorch in float32 from perturbed weights. Raises `ValueError` if the records
    have different quantities.
    """
    if not ours.keys() == float32.keys() == float64.keys():
        different = ours.keys() ^ float32.keys() | ours.keys() ^ float64.keys()
        raise ValueError(f"only some programs have {different}")

    def float32_runs(quantity: str) -> list[Record]:
        # The perturbation itself is visible before training; only its growth matters.
        return [float32, *perturbed] if quantity.startswith("trained") else [float32]

    def distance(quantity: str, one: Record, other: Record) -> float:
        return max(
            relative_size(
                quantity, np.asarray(np.float64(one[quantity][name]) - other[quantity][name]), values
            )
            for name, values in float64[quantity].items()
        )

    return [
        Difference(
            quantity,
            between=distance(quantity, ours, float32),
            ours=distance(quantity, ours, float64),
            theirs=max(distance(quantity, record, float64) for record in float32_runs(quantity)),
        )
        for quantity in ours
    ]


def relative_size(quantity: str, difference: np.ndarray, values: np.ndarray) -> float:
    """Return the largest difference relative to the largest value; for a total update, the ratio of norms."""
    if "total update" in quantity:
        return float(np.linalg.norm(difference) / np.linalg.norm(values))
    if "biases before BatchNorm" in quantity and "gradients" in quantity:
        return float(np.abs(difference).max())  # already relative
    return float(np.abs(difference).max() / np.abs(values).max())
