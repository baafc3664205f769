"""What can be said of a sequence's class without memory: the baselines of a recurrent network."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError


def guesses(frequent: Tensor, truth: Tensor) -> dict[str, float]:
    """majority_error: of always saying the commonest class. prior_nll: nats of the classes' frequencies plus one.

    From ``frequent``, (K,), how often each class is in the training part, and the test part's classes, (N,).
    """
    prior = (frequent + 1).double().log() - (frequent + 1).sum().double().log()
    return {
        "majority_error": float((truth != frequent.argmax()).double().mean()),
        "prior_nll": -float(prior[truth].mean()),
    }


def logistic_error(train: Batch, test: Batch, task: Task) -> float:
    """The test error of scikit-learn's logistic regression (its own L2 penalty) on `features`, without an order."""
    varied = train.lengths is not None or test.lengths is not None
    return fitted_error(features(train, task, varied), train.y, features(test, task, varied), test.y)


def features(batch: Batch, task: Task, varied: bool) -> Any:
    """A row a sequence: (N, F) numpy or scipy.sparse.

    Symbols: the logarithm of one plus how often each symbol and each pair of neighbours is in it. Numbers: all of them
    where sequences are equally long, else each channel's mean, standard deviation and last value.
    """
    count, seq_len = batch.x.shape[:2]
    lengths = torch.full((count,), seq_len) if batch.lengths is None else batch.lengths
    inside = torch.arange(seq_len) < lengths[:, None]
    if task.reads == "tokens":
        return _counts(batch.x, inside, task.input_size)
    if not varied:
        return batch.x.flatten(1).numpy()
    share = (inside / lengths[:, None])[:, :, None]
    mean = (batch.x * share).sum(1)
    deviation = ((batch.x - mean[:, None]).square() * share).sum(1).sqrt()
    return torch.cat((mean, deviation, batch.x[torch.arange(count), lengths - 1]), dim=1).numpy()


def fitted_error(train: Any, classes: Tensor, test: Any, truth: Tensor) -> float:
    """The share of wrong answers on test of a logistic regression fitted to train: rows of features, (N,) classes.

    Raises:
        UserError: scikit-learn is not installed.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise UserError("the logistic regression needs a package: pip install scikit-learn") from None
    model = LogisticRegression(max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred iterations are enough for a line
        model.fit(train, classes.numpy())
    return float((model.predict(test) != truth.numpy()).mean())


def _counts(x: Tensor, inside: Tensor, symbols: int) -> Any:
    from scipy.sparse import csr_matrix

    row = torch.arange(len(x))[:, None].expand_as(x)
    pairs = symbols + x[:, :-1] * symbols + x[:, 1:]
    rows = torch.cat((row[inside], row[:, 1:][inside[:, 1:]])).numpy()
    columns = torch.cat((x[inside], pairs[inside[:, 1:]])).numpy()
    ones = torch.ones(len(rows)).numpy()
    return csr_matrix((ones, (rows, columns)), shape=(len(x), symbols + symbols**2)).log1p()
