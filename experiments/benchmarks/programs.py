"""The programs of the parity certificate. They return all arrays with jaxcolor's names and axes."""

import copy
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax.traverse_util import flatten_dict
from jaxtyping import Float, UInt8
from reference import colorization as reference
from reference.variants import choose_device
from reference.weights import from_torch
from torch import Tensor, nn

from jaxcolor.colorization.task import evaluate_step, layer_outputs, train_step
from jaxcolor.pretrained.assignment import table_for
from jaxcolor.training.batches import Batches
from jaxcolor.training.compilation import jit
from jaxcolor.training.engine import Engine
from jaxcolor.training.state import TrainState, create_state

InputArray = Float[np.ndarray, "batch height width channel"]
LabelArray = UInt8[np.ndarray, "batch height width"]
NamedArrays = dict[str, np.ndarray]


@runtime_checkable
class Program(Protocol):
    """A network with its weights and Adam."""

    def step(self, inputs: InputArray, labels: LabelArray) -> float:
        """Train on a batch and return its loss."""

    def gradients(self) -> NamedArrays:
        """Return the gradients of the last step, by path of the parameter."""

    def weights(self) -> NamedArrays:
        """Return parameters and running statistics, by path."""

    def outputs(self, inputs: InputArray, train: bool) -> NamedArrays:
        """Return the output of each layer, [batch, height, width, channel]."""

    def evaluate(self, inputs: InputArray, labels: LabelArray) -> float:
        """Return the loss with running statistics."""


def keep_gradients() -> optax.GradientTransformation:
    """Return a transformation that changes nothing. Its state is the last gradients."""
    return optax.GradientTransformation(
        lambda params: jax.tree.map(jnp.zeros_like, params),
        lambda gradients, state, params=None: (gradients, gradients),
    )


class JaxProgram:
    """jaxcolor, with the train step and the engine of its runs."""

    def __init__(
        self, apply_fn: Callable[..., Any], variables: dict[str, Any], learning_rate: float, epsilon: float
    ):
        optimizer = optax.chain(keep_gradients(), optax.adam(learning_rate, eps=epsilon))
        self.state: TrainState = create_state(apply_fn, variables, optimizer)
        self._engine = Engine(train_step, donate=False)
        self._evaluate = jit(evaluate_step)
        self._outputs = jit(layer_outputs, static_argnames="train")

    def load(self, weights: dict[str, Tensor]) -> None:
        """Replace the weights by those of a PyTorch state_dict."""
        self.state = self.state.replace(**from_torch(weights, self.state.variables))

    def step(self, inputs: InputArray, labels: LabelArray) -> float:
        data = {"inputs": jnp.asarray(inputs), "labels": jnp.asarray(labels)}
        batches = Batches(np.arange(len(labels), dtype=np.int32)[None], None)
        self.state, sums = self._engine(self.state, batches, data)
        return sums["loss"] / sums["count"]

    def gradients(self) -> NamedArrays:
        return _by_path(flatten_dict({"params": self.state.opt_state.inner_state[0]}))

    def weights(self) -> NamedArrays:
        return _by_path(flatten_dict(self.state.variables))

    def outputs(self, inputs: InputArray, train: bool) -> NamedArrays:
        outputs = self._outputs(self.state, jnp.asarray(inputs), train=train)
        outputs.setdefault(max(self.state.params), outputs["logits"])  # of the last layer, without a prior
        return {name: np.asarray(value) for name, value in outputs.items()}

    def evaluate(self, inputs: InputArray, labels: LabelArray) -> float:
        batch = {"inputs": jnp.asarray(inputs), "labels": jnp.asarray(labels), "valid": None}
        sums = self._evaluate(self.state, batch)
        return float(sums["loss"] / sums["count"])


class TorchProgram:
    """The PyTorch program, in float32, or in float64 as the exact result."""

    def __init__(self, model: nn.Module, dtype: torch.dtype, learning_rate: float, epsilon: float):
        self.dtype, self.device = dtype, choose_device()
        self.model = copy.deepcopy(model).to(self.device, dtype)
        self.optimizer = reference.make_optimizer(self.model, learning_rate)
        self.optimizer.param_groups[0]["eps"] = epsilon

    def load(self, weights: dict[str, Tensor]) -> None:
        """Replace the weights by those of a state_dict."""
        self.model.load_state_dict(weights)

    def step(self, inputs: InputArray, labels: LabelArray) -> float:
        self.model.train()
        x, y = self._tensors(inputs, labels)
        return float(reference.train_step(self.model, self.optimizer, x, y))

    def gradients(self) -> NamedArrays:
        gradients = {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}
        return _from_torch(gradients)

    def weights(self) -> NamedArrays:
        return _from_torch(self.model.state_dict())

    def outputs(self, inputs: InputArray, train: bool) -> NamedArrays:
        model, outputs = copy.deepcopy(self.model).train(train), {}
        for name, layer in model.named_children():
            layer.register_forward_hook(
                lambda module, args, out, name=name: outputs.update({name: out.detach().cpu().numpy().copy()})
            )
        with torch.no_grad():
            outputs["logits"] = model(self._tensors(inputs)[0]).cpu().numpy()
        return {name: value.transpose(0, 2, 3, 1) for name, value in outputs.items()}

    def evaluate(self, inputs: InputArray, labels: LabelArray) -> float:
        self.model.eval()
        x, y = self._tensors(inputs, labels)
        return float(reference.evaluate_step(self.model, x, y)[0])

    def _tensors(self, inputs: InputArray, labels: LabelArray | None = None) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))).to(self.device, self.dtype)
        y = torch.zeros(0) if labels is None else torch.from_numpy(labels)
        return x, y.to(self.device, torch.int64)


def _by_path(leaves: dict[tuple[str, ...], Any]) -> NamedArrays:
    """Return arrays by their path without the name of the collection, such as `layer1/conv/kernel`."""
    return {"/".join(path[1:]): np.asarray(leaf) for path, leaf in leaves.items()}


def _from_torch(tensors: dict[str, Tensor]) -> NamedArrays:
    """Return PyTorch's tensors that have a place in jaxcolor's network."""
    arrays = {}
    table = table_for(tensors)
    for key, tensor in tensors.items():
        if key in table:
            path, axes = table[key]
            array = tensor.detach().cpu().numpy().copy()
            arrays["/".join(path[1:])] = array.transpose(axes) if axes else array
    return arrays
