"""One step of plain SGD on a batch: by autograd for any stack of layers, written out for a single one."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Float32, Int64
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.nn import functional

from src.errors import UserError
from src.features.examples import Examples
from src.head import MetricLogger, Trainer
from src.head.lightning_context import honest_signals, quiet, threads
from src.head.sgd import ClassBalancedSampler
from src.head.signals import uninterrupted
from src.head.validation import metric_logger

# features "batch features", labels "batch" -> the batch's mean loss before the step
Step = Callable[[Tensor, Tensor], Tensor]


class AutogradStep:
    """What one writes: loss, backward, optimiser."""

    def __init__(self, layers: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._layers, self._optimizer = layers, optimizer

    def __call__(
        self, features: Float32[Tensor, "batch features"], labels: Int64[Tensor, " batch"]
    ) -> Float32[Tensor, ""]:
        """One step; returns the loss before it."""
        loss = functional.cross_entropy(self._layers(features), labels)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._optimizer.step()
        return loss.detach()


class LinearStep:
    """The same step for one linear layer, by the very kernels that autograd would call, in the same order.

    Every bit of loss, weight and bias is that of `AutogradStep` with SGD. Building and walking a graph for one small
    matrix product costs more than the product itself: without, a step takes a third (1280 features) to two thirds (2048
    features, 50 classes) of the time.
    """

    def __init__(self, layer: nn.Linear, learning_rate: float) -> None:
        self._weight, self._bias = layer.weight.detach(), layer.bias.detach()  # views: the layer itself is trained
        self._learning_rate = learning_rate
        self._one = torch.ones((), device=self._weight.device)

    @torch.no_grad()
    def __call__(
        self, features: Float32[Tensor, "batch features"], labels: Int64[Tensor, " batch"]
    ) -> Float32[Tensor, ""]:
        """One step; returns the loss before it."""
        aten = torch.ops.aten
        likelihoods = torch.log_softmax(torch.addmm(self._bias, features, self._weight.t()), 1)
        mean = 1  # of the batch's losses; -100 below marks labels to leave out, of which there are none
        loss: Tensor
        loss, total = aten.nll_loss_forward(likelihoods, labels, None, mean, -100)
        gradient = aten.nll_loss_backward(self._one, likelihoods, labels, None, mean, -100, total)
        gradient = aten._log_softmax_backward_data(gradient, likelihoods, 1, likelihoods.dtype)
        self._weight.add_(gradient.t().mm(features), alpha=-self._learning_rate)
        self._bias.add_(gradient.sum(0), alpha=-self._learning_rate)
        return loss


# weight "outputs inputs" and bias "outputs"
Layer = tuple[Float32[np.ndarray, "_ _"], Float32[np.ndarray, " _"]]

TORCH_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda values: values,
    "relu": torch.relu,
    "tanh": torch.tanh,
}


class Layers(nn.Module):
    """Fully connected layers; dropout and an activation between them."""

    def __init__(self, start: list[Layer], *, activation: str, dropout: float, dropout_seed: int) -> None:
        super().__init__()
        self.stack = nn.ModuleList(_layer(weight, bias) for weight, bias in start)
        self.activation = TORCH_ACTIVATIONS[activation]
        self.keep = 1 - dropout
        self.dropout_seed = dropout_seed
        self._generator: torch.Generator | None = None

    def forward(self, features: Float32[Tensor, "batch features"]) -> Float32[Tensor, "batch classes"]:
        """Logits."""
        values = features
        for number, layer in enumerate(self.stack):
            values = layer(self._drop(self.activation(values)) if number else values)
        return values

    def _drop(self, values: Float32[Tensor, "batch units"]) -> Float32[Tensor, "batch units"]:
        if not self.training or self.keep == 1:
            return values
        if self._generator is None:
            # torch's own dropout reads the process's generator; this one belongs to the fit
            self._generator = torch.Generator(values.device).manual_seed(self.dropout_seed)
        mask = torch.empty_like(values).bernoulli_(self.keep, generator=self._generator)
        return values * mask / self.keep

    def arrays(self) -> list[Layer]:
        """Weight and bias of each layer as they are now."""
        pairs = [(layer.weight, layer.bias) for layer in cast(Iterable[nn.Linear], self.stack)]
        return [(weight.detach().cpu().numpy(), bias.detach().cpu().numpy()) for weight, bias in pairs]


def _layer(weight: Float32[np.ndarray, "outputs inputs"], bias: Float32[np.ndarray, " outputs"]) -> nn.Linear:
    outputs, inputs = weight.shape
    # on the meta device torch draws no initial weights, which would move the process's generator
    layer = nn.Linear(inputs, outputs, device="meta")
    layer.weight = nn.Parameter(torch.from_numpy(weight.copy()))
    layer.bias = nn.Parameter(torch.from_numpy(bias.copy()))
    return layer


class Classifier(pl.LightningModule):
    """One Lightning batch is a block of steps: clip indices, "steps batch".

    Lightning's own work per batch costs more than a step of a linear head, so it is paid once per block.

    Attributes:
        steps: optimiser steps done. train_loss: mean over the last block's steps.
    """

    def __init__(self, layers: Layers, train: Examples, *, learning_rate: float) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.layers = layers
        self.learning_rate = learning_rate
        self.steps = 0
        self.train_loss = math.nan
        # buffers, so that the clips move to the device once
        self.register_buffer("clips", torch.from_numpy(train.features), persistent=False)
        self.register_buffer("labels", torch.from_numpy(train.labels), persistent=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain SGD: no momentum, no decay; a single layer's step does without, but Lightning wants one."""
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate)

    def training_step(self, block: Int64[Tensor, "steps batch"], _: int) -> None:
        """All steps of a block."""
        step = self._step()
        clips, labels = cast(Tensor, self.clips), cast(Tensor, self.labels)
        total = torch.zeros((), device=self.device)
        for batch, answers in zip(block, labels[block], strict=True):
            total += step(clips.index_select(0, batch), answers)
            self.steps += 1
        self.train_loss = float(total) / len(block)
        # the loss of the last step was taken before its update
        if not math.isfinite(self.train_loss) or not all(bool(values.isfinite().all()) for values in self.parameters()):
            raise UserError(
                f"head.learning_rate={self.learning_rate:g}: the loss was no longer finite by step {self.steps}. "
                f"The largest feature is {float(clips.abs().max()):.3g}; plain SGD needs values near 1. "
                "Set head.standardize=true, or a smaller head.learning_rate."
            )

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Logs one point of the curve, at the optimiser step it belongs to."""
        features, labels = batch
        metrics = {"train/loss": self.train_loss}
        if len(labels):
            logits = self.layers(features)
            metrics["validation/loss"] = float(functional.cross_entropy(logits, labels))
            metrics["validation/accuracy"] = float((logits.argmax(1) == labels).double().mean())
        for logger in self.loggers:
            logger.log_metrics(metrics, self.steps)

    def _step(self) -> Step:
        layers = list(self.layers.stack)
        if len(layers) == 1:
            return LinearStep(cast(nn.Linear, layers[0]), self.learning_rate)
        return AutogradStep(self.layers, cast(LightningOptimizer, self.optimizers()).optimizer)


@dataclass(frozen=True)
class StepBlocks:
    """The steps of a fit as Lightning batches, one per point of the validation curve."""

    draws: ClassBalancedSampler
    trainer: Trainer

    def __len__(self) -> int:
        return math.ceil(self.trainer.max_steps / self.trainer.validate_every)

    def __iter__(self) -> Iterator[Int64[Tensor, "steps batch"]]:
        for start in range(0, self.trainer.max_steps, self.trainer.validate_every):
            yield torch.from_numpy(self.draws.take(min(self.trainer.validate_every, self.trainer.max_steps - start)))


@dataclass(frozen=True)
class SingleBatch:
    """All examples as the one Lightning batch of a validation (a DataLoader would read the process's generator)."""

    examples: Examples

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[tuple[Float32[Tensor, "clips features"], Int64[Tensor, " clips"]]]:
        yield torch.from_numpy(self.examples.features), torch.from_numpy(self.examples.labels)


class BorrowedLogger(Logger):
    """Passes metrics on and nothing else.

    Lightning ends its logger's run with the fit (MLflow: status FINISHED), but the run belongs to the caller, who
    has test metrics still to add.
    """

    def __init__(self, lender: MetricLogger) -> None:
        super().__init__()
        self._lender = lender

    @property
    def name(self) -> str:
        """Required by Lightning."""
        return "borrowed"

    @property
    def version(self) -> str:
        """Required by Lightning; empty, so that the progress bar shows none."""
        return ""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Passed on."""
        with uninterrupted():
            self._lender.log_metrics(metrics, step)

    def log_hyperparams(self, *_args: object, **_kwargs: object) -> None:
        """The caller logs its parameters."""


def train_layers(
    layers: Layers,
    train: Examples,
    validation: Examples,
    draws: ClassBalancedSampler,
    *,
    learning_rate: float,
    trainer: Trainer,
    logger: object | None,
) -> None:
    """Trains in place; examples come scaled.

    Raises:
        UserError: no such device, or the loss did not stay finite.
        KeyboardInterrupt, SystemExit: on Ctrl-C, and on SIGTERM with status 143.
    """
    lender = metric_logger(logger)
    module = Classifier(layers, train, learning_rate=learning_rate)
    with quiet(), threads(trainer.threads), honest_signals():
        lightning = pl.Trainer(
            accelerator=trainer.device(),
            devices=1,
            # otherwise Lightning looks for a cluster's variables and joins its tasks into one fit
            plugins=[LightningEnvironment()],
            logger=BorrowedLogger(lender) if lender is not None else False,
            max_epochs=1,
            val_check_interval=1,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_progress_bar=trainer.progress_bar,
            enable_model_summary=False,
        )
        try:
            lightning.fit(module, StepBlocks(draws, trainer), SingleBatch(validation))
        finally:
            # Lightning's objects refer to each other; the examples would stay until garbage is next collected
            del module.clips, module.labels
