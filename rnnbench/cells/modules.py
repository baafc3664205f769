"""Any nn.Module as a cell, by ``file.py:Class`` or ``package.module:Class``.

A `Cell` is taken as it is. What else there is takes (input_size, hidden_size, **options) and is called in one of these
forms, of which a trial call shows which (`rnnbench.cells.trial`):

    a step    x (B, I), h → h;  x, (h, c) → (h, c);  or with an output of its own before the state
    a layer   x (B, T, I), or (T, B, I), and a state, or None at the start → y (B, T, H), or (y, state)

It starts from zeros, or from what its method initial_state(batch) returns.
"""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from rnnbench.cells.adapters import Adapted, external_class
from rnnbench.cells.cell import Cell, square_blocks
from rnnbench.cells.registry import finds_external
from rnnbench.cells.sequence_cell import SequenceCell
from rnnbench.cells.trial import Form, NotAsked, Part, form_of, leaves, own_state, past_of, rebuilt
from rnnbench.config import CellConfig
from rnnbench.errors import UserError, did_you_mean, told
from rnnbench.system.python_files import loaded_file

FORMS = (
    "a Cell; a step (x, h) → h or (x, (h, c)) → (h, c), either also with an output before the state; a layer "
    "x (B, T, I) or (T, B, I), with a state or without → y or (y, state)"
)
#: How modules were taken, by name, of which has been said already.
_said: set[tuple[str, str]] = set()
#: What was found out, by class, sizes and options.
_forms: dict[tuple[object, ...], Form] = {}


class StepModule(Adapted):
    """A module that does one time step; its state's parts, behind an output that is none of them, are flattened."""

    def __init__(self, module: nn.Module, form: Form, input_size: int, hidden_size: int) -> None:
        self.form, self.parts_of_state = form, leaves(form.state)
        widths = [math.prod(part.shape) for part in self.parts_of_state]
        super().__init__(module, input_size, [hidden_size, *widths] if form.apart else widths)

    def initial_state(self, batch: int) -> Tensor:
        zeros = super().initial_state(batch)
        if (own := own_state(self.module)) is None:
            return zeros
        parts = [part.flatten(1) for part in leaves(own(batch))]
        before = [zeros.flatten(1)[:, : self.hidden_size]] if self.form.apart else []
        return torch.cat([*before, *parts], dim=-1).to(zeros).view_as(zeros)

    def recurrent_matrices(self) -> list[Tensor]:
        return square_blocks(self.module, self.hidden_size)

    def module_step(self, u: Tensor, parts: Sequence[Tensor]) -> Sequence[Tensor]:
        flat = zip(parts[self.form.apart :], self.parts_of_state, strict=True)
        state = rebuilt(self.form.state, iter([tensor.unflatten(1, part.shape) for tensor, part in flat]))
        return [part.flatten(1) for part in leaves(self.module(u, state))]


