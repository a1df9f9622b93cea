"""A network and its head trained together inside Lightning, on pictures read from disk batch by batch."""

import gc
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Float32, Int64, UInt8
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from src.errors import UserError
from src.head import MetricLogger, Trainer
from src.head.lightning_context import honest_signals, quiet, threads
from src.head.network import Scaling
from src.head.sgd import ClassBalancedSampler
from src.head.training import BorrowedLogger, Layers
from src.head.transfer import FineTune

Read = Callable[[int], UInt8[np.ndarray, "channels size size"]]
Labels = Int64[np.ndarray, " clips"]


@dataclass(frozen=True, eq=False)
class Seen:
    """Clips to learn from or to validate on: `read` gives the picture of the clip at a position."""

    read: Read
    labels: Labels

    def batch(self, positions: Int64[np.ndarray, " batch"]) -> tuple[Tensor, Tensor]:
        """Pictures "batch channels size size" and labels."""
        pictures = np.stack([self.read(int(position)) for position in positions])
        return torch.from_numpy(pictures), torch.from_numpy(self.labels[positions])


class Trained(nn.Module):
    """Pixels to logits: the network's scaling, the network, the head's scaling, the head's layers."""

    def __init__(
        self, network: nn.Module, pixels: tuple[tuple[float, ...], tuple[float, ...]], features: Scaling, head: Layers
    ) -> None:
        """`pixels`: mean and deviation of each channel. `features`: the head's, which stays as it is."""
        super().__init__()
        self.network, self.head = network, head
        mean, deviation = (torch.tensor(values)[:, None, None] for values in pixels)
        for name, value in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, value, persistent=False)
        for name, values in (("feature_mean", features.mean), ("feature_deviation", features.deviation)):
            self.register_buffer(name, torch.from_numpy(values.copy()), persistent=False)

    def forward(self, pictures: UInt8[Tensor, "batch channels size size"]) -> Float32[Tensor, "batch classes"]:
        """Logits; grey is repeated over the three channels."""
        scaled = (pictures.float() - cast(Tensor, self.mean)) / cast(Tensor, self.deviation)
        features = self.network(scaled.contiguous(memory_format=torch.channels_last))
        logits: Tensor = self.head((features - cast(Tensor, self.feature_mean)) / cast(Tensor, self.feature_deviation))
        return logits


class FineTuning(pl.LightningModule):
    """One Lightning batch is one optimiser step."""

    def __init__(
        self, model: Trained, settings: FineTune, names: list[str], progress: Callable[[int, int], None] | None
    ) -> None:
        """`names`: of the network's parameters that are trained."""
        super().__init__()
        self.model, self.settings, self._progress = model, settings, progress
        chosen = set(names)
        for name, parameter in model.network.named_parameters():
            parameter.requires_grad_(name in chosen)
        self._followed = [
            part
            for name, part in model.network.named_modules()
            if isinstance(part, _BatchNorm) and settings.batch_norm == "updated" and f"{name}.weight" in chosen
        ]
        self._losses: list[Tensor] = []
        self._validated: list[tuple[Tensor, Tensor]] = []

    def configure_optimizers(self) -> Any:
        """AdamW; what has one dimension (biases, normalisations) does not decay."""
        groups = [
            {"params": [p for p in part.parameters() if p.requires_grad and (p.ndim > 1) == decays], "lr": rate,
             "weight_decay": self.settings.weight_decay if decays else 0.0}
            for part, rate in ((self.model.network, self.settings.learning_rate),
                               (self.model.head, self.settings.head_learning_rate))
            for decays in (True, False)
        ]  # fmt: skip
        optimizer = torch.optim.AdamW([group for group in groups if group["params"]])
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate(self, step: int) -> float:
        """Share of the highest learning rate."""
        rising = self.settings.warmup * self.settings.steps
        if step < rising:
            return (step + 1) / (rising + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1.0, self.settings.steps - rising)))

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        """Loss of one batch."""
        self.model.eval()  # dropout and stochastic depth off, batch normalisation as the network came
        for part in self._followed:
            part.train()
        pictures, labels = batch
        loss = functional.cross_entropy(self.model(pictures), labels)
        if not math.isfinite(float(loss.detach())):
            raise UserError(
                f"transfer.learning_rate={self.settings.learning_rate:g}: the loss was no longer finite at step "
                f"{number + 1}. Set a smaller transfer.learning_rate, or a longer transfer.warmup"
            )
        self._losses.append(loss.detach())
        if self._progress is not None:
            self._progress(number + 1, self.settings.steps)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Remember the logits."""
        self.model.eval()
        self._validated.append((self.model(batch[0]), batch[1]))

    def on_validation_epoch_end(self) -> None:
        """One point of the curve."""
        if not self._losses:
            return
        metrics = {"train/loss": float(torch.stack(self._losses).mean())}
        if self._validated:
            logits, labels = (torch.cat(parts) for parts in zip(*self._validated, strict=True))
            metrics["validation/loss"] = float(functional.cross_entropy(logits, labels))
            metrics["validation/accuracy"] = float((logits.argmax(1) == labels).double().mean())
        self._losses, self._validated = [], []
        for logger in self.loggers:
            logger.log_metrics(metrics, self.global_step)


@dataclass(frozen=True)
class Steps:
    """Training batches, one a step."""

    seen: Seen
    draws: ClassBalancedSampler
    steps: int

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self.steps):
            yield self.seen.batch(self.draws.take(1)[0])


@dataclass(frozen=True)
class Everything:
    """All clips in batches, once."""

    seen: Seen
    batch_size: int

    def __len__(self) -> int:
        return math.ceil(len(self.seen.labels) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self.seen.labels), self.batch_size):
            yield self.seen.batch(np.arange(start, min(start + self.batch_size, len(self.seen.labels))))


def train(
    module: FineTuning, train: Seen, validation: Seen, rng: np.random.Generator, trainer: Trainer, logger: MetricLogger
) -> None:
    """Trains in place; afterwards everything is on the CPU, in eval mode and without gradients.

    On a GPU convolutions take deterministic kernels and float32 means float32.

    Raises:
        UserError: no such device, or the loss did not stay finite.
        KeyboardInterrupt, SystemExit: on Ctrl-C, and on SIGTERM with status 143.
    """
    settings = module.settings
    batches = Steps(train, ClassBalancedSampler(train.labels, batch_size=settings.batch_size, rng=rng), settings.steps)
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with quiet(), threads(trainer.threads), honest_signals(), exact:
        lightning = pl.Trainer(
            accelerator=trainer.device(),
            devices=1,
            plugins=[LightningEnvironment()],  # as the head has it
            logger=BorrowedLogger(logger),
            max_steps=settings.steps,
            max_epochs=1,
            val_check_interval=min(settings.validate_every, settings.steps),
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            limit_val_batches=None if len(validation.labels) else 0,
            enable_checkpointing=False,
            enable_progress_bar=trainer.progress_bar,
            enable_model_summary=False,
        )
        module.train()  # each step says what is in training mode; Lightning remarks on modules that begin in eval mode
        lightning.fit(module, batches, Everything(validation, settings.batch_size))
        module.trainer = None
    module.cpu().eval().requires_grad_(False)
    # Lightning's objects refer to each other, and hold the optimiser's moments and the pictures
    del lightning, batches
    gc.collect()
