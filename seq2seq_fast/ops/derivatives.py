"""How the raw operators are differentiated, transformed and batched: one mechanism for all of them.

A raw operator carries its derivative itself, so that direct calls, exported programs, traces and compiled graphs are
differentiated alike. Its kernel for autograd and for the transforms of ``torch.func`` is a ``torch.autograd.Function``:

- Its backward is the raw operator ``NAME_backward`` of ``NAME_forward``, which gets by name what forward was given and
  returned; where there is none, the gradient is that of the reference formula.
- Second derivatives and forward-mode ones are those of the reference formula.
- Its rule for ``vmap`` calls the operator once for each of the mapped entries.

Each operator's file says what this needs to know of it, with :func:`declare_derivative`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from seq2seq_fast.ops.autograd import no_autocast

Named = Mapping[str, Any]
Formula = Callable[..., Sequence[Tensor | None]]
# Arguments by name, gradients of the outputs by name, names of the arguments that need one -> their gradients.
Gradients = Callable[[Named, Named, Sequence[str]], dict[str, Tensor]]


@dataclass(frozen=True)
class Derivative:
    """What the derivative of a raw operator is made of; see :func:`declare_derivative`."""

    formula: Formula
    outputs: Sequence[str]
    inputs: Sequence[Sequence[str]]

    @property
    def arguments(self) -> list[str]:
        """Those that have gradients."""
        return [name for group in self.inputs for name in group]


DERIVATIVES: dict[str, Derivative] = {}


def declare_derivative(name: str, formula: Formula, outputs: Sequence[str], *inputs: str) -> None:
    """Say how the raw operator ``name`` is differentiated.

    Args:
        name: as in :data:`seq2seq_fast.ops.schemas.SCHEMAS`.
        formula: the reference. It takes the operator's arguments by name and returns the outputs that have gradients.
        outputs: names of these outputs.
        inputs: for each result of the backward operator the argument whose gradient it is, or two arguments, apart by a
            space, that share it. What is left out is a constant, or follows from others, as exponentials from keys.
    """
    DERIVATIVES[name] = Derivative(formula, tuple(outputs), tuple(tuple(group.split()) for group in inputs))


def register(library: torch.library.Library, schemas: Mapping[str, str], *, override: bool = False) -> None:
    """Give every raw operator of the library's namespace its kernel for autograd and for ``torch.func``.

    Args:
        library: of the namespace.
        schemas: of its operators, by name.
        override: in place of the kernel that torch gives operators of its own making.
    """
    for name in schemas:
        function = _raw_function(library.ns, name, schemas)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*operators may also be overridden")
            library.impl(name, _kernel(function), "Autograd", allow_override=override)
        library.impl(name, _kernel(function), "FuncTorchDynamicLayerFrontMode")


def _kernel(function: Any) -> Callable:
    return lambda *arguments: _call(function, arguments)


def _call(function: Any, arguments: Sequence[Any]) -> Any:
    """The function, recorded where somebody may differentiate it or transforms it."""
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return function.apply(*arguments)
    if torch.is_grad_enabled() and any(isinstance(a, Tensor) and a.requires_grad for a in arguments):
        return function.apply(*arguments)
    return function.forward(*arguments)


def _raw_function(namespace: str, name: str, schemas: Mapping[str, str]) -> Any:
    """The autograd function of a raw operator."""
    operator = getattr(getattr(torch.ops, namespace), name).default
    schema = torch._C.parse_schema(name + schemas[name])
    arguments, outputs = [argument.name for argument in schema.arguments], _names(schema.returns)
    if name.endswith("_backward"):
        return _function(
            name, operator, arguments, outputs, Derivative(_refusal(namespace, name), outputs, (arguments,))
        )
    derivative = DERIVATIVES[name]
    backward = name.removesuffix("_forward") + "_backward"
    if backward not in schemas:
        return _function(name, operator, arguments, outputs, derivative)
    backward_schema = torch._C.parse_schema(backward + schemas[backward])
    gradients = _through_backward(namespace, backward, backward_schema, derivative, arguments)
    kept = (*arguments, *(argument.name for argument in backward_schema.arguments))
    return _function(name, operator, arguments, outputs, derivative, kept, gradients)


def _names(returns: Sequence[Any]) -> list[str]:
    return [result.name or f"result_{i}" for i, result in enumerate(returns)]


def _function(
    name: str,
    operator: Callable,
    arguments: Sequence[str],
    outputs: Sequence[str],
    derivative: Derivative,
    kept: Sequence[str] | None = None,
    gradients: Gradients | None = None,
) -> Any:
    """An autograd function of an operator's arguments.

    ``kept`` names the arguments and outputs that ``gradients`` and the formula read; by default all arguments and the
    formula's gradients.
    """
    gradients_of = gradients or _through_formula(derivative)
    places = {n: i for i, n in enumerate((*arguments, *outputs)) if n in (kept or arguments)}
    differentiable = [n in derivative.outputs for n in outputs]

    def kept_of(ctx: Any) -> dict[str, Any]:
        pairs = zip(ctx.saved_tensors, ctx.constants, strict=True)
        return dict(zip(places, (value if tensor is None else tensor for tensor, value in pairs), strict=True))

    class Raw(torch.autograd.Function):
        @classmethod
        def apply(cls, *inputs):
            if torch._C._are_functorch_transforms_active():
                return super().apply(*inputs)
            # torch's own apply inspects the signature of forward in every call, which takes longer than a small cell.
            return super(torch.autograd.Function, cls).apply(*inputs)

        @staticmethod
        def forward(*inputs):
            with torch._C._AutoDispatchBelowAutograd():
                return operator(*inputs)

        @staticmethod
        def setup_context(ctx, inputs, output):
            results = tuple(output) if isinstance(output, (tuple, list)) else (output,)
            ctx.set_materialize_grads(False)
            ctx.mark_non_differentiable(*(t for t, has in zip(results, differentiable, strict=True) if not has))
            values = (*inputs, *results)
            kept = [values[i] for i in places.values()]
            tensors = [value if isinstance(value, Tensor) else None for value in kept]
            ctx.constants = [None if isinstance(value, Tensor) else value for value in kept]
            ctx.save_for_backward(*tensors)
            if forward_ad._current_level >= 0:
                ctx.save_for_forward(*tensors)
                ctx.results = [(t.shape, t.dtype, t.device) for t in results]

        @staticmethod
        def backward(ctx, *grads):
            if all(grad is None for grad in grads):
                return (None,) * len(arguments)
            needed = [n for n, need in zip(arguments, ctx.needs_input_grad, strict=True) if need]
            with no_autocast(next(grad for grad in grads if grad is not None).device.type):
                found = gradients_of(kept_of(ctx), dict(zip(outputs, grads, strict=True)), needed)
            return tuple(found.get(n) for n in arguments)

        @staticmethod
        def jvp(ctx, *tangents):
            named = {n: value for n, value in kept_of(ctx).items() if n in arguments}
            found = _forward_mode(derivative, named, dict(zip(arguments, tangents, strict=True)))
            parts = zip(outputs, differentiable, ctx.results, strict=True)
            return tuple(_shaped(found.get(n), *result) if has else None for n, has, result in parts)

        @staticmethod
        def vmap(info, in_dims, *inputs):
            return _one_by_one(Raw.apply, info.batch_size, in_dims, inputs)

    Raw.__name__ = Raw.__qualname__ = name
    return Raw


def _refusal(namespace: str, name: str) -> Formula:
    def formula(**named: Any) -> list[Tensor | None]:
        raise NotImplementedError(f"{namespace}::{name} has no derivative: differentiate the public operators instead")

    return formula


def _outputs(derivative: Derivative, named: Named) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """The formula as a function of some of its arguments, the others as in ``named``."""

    def outputs(some: dict[str, Tensor]) -> dict[str, Tensor]:
        found = zip(derivative.outputs, derivative.formula(**{**named, **some}), strict=True)
        return {n: output for n, output in found if output is not None}

    return outputs


def _through_formula(derivative: Derivative) -> Gradients:
    """Gradients of the reference formula, which can be differentiated once more."""

    def gradients(named: Named, grads: Named, needed: Sequence[str]) -> dict[str, Tensor]:
        wanted = {n: named[n] for n in needed if n in derivative.arguments}
        if not wanted:
            return {}
        outputs, pull = torch.func.vjp(_outputs(derivative, named), wanted)
        given = {n: torch.zeros_like(o) if grads[n] is None else grads[n].to(o.dtype) for n, o in outputs.items()}
        return pull(given)[0]

    return gradients


def _forward_mode(derivative: Derivative, named: Named, tangents: Named) -> dict[str, Tensor]:
    """Tangents of the outputs: the vector-Jacobian product is linear, and its own product is the Jacobian's."""
    given = {n: tangents[n] for n in derivative.arguments if isinstance(tangents[n], Tensor)}
    if not given or not derivative.outputs:
        return {}
    outputs, pull = torch.func.vjp(_outputs(derivative, named), {n: named[n] for n in given})
    zeros = {n: torch.zeros_like(output) for n, output in outputs.items()}
    _, push = torch.func.vjp(lambda cotangents: pull(cotangents)[0], zeros)
    return push(given)[0]


