"""One LightningModule for every cell: truncated backpropagation, clipping, evaluation with the state carried."""

from __future__ import annotations

import inspect
import math
from typing import Any

import lightning as L
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from rnnbench.cells.cell import Cell
from rnnbench.config import CellConfig, ModelConfig, OptimConfig, Run
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models.build import build
from rnnbench.models.loss import loss
from rnnbench.models.stack import State
from rnnbench.training.checkpoints import random_state, restore_random_state
from rnnbench.training.metrics import PRIMARY_METRIC, metric_for
from rnnbench.training.micro_batches import BatchSplit, in_parts
from rnnbench.training.optimizers import clip_gradients, make_optimizer, make_schedule


class SequenceModule(L.LightningModule):
    """Trains any cell on any task.

    Characters are learned by truncated backpropagation: consecutive batches continue each other, the state goes from
    one to the next and the gradient does not. The step has no ``.item()`` and no logging in it: sums stay on the device
    and go to the logger every ``log_every`` steps. Optimisation is manual: the Trainer's own way from the loss to the
    update costs as much as a tenth of a small cell's step.

    Args:
        task: What the data asks for (``SequenceDataModule.task``).
        cell: Which cell, with its options.
        model: Sizes, blocks, initialisation and backend.
        optim: Optimiser, learning rate, clipping, schedule.
        total_steps: Length of the training, where it is known; a schedule needs it.
        log_every: Steps between rows of the history.
        span: The longest dependency to expect, in steps: what init chrono prepares for.
        keep_best: Keep a copy of the weights of the best validation, for `restore_best`.
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
        keep_best: bool = False,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.task, self.cell, self.optim = task, CellConfig.parse(cell), optim
        self.total_steps, self.log_every = total_steps, log_every
        self.model = build(task, self.cell, model, span)
        if optim.truncate is not None and task.writes:
            raise UserError(
                f"optim.truncate {optim.truncate} cuts one recurrence over time, and this task has two, an encoder's "
                "and a decoder's; leave it out."
            )
        self.model.probed.truncate = optim.truncate
        self._weights = list(self.model.parameters())  # to go through the modules for them takes longer than clipping
        cells = self.model.cells
        self._penalised = [cell for cell in cells if type(cell).penalty is not Cell.penalty]
        self._constrained = [cell for cell in cells if type(cell).constrain is not Cell.constrain]
        self.metric = metric_for(task)
        self.diverged = False
        self.keep_best = keep_best
        self.best: tuple[float, dict[str, Tensor]] | None = None
        self.provenance: dict[str, str] = {}  # goes into every checkpoint, to be compared before it is resumed from
        self.split: BatchSplit | None = None  # of every batch; None: all of it here, and at once
        self._seen = 0
        self._tokens: int | Tensor = 0  # a tensor on the device where sequences have lengths
        self._carry: State | None = None  # of this process's rows
        self._rows = 0  # of the whole batch
        self._eval_carry: State | None = None
        self._first_loss: float | Tensor = math.inf
        self._loss_sum, self._penalty_sum = torch.zeros(()), torch.zeros(())
        self._norms = torch.zeros(max(total_steps, 1))
        self._rng: Tensor | None = None

    def forward(self, batch: Batch, state: State | None = None) -> tuple[Tensor, State]:
        """The model's ``predict``: outputs to compare with the batch's targets, and the last states."""
        return self.model.predict(batch, state)

    # --- training -----------------------------------------------------------------------------------------------

    def _apply_batch_transfer_handler(
        self, batch: Batch, device: torch.device | None = None, dataloader_idx: int = 0
    ) -> Batch:
        """A batch that is on the device already is left alone: Lightning calls two hooks to find that out."""
        if batch.x.device == (device or self.device):
            return batch
        moved: Batch = super()._apply_batch_transfer_handler(batch, device, dataloader_idx)
        return moved

    def __setattr__(self, name: str, value: Any) -> None:
        """Twenty times a step Lightning notes which hook it is in; nn.Module checks each time if that is a weight."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Forward, backward, and by way of `on_before_optimizer_step` clipping and update."""
        for weight in self._weights:
            weight.grad = None
        carry = None if batch.reset else self._carry
        if self.split is None:
            out, state = self.model.predict(batch, carry)
            value, penalty = loss(out, batch, self.task), self._penalty()
            self._backward(value if penalty is None else value + penalty)
        else:
            self._rows = batch.x.shape[0]
            value, state = in_parts(self.model, batch, carry, self.task, self.split, self._backward, self._penalty)
        if self.task.stateful:
            self._carry = [s.detach() for s in state]
        if not self._seen:
            first = value.detach().clone()
            self._first_loss = first if self.split is None else self.split.sum(first)
        self._loss_sum.add_(value.detach())
        self._seen += 1
        steps = batch.x.shape[0] * batch.x.shape[1] if batch.lengths is None else batch.lengths.sum()
        self._tokens = self._tokens + steps
        self._optimizer().step()
        if self._constrained:
            with torch.no_grad():
                for cell in self._constrained:
                    cell.constrain()
        if (schedule := self.lr_schedulers()) is not None:
            assert isinstance(schedule, LRScheduler)
            schedule.step()

    def _penalty(self) -> Tensor | None:
        """The sum over the cells, (), None where no cell has one; the history's row has the mean since the last one."""
        values = [value for cell in self._penalised if (value := cell.penalty()) is not None]
        if not values:
            return None
        total = torch.stack(values).sum()
        self._penalty_sum.add_(total.detach(), alpha=1 / (self.split.micro_batches if self.split else 1))
        return total

    def _backward(self, value: Tensor, last: bool = True) -> None:
        """The Trainer's way where it has to scale, or after the last micro-batch to exchange gradients.

        It calls two hooks of every callback, which is 1 % of a plain RNN's step.
        """
        if self.trainer.scaler is not None or (last and self.split is not None and self.split.devices > 1):
            self.manual_backward(value)
        else:
            value.backward()

    # Lightning asks for it at every step, and takes longer to find it out.
    training_step.__signature__ = inspect.signature(training_step)  # type: ignore[attr-defined]

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradients, and keep what their global norm was before."""
        if self._seen > len(self._norms):  # a training of unknown length
            self._norms = torch.cat([self._norms, torch.zeros_like(self._norms)])
        self._norms[self._seen - 1] = clip_gradients(self._weights, self.optim)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self.row_due:
            self._log_row()

    @property
    def row_due(self) -> bool:
        """Is a row of the history written after the last step?"""
        return self._seen % self.log_every == 0 or self._seen == self.total_steps

    def _log_row(self) -> None:
        """The only place that reads training figures off the device."""
        count = (self._seen - 1) % self.log_every + 1
        total = self._loss_sum if self.split is None else self.split.sum(self._loss_sum.clone())
        mean = float(total) / count
        self._loss_sum.zero_()
        norms = self._norms[self._seen - count : self._seen]
        row = {"tokens": float(self.tokens), f"train/{'mse' if self.task.predicts == 'values' else 'nll'}": mean}
        if self.task.predicts == "symbols":
            row |= {"train/bpc": mean / math.log(2)}
        if self._penalised:
            row |= {"train/penalty": float(self._penalty_sum) / count}
            self._penalty_sum.zero_()
        row |= {
            "grad_norm/mean": float(norms.mean()),
            "grad_norm/max": float(norms.max()),
            "lr": float(self._optimizer().param_groups[0]["lr"]),
        }
        for logger in self.loggers:
            logger.log_metrics(row, self._seen)
        if not math.isfinite(mean):
            self.diverged = True
            self.trainer.should_stop = True

    def restore_best(self) -> None:
        """Set the weights of the best validation, where they were kept."""
        if self.best is not None:
            self.model.load_state_dict(self.best[1])

    @property
    def updates(self) -> int:
        """Training steps made so far."""
        return self._seen

    @property
    def tokens(self) -> int:
        """Time steps read in training so far, padding not counted."""
        return int(self._tokens)

    @property
    def first_loss(self) -> float:
        """The loss of the first batch, before any update; infinite before it."""
        return float(self._first_loss)

    def gradient_norms(self) -> Tensor:
        """The global gradient norm of every step so far, before clipping."""
        return self._norms[: self._seen].cpu()

    def _optimizer(self) -> LightningOptimizer:
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        return optimizer

    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.model.parameters(), self.optim, self.model.cells)
        schedule = make_schedule(optimizer, self.optim, self.total_steps)
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_fit_start(self) -> None:
        self._loss_sum, self._penalty_sum = self._loss_sum.to(self.device), self._penalty_sum.to(self.device)
        self._norms = self._norms.to(self.device)
        if self._carry is not None:
            self._carry = [s.to(self.device) for s in self._carry]
        if self.split is not None:  # every process scores all of the validation part
            self.metric.distributed_available_fn = lambda: False

    def on_train_start(self) -> None:
        if self._rng is not None:  # a resumed run: dropout draws what it would have drawn
            restore_random_state(self._rng, self.device)
            self._rng = None

    # --- checkpoints --------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The state of all processes, in every process's checkpoint: any number of them can resume from it."""
        split, rng = self.split or BatchSplit(), random_state(self.device)
        checkpoint["rnnbench"] = {
            "seen": self._seen,
            "tokens": self.tokens,
            "first_loss": self.first_loss,
            "carry": self._carry and [split.gather(s, self._rows) for s in self._carry],
            "loss_sum": split.stack(self._loss_sum),
            **({"penalty_sum": self._penalty_sum} if self._penalised else {}),
            "norms": self._norms,
            "rng": split.stack(rng.to(self.device)).cpu() if split.devices > 1 else rng,
            "best": self.best,
            **self.provenance,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        saved, split = checkpoint["rnnbench"], self.split or BatchSplit()
        self._seen, self._tokens, self._norms, self.best = (saved[key] for key in ("seen", "tokens", "norms", "best"))
        self._first_loss = saved["first_loss"]
        self._penalty_sum = saved.get("penalty_sum", self._penalty_sum)  # the same in every process
        if saved["carry"] is not None:
            self._rows = len(saved["carry"][0])
            self._carry = [s[split.shard(self._rows)] for s in saved["carry"]]
        # One of these a process; another number of processes takes what it can.
        sums, rngs = torch.atleast_1d(saved["loss_sum"]), torch.atleast_2d(saved["rng"])
        if len(sums) == split.devices:
            self._loss_sum = sums[split.rank]
        elif split.rank == 0:
            self._loss_sum = sums.sum()
        if split.rank < len(rngs):
            self._rng = rngs[split.rank]

    # --- evaluation ---------------------------------------------------------------------------------------------

    def _score(self, batch: Batch) -> None:
        out, state = self.model.predict(batch, None if batch.reset else self._eval_carry)
        self._eval_carry = state
        self.metric.update(out, batch)

    def _log_scores(self, prefix: str) -> None:
        figures = self.metric.compute()
        self.metric.reset()
        self._eval_carry = None
        score = float(figures[PRIMARY_METRIC[self.task.predicts]])
        # NaN compares as neither better nor worse, and would stay the best for ever.
        eligible = prefix == "val" and self.keep_best and math.isfinite(score)
        if eligible and (self.best is None or score < self.best[0]):
            weights = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
            self.best = (score, weights)
        self.log_dict({f"{prefix}/{name}": value for name, value in figures.items()})

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._score(batch)

    def on_validation_epoch_end(self) -> None:
        self._log_scores("val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._score(batch)

    def on_test_epoch_end(self) -> None:
        self._log_scores("test")


def module_for(run: Run, task: Task) -> SequenceModule:
    """The module that a Run asks for, whichever its cell."""
    keep_best = run.budget.keep == "best"
    return SequenceModule(task, run.cell, run.model, run.optim, run.steps, span=run.data.seq_len, keep_best=keep_best)
