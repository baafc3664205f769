"""Other packages' cells: ``torchrecurrent:MGU`` is that package's MGUCell, ``torch:LSTM`` is torch.nn.LSTM.

They run as their authors wrote them, one time step at a time and with their own initialisation, to compare ours with.
They are not in `cell_names`, so a sweep over every cell leaves them out.
"""

from __future__ import annotations

import importlib
import inspect
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rnnbench.cells.cell import Cell, any_weight, square_blocks
from rnnbench.cells.exchange import from_torch
from rnnbench.config.values import PEERS
from rnnbench.errors import UserError, unknown

_PACKAGE = PEERS[1]


class Adapted(Cell):
    """A wrapped module, not copied; its state's parts, (B, width) each, lie side by side in one tensor.

    One part: (B, H). Several of one width: (B, parts, H). Of unlike widths: (B, sum of the widths). The first part is
    what the next layer reads.
    """

    module: Any  # an nn.Module; its class's own attributes are used

    def __init__(self, module: nn.Module, input_size: int, widths: Sequence[int]) -> None:
        super().__init__(input_size, widths[0])
        self.module, self.widths = module, tuple(widths)

    @property
    def state_shape(self) -> tuple[int, ...]:
        first, parts = self.widths[0], len(self.widths)
        if len(set(self.widths)) > 1:
            return (sum(self.widths),)
        return (first,) if parts == 1 else (parts, first)

    def reset_parameters(self) -> None:
        self.module.reset_parameters()

    def drive(self, x: Tensor) -> Tensor:
        return x.to(any_weight(self.module).dtype)

    @abstractmethod
    def module_step(self, u: Tensor, parts: Sequence[Tensor]) -> Sequence[Tensor]:
        """(B, I) and the state's parts → its next parts."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        # The module computes in one dtype only, so under bfloat16 parameters the state is rounded at every step.
        parts = s.flatten(1).to(u.dtype).split(self.widths, dim=-1)
        return torch.cat(list(self.module_step(u, parts)), dim=-1).to(s.dtype).view_as(s)

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        return s.flatten(2)[..., : self.hidden_size]


class TorchCell(Adapted):
    """A single-layer, unidirectional `nn.RNN`, `nn.LSTM` or `nn.GRU`, run through the module itself.

    The state is h, (B, H), or an LSTM's h and c, (B, 2, H); where h is projected, the two widths added up.
    """

    def __init__(self, module: nn.RNNBase) -> None:
        width, memory = module.proj_size or module.hidden_size, module.hidden_size
        super().__init__(module, module.input_size, (width, memory) if module.mode == "LSTM" else (width,))

    @property
    def torch_mode(self) -> str | None:
        return self.module.mode if self.module.bias and not self.module.proj_size else None

    def recurrent_matrices(self) -> list[Tensor]:
        return [] if self.module.proj_size else list(self.module.weight_hh_l0.split(self.hidden_size))

    def gates(self) -> dict[str, list[Tensor]]:
        order = {"LSTM": ("write", "keep"), "GRU": ("", "keep")}.get(self.module.mode, ())
        if not self.module.bias:
            return {}
        biases = [bias.split(self.module.hidden_size) for bias in (self.module.bias_ih_l0, self.module.bias_hh_l0)]
        return {role: [bias[gate] for bias in biases] for gate, role in enumerate(order) if role}

    def gate_values(self, u: Tensor, s: Tensor) -> dict[str, Tensor]:
        if self.torch_mode is None:
            return {}
        (twin,) = from_torch(self.module)
        return twin.gate_values(twin.drive(u), s)

    def module_step(self, u: Tensor, parts: Sequence[Tensor]) -> Sequence[Tensor]:
        state = [part.unsqueeze(0).contiguous() for part in parts]
        time = 1 if self.module.batch_first else 0
        _, last = self.module(u.unsqueeze(time), tuple(state) if len(state) > 1 else state[0])
        return [part.squeeze(0) for part in (last if isinstance(last, tuple) else (last,))]


class TorchRNN(TorchCell):
    """`torch.nn.RNN`."""

    paper = "Elman 1990, as torch.nn.RNN"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: Literal["tanh", "relu"] = "tanh"
    ) -> None:
        super().__init__(nn.RNN(input_size, hidden_size, bias=bias, nonlinearity=nonlinearity, batch_first=True))


class TorchLSTM(TorchCell):
    """`torch.nn.LSTM`.

    Args:
        cell_size: Width of c. Above H, h is projected down from it (Sak, Senior & Beaufays 2014): torch's hidden_size
            is this then, and its proj_size H.

    Raises:
        UserError: a cell_size below H.
    """

    paper = "Hochreiter & Schmidhuber 1997, as torch.nn.LSTM"

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, cell_size: int | None = None) -> None:
        memory = hidden_size if cell_size is None else cell_size
        if memory < hidden_size:
            raise UserError(f"cell.cell_size must be at least the hidden size {hidden_size}, got {cell_size}.")
        projection = hidden_size if memory > hidden_size else 0
        super().__init__(nn.LSTM(input_size, memory, bias=bias, batch_first=True, proj_size=projection))


class TorchGRU(TorchCell):
    """`torch.nn.GRU`."""

    paper = "Cho et al. 2014, as torch.nn.GRU"

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(nn.GRU(input_size, hidden_size, bias=bias, batch_first=True))


_TORCH: dict[str, type[Cell]] = {"torch:RNN": TorchRNN, "torch:LSTM": TorchLSTM, "torch:GRU": TorchGRU}


def adapt(module: nn.RNNBase) -> Cell:
    """A torch module of your own as a cell: the weights are shared, and it may be without biases or projected.

    Raises:
        UserError: not one of torch's recurrent modules, several layers, or two directions.
    """
    if not isinstance(module, nn.RNNBase):
        raise UserError(f"adapt takes an nn.RNN, nn.LSTM or nn.GRU, got {type(module).__name__}; write a Cell for it.")
    if module.num_layers > 1 or module.bidirectional:
        how = "two directions" if module.bidirectional else f"{module.num_layers} layers"
        raise UserError(f"a cell is one layer in one direction, got a {type(module).__name__} of {how}; split it.")
    return TorchCell(module)


class ExternalCell(Adapted):
    """A cell of the package torchrecurrent; one call shows what its state is made of.

    The parts are its state's, in its order; where its output is not one of them the output comes first, so that it can
    be read; where its step also takes an earlier state (tauGRU), the last ``delay`` states follow, the oldest first.

    Args:
        kind: Its class.
        delay: How many states back the earlier one is, counted from the last; 0 where the step takes none.
        options: The class's own.

    Raises:
        UserError: sizes or options that the class refuses, in its words.
    """

    def __init__(self, kind: type[Any], input_size: int, hidden_size: int, delay: int = 0, **options: Any) -> None:
        if _takes_earlier(kind) and delay < 1:
            raise UserError(f"cell.delay must be at least 1, got {delay}.")
        try:
            module = kind(input_size, hidden_size, device=torch.get_default_device(), **options)
        except (ValueError, TypeError) as error:
            raise UserError(f"{_PACKAGE} refuses to build {kind.__name__}: {str(error).rstrip('.')}.") from error
        with torch.no_grad():
            first = module(any_weight(module).new_zeros(1, input_size))
        widths = [part.shape[-1] for part in _flat(first)] + delay * [hidden_size]
        super().__init__(module, input_size, widths)
        #: The state is a pair; and the output is not one of its parts.
        self.paired = module.uses_double_state()
        self.apart = isinstance(first, tuple) and not (self.paired and isinstance(first[1], Tensor))
        self.delay = delay

    def recurrent_matrices(self) -> list[Tensor]:
        return square_blocks(self.module, self.hidden_size)

    def module_step(self, u: Tensor, parts: Sequence[Tensor]) -> Sequence[Tensor]:
        now, past = parts[self.apart : len(parts) - self.delay], parts[len(parts) - self.delay :]
        new = _flat(self.module(u, tuple(now) if self.paired else now[0], *past[:1]))
        return [*new, *past[1:], now[0]] if past else new


def _flat(result: Any) -> list[Tensor]:
    """The tensors of ``h``, ``(h, c)``, ``(output, state)`` or ``(output, (h, c))``, in that order."""
    return [part for item in result for part in _flat(item)] if isinstance(result, tuple) else [result]


def external_names() -> list[str]:
    """Every name that `cell_class` knows besides `cell_names`: torch's, and torchrecurrent's where it is installed."""
    package = _package()
    kinds = [item for item in package.__all__ if item.endswith("Cell")] if package else []
    return [*_TORCH, *(f"{_PACKAGE}:{kind.removesuffix('Cell')}" for kind in sorted(kinds, key=str.lower))]


@cache
def external_class(name: str) -> type[Cell]:
    """The class behind a name with a colon, made at its first use.

    Raises:
        UserError: an unknown name, or a package that is not installed.
    """
    package = _package()
    if package is None and name.startswith(f"{_PACKAGE}:"):
        raise UserError(f'the cell "{name}" needs the package {_PACKAGE}: pip install rnnbench[peers].')
    if name not in external_names():
        raise unknown("cell", name, external_names())
    if name in _TORCH:
        return _TORCH[name]
    kind = getattr(package, name.partition(":")[2] + "Cell")
    source = re.search(r"<(https?://[^>]+)>", kind.__doc__ or "")
    space = {
        "__init__": _constructor(kind),
        "__doc__": kind.__doc__,
        "__module__": __name__,
        "paper": f"{_PACKAGE}, after {source[1]}" if source else _PACKAGE,
    }
    return type(name, (ExternalCell,), space)


def _constructor(kind: type[Any]) -> Callable[..., None]:
    """An ``__init__`` whose signature has the plain keyword arguments of ``kind`` as options."""
    parameters = inspect.signature(kind).parameters
    defaults = {
        name: item.default for name, item in parameters.items() if isinstance(item.default, bool | int | float | str)
    }
    if _takes_earlier(kind):
        defaults["delay"] = 1

    def __init__(self: ExternalCell, input_size: int, hidden_size: int, **options: Any) -> None:
        ExternalCell.__init__(self, kind, input_size, hidden_size, **{**defaults, **options})

    types = {name: type(default) for name, default in defaults.items()}
    sizes = [item for item in inspect.signature(__init__).parameters.values() if item.name != "options"]
    extra = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name]) for name in types]
    __init__.__signature__ = inspect.Signature([*sizes, *extra])  # type: ignore[attr-defined]
    __init__.__annotations__ = {"input_size": int, "hidden_size": int, **types, "return": None}
    return __init__


def _takes_earlier(kind: type[Any]) -> bool:
    """Whether a step takes more than self, an input and a state: an earlier state."""
    return len(inspect.signature(kind.forward).parameters) > 3


def _package() -> ModuleType | None:
    return importlib.import_module(_PACKAGE) if find_spec(_PACKAGE) else None
