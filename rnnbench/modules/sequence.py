"""One LightningModule for every cell: truncated backpropagation, clipping, evaluation with the state carried."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer

from rnnbench.config import CellConfig, ModelConfig, OptimConfig
from rnnbench.data.task import Batch, Task
from rnnbench.models.sequence import SequenceModel, State
from rnnbench.modules.metrics import loss_for, metric_for
from rnnbench.modules.optimizers import make_optimizer, make_schedule


class SequenceModule(L.LightningModule):
    """Trains any cell on any task.

    Characters are learned by truncated backpropagation: consecutive batches continue each other, the state goes from
    one to the next and the gradient does not. The step is lean: no ``.item()`` and no logging in it; sums stay on the
    device and go to the logger every ``log_every`` steps.

    Args:
        task: What the data asks for (``SequenceDataModule.task``).
        cell: Which cell, with its options.
        model: Sizes, blocks, initialisation and backend.
        optim: Optimiser, learning rate, clipping, schedule.
        total_steps: Length of the training, where it is known; a schedule needs it.
        log_every: Steps between rows of the history.
        span: The longest dependency to expect, in steps: what init chrono prepares for.
    """

    def __init__(
        self,
        task: Task,
        cell: CellConfig | str = "lstm",
        model: ModelConfig = ModelConfig(),  # noqa: B008 - frozen
        optim: OptimConfig = OptimConfig(),  # noqa: B008 - frozen
        total_steps: int = 0,
        log_every: int = 50,
        span: int = 64,
    ) -> None:
        super().__init__()
        self.task, self.cell, self.optim = task, CellConfig.parse(cell), optim
        self.total_steps, self.log_every = total_steps, log_every
        self.model = SequenceModel(task, self.cell, model, span)
        self.loss, self.metric = loss_for(task), metric_for(task)
        self.diverged = False
        self.provenance: dict[str, str] = {}  # goes into every checkpoint, to be compared before it is resumed from
        self._seen = 0
        self._carry: State | None = None
        self._eval_carry: State | None = None
        self._loss_sum = torch.zeros(())
        self._norms = torch.zeros(max(total_steps, 1))
        self._rng: Tensor | None = None

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, C) → readout and last states; see `SequenceModel.forward`."""
        out: tuple[Tensor, State] = self.model(x, state)
        return out

    # --- training -----------------------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        out, state = self.model(batch.x, None if batch.reset else self._carry)
        if self.task.stateful:
            self._carry = [s.detach() for s in state]
        loss: Tensor = self.loss(out.flatten(0, -2), batch.y.flatten() if self.task.kind == "tokens" else batch.y)
        self._loss_sum += loss.detach()
        self._seen += 1
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the global norm, and keep what it was before."""
        limit = math.inf if self.optim.clip is None else self.optim.clip
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        if self._seen > len(self._norms):  # a training of unknown length: room for as many again
            self._norms = torch.cat([self._norms, torch.zeros_like(self._norms)])
        self._norms[self._seen - 1] = norm
        if limit < math.inf:
            torch.nn.utils.clip_grads_with_norm_(list(self.model.parameters()), limit, norm, foreach=True)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self.row_due:
            self._log_row(batch)

    @property
    def row_due(self) -> bool:
        """Is the step just made one after which a row of the history is written?"""
        return self._seen % self.log_every == 0 or self._seen == self.total_steps

    def _log_row(self, batch: Batch) -> None:
        """The one place that reads training figures off the device."""
        count = (self._seen - 1) % self.log_every + 1
        loss = float(self._loss_sum) / count
        self._loss_sum.zero_()
        norms = self._norms[self._seen - count : self._seen]
        row = {"tokens": float(self._seen * batch.x.shape[0] * batch.x.shape[1])}
        if self.task.kind == "tokens":
            row |= {"train/nll": loss, "train/bpc": loss / math.log(2)}
        else:
            row |= {"train/mse": loss}
        row |= {
            "grad_norm/mean": float(norms.mean()),
            "grad_norm/max": float(norms.max()),
            "lr": float(self._optimizer().param_groups[0]["lr"]),
        }
        for logger in self.loggers:
            logger.log_metrics(row, self._seen)
        if not math.isfinite(loss):
            self.diverged = True
            self.trainer.should_stop = True

    def gradient_norms(self) -> Tensor:
        """The global gradient norm of every step so far, before clipping."""
        return self._norms[: self._seen].cpu()

    def _optimizer(self) -> LightningOptimizer:
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        return optimizer

    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.model.parameters(), self.optim)
        schedule = make_schedule(optimizer, self.optim, self.total_steps)
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_fit_start(self) -> None:
        self._loss_sum = self._loss_sum.to(self.device)
        self._norms = self._norms.to(self.device)
        if self._carry is not None:
            self._carry = [s.to(self.device) for s in self._carry]

    def on_train_start(self) -> None:
        if self._rng is not None:  # a resumed run: dropout goes on where it was
            torch.set_rng_state(self._rng)
            self._rng = None

    # --- checkpoints --------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["rnnbench"] = {
            "seen": self._seen,
            "carry": self._carry,
            "loss_sum": self._loss_sum,
            "norms": self._norms,
            "rng": torch.get_rng_state(),
            **self.provenance,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint["rnnbench"]
        self._seen, self._carry = saved["seen"], saved["carry"]
        self._loss_sum, self._norms, self._rng = saved["loss_sum"], saved["norms"], saved["rng"]

    # --- evaluation ---------------------------------------------------------------------------------------------

    def _score(self, batch: Batch) -> None:
        out, state = self.model(batch.x, None if batch.reset else self._eval_carry)
        self._eval_carry = state
        self.metric.update(out, batch)

    def _log_scores(self, prefix: str) -> None:
        figures = self.metric.compute()
        self.metric.reset()
        self._eval_carry = None
        self.log_dict({f"{prefix}/{name}": value for name, value in figures.items()})

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._score(batch)

    def on_validation_epoch_end(self) -> None:
        self._log_scores("val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._score(batch)

    def on_test_epoch_end(self) -> None:
        self._log_scores("test")