class LayerModule(SequenceCell):
    """A module that is given a whole sequence; of one without a state, the last inputs are what it remembers."""

    module: Any  # an nn.Module; its class's own attributes are used

    def __init__(self, module: nn.Module, form: Form, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.module, self.form = module, form
        self.parts_of_state = [Part((form.past, input_size))] if form.past else leaves(form.state)

    @property
    def memory_shape(self) -> tuple[int, ...]:
        return (sum(math.prod(part.shape) for part in self.parts_of_state),)

    def initial_state(self, batch: int) -> Tensor:
        zeros = super().initial_state(batch)
        own = None if self.form.past else own_state(self.module)
        if own is None:
            return zeros
        return torch.cat((zeros[:, : self.hidden_size], self._packed(own(batch)).to(zeros)), dim=-1)

    def drive(self, x: Tensor) -> Tensor:
        return x.to(next(self.module.parameters(), x).dtype)

    def sequence(self, u: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        if self.form.past:
            inputs = torch.cat((s.to(u.dtype).unflatten(1, (self.form.past, self.input_size)), u), dim=1)
            return self._called(inputs)[:, self.form.past :], inputs[:, -self.form.past :].flatten(1)
        y, last = self._called(u, self._unpacked(s.to(u.dtype)))
        return y, self._packed(last)

    def _called(self, x: Tensor, *state: Any) -> Any:
        """The module, whichever of batch and time comes first in it."""
        if self.form.batch_first:
            return self.module(x, *state)
        out = self.module(x.transpose(0, 1), *state)
        return (out[0].transpose(0, 1), *out[1:]) if state else out.transpose(0, 1)

    def _unpacked(self, s: Tensor) -> Any:
        """(B, M) → the state as the module takes it."""
        flat = s.split([math.prod(part.shape) for part in self.parts_of_state], dim=-1)
        pairs = zip(flat, self.parts_of_state, strict=True)
        tensors = [one.unflatten(1, part.shape).movedim(0, part.axis).contiguous() for one, part in pairs]
        return rebuilt(self.form.state, iter(tensors))

    def _packed(self, state: Any) -> Tensor:
        pairs = zip(leaves(state), self.parts_of_state, strict=True)
        return torch.cat([tensor.movedim(part.axis, 0).flatten(1) for tensor, part in pairs], dim=-1)


class _Module(Cell):
    """What stands for a module's class: to build it is to build the module, try it, and adapt it by its form."""

    kind: ClassVar[type[nn.Module]]
    name: ClassVar[str]
    forms: ClassVar[tuple[type[StepModule], type[LayerModule]]]

    def __new__(cls, input_size: int, hidden_size: int, **options: Any) -> Cell:  # type: ignore[misc]
        module = cls.kind(input_size, hidden_size, **options)
        try:
            form = _form(module, input_size, hidden_size, options)
        except NotAsked as reason:
            raise UserError(f"{cls.name} cannot be taken as a cell: {reason}. Accepted are: {FORMS}.") from None
        if (cls.name, str(form)) not in _said:
            _said.add((cls.name, str(form)))
            print(f"{cls.name}: an nn.Module taken as {form}", file=sys.stderr)
        step, layer = cls.forms
        return (step if form.step else layer)(module, form, input_size, hidden_size)


def _form(module: nn.Module, input_size: int, hidden_size: int, options: dict[str, Any]) -> Form:
    """A module's form, found out once for each of its sizes: by a twin where the module has no values, or is changed.

    Raises:
        NotAsked: It has none of the forms.
    """
    kind = type(module)
    key = (kind, input_size, hidden_size, repr(options))
    if key not in _forms:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.manual_seed(0)
            is_meta = any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
            tried = kind(input_size, hidden_size, **options) if is_meta else module
            form = form_of(tried, input_size, hidden_size)
            if form.past is not None:
                batch_first, past = past_of(kind(input_size, hidden_size, **options), input_size)
                form = Form(False, (), batch_first=batch_first, past=past)
        _forms[key] = form
    return _forms[key]


def cell_of(kind: type[nn.Module], name: str) -> type[Cell]:
    """The class of cells that a class of modules makes: itself, where it is a `Cell`."""
    if issubclass(kind, Cell):
        return kind
    about: dict[str, Any] = {
        "__doc__": kind.__doc__,
        "__module__": kind.__module__,
        "paper": "",
        "kind": kind,
        "name": name,
    }
    about["forms"] = tuple(type(kind.__name__, (form,), dict(about)) for form in (StepModule, LayerModule))
    return type(kind.__name__, (_Module,), {**about, **_options(kind)})


def _options(kind: type[nn.Module]) -> dict[str, Any]:
    """An ``__init__`` with the signature of a class of modules, from which a cell's options are read."""
    parameters = [*inspect.signature(kind.__init__).parameters.values()][1:]
    positional = [item for item in parameters if item.kind is not inspect.Parameter.VAR_POSITIONAL]
    extra = [item for item in positional if item.kind is inspect.Parameter.VAR_KEYWORD]
    sizes = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("input_size", "hidden_size")]
    rest = [item for item in positional if item not in extra][0 if positional == extra else 2 :]
    chosen = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=inspect.Parameter.empty) for item in rest]
    try:
        hints = get_type_hints(kind.__init__)
    except Exception:  # names that are there for a type checker only
        hints = {}

    def __init__(self: Any, *sizes: int, **options: Any) -> None: ...

    __init__.__signature__ = inspect.Signature([*sizes, *chosen, *extra])  # type: ignore[attr-defined]
    __init__.__annotations__ = {item.name: hints[item.name] for item in chosen if _plain(hints.get(item.name))}
    return {"__init__": __init__}


def _plain(hint: Any) -> bool:
    """Whether values can be checked by an annotation."""
    if get_origin(hint) is Literal:
        return True
    return all(item in (bool, int, float, str, type(None)) for item in get_args(hint) or (hint,))


@finds_external
def class_behind(name: str) -> type[Cell]:
    """The class behind a name with a colon: another package's cell, or of the user's own module.

    Raises:
        UserError: there is no such package, module, file or class, or the class is no nn.Module.
    """
    return external_class(name) if CellConfig(name).short_name == name else _user_class(name)


@cache
def _user_class(name: str) -> type[Cell]:
    place, _, attribute = name.rpartition(":")
    module = _module(name, place)
    kind: Any = module
    for part in attribute.split("."):
        kind = getattr(kind, part, None)
    if inspect.isclass(kind) and issubclass(kind, nn.Module):
        return cell_of(kind, name)
    classes = [key for key, one in vars(module).items() if _is_module_of(one, module)]
    reason = "is none" if kind is None else "is no class of an nn.Module"
    raise UserError(f"{name}: {attribute} {reason} in {place}.{did_you_mean(attribute, classes)}")


def _module(name: str, place: str) -> ModuleType:
    if place.endswith(".py"):
        path = Path(place).expanduser()
        if not path.is_file():
            raise UserError(f'the cell "{name}" names the file {place}, which is not in {Path.cwd()}; say where it is.')
        return loaded_file(path)
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # as `python -m` has it, and the command `rnnbench` has not
    try:
        return importlib.import_module(place)
    except Exception as error:
        hint = f" For a file: {place}.py:{name.rpartition(':')[2]}." if Path(f"{place}.py").is_file() else ""
        raise UserError(f'the cell "{name}" cannot be imported: {told(error)}.{hint}') from error


def _is_module_of(value: Any, module: ModuleType) -> bool:
    return inspect.isclass(value) and issubclass(value, nn.Module) and value.__module__ == module.__name__