def _shaped(tangent: Tensor | None, shape: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tangent in the dtype of its output; zeros where the output was not asked for."""
    if tangent is None or tangent.shape != shape:
        return torch.zeros(shape, dtype=dtype, device=device)
    return tangent.to(dtype)


def _through_backward(
    namespace: str, backward: str, schema: torch._C.FunctionSchema, derivative: Derivative, arguments: Sequence[str]
) -> Gradients:
    """Gradients by the backward operator, as a function whose own derivative is that of the reference formula."""
    operator = getattr(getattr(torch.ops, namespace), backward).default
    read = [argument.name for argument in schema.arguments]
    # The kernel may read less than the formula, and reads outputs of forward, which the formula makes anew.
    names = list(dict.fromkeys((*read, *arguments, "needs")))
    grads_read = [n for n in read if n.startswith("grad_")]
    results = _names(schema.returns)
    obligatory = [a.name for a in schema.arguments if a.name in grads_read and a.type.kind() != "OptionalType"]
    first_order = _through_formula(derivative)

    def formula(**named: Any) -> list[Tensor | None]:
        heads = [group[0] if need else None for group, need in zip(derivative.inputs, named["needs"], strict=True)]
        grads = {n: named.get(f"grad_{n}") for n in derivative.outputs}
        found = first_order({n: named[n] for n in arguments}, grads, [n for n in heads if n is not None])
        return [None if n is None else found[n] for n in heads]

    groups = (*((n,) for n in grads_read), *derivative.inputs)
    function = _function(
        backward,
        lambda *inputs: operator(*inputs[: len(read)]),
        names,
        results,
        Derivative(formula, results, groups),
        [*grads_read, *arguments, "needs"],
    )

    def gradients(named: Named, grads: Named, needed: Sequence[str]) -> dict[str, Tensor]:
        given = {f"grad_{n}": grad for n, grad in grads.items()}
        for name in obligatory:
            if given[name] is None:
                given[name] = torch.zeros_like(named[name.removeprefix("grad_")])
        needs = [any(n in needed for n in group) for group in derivative.inputs]
        if not any(needs):
            return {}
        everything = {**named, **given, "needs": needs}
        found = _call(function, [everything[n] for n in names])
        pairs = [(n, t) for group, t in zip(derivative.inputs, found, strict=True) for n in group if n in needed]
        return {n: t.to(named[n].dtype) for n, t in pairs}

    return gradients


def _one_by_one(function: Callable, count: int, in_dims: Sequence[Any], inputs: Sequence[Any]) -> tuple[Any, Any]:
    """``function`` of each entry of the mapped inputs, results stacked."""
    columns = [
        value.movedim(dim, 0).unbind() if isinstance(dim, int) else (value,) * count
        for value, dim in zip(inputs, in_dims, strict=True)
    ]
    results = [function(*row) for row in zip(*columns, strict=True)]
    if isinstance(results[0], Tensor):
        return torch.stack(results), 0
    return tuple(torch.stack(column) for column in zip(*results, strict=True)), (0,) * len(results[0])
