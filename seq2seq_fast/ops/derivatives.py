"""How the raw operators are differentiated, transformed and batched: one mechanism for all of them.

A raw operator carries its derivative itself, so that direct calls, exported programs, traces and compiled graphs are
differentiated alike. Its kernel for autograd and for the transforms of ``torch.func`` is a ``torch.autograd.Function``:

- Its backward is the raw operator ``NAME_backward`` of ``NAME_forward``, which gets by name what forward was given and
  returned; where there is none, the gradient is that of the reference formula.
- Second derivatives are those of the reference formula.
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
    outputs: tuple[str, ...]
    inputs: tuple[tuple[str, ...], ...]


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
            library.impl(name, _autograd_kernel(function), "Autograd", allow_override=override)
        library.impl(name, function.apply, "FuncTorchDynamicLayerFrontMode")


def _autograd_kernel(function: Any) -> Callable:
    def autograd(*arguments):
        if forward_ad._current_level >= 0 or (torch.is_grad_enabled() and any(map(_requires_grad, arguments))):
            return function.apply(*arguments)
        return function.forward(*arguments)

    return autograd


def _requires_grad(argument: Any) -> bool:
    return isinstance(argument, Tensor) and argument.requires_grad


def _raw_function(namespace: str, name: str, schemas: Mapping[str, str]) -> Any:
    """The autograd function of a raw operator."""
    operator = getattr(getattr(torch.ops, namespace), name).default
    schema = torch._C.parse_schema(name + schemas[name])
    arguments, outputs = [argument.name for argument in schema.arguments], _names(schema.returns)
    if name.endswith("_backward"):
        return _function(name, operator, arguments, outputs, outputs, (), _refuse(namespace, name))
    derivative = DERIVATIVES[name]
    backward = name.removesuffix("_forward") + "_backward"
    if backward not in schemas:
        gradients = _through_formula(derivative)
        return _function(name, operator, arguments, outputs, derivative.outputs, arguments, gradients)
    backward_schema = torch._C.parse_schema(backward + schemas[backward])
    gradients = _through_backward(namespace, backward, backward_schema, derivative, arguments)
    kept = (*arguments, *(argument.name for argument in backward_schema.arguments))
    return _function(name, operator, arguments, outputs, derivative.outputs, kept, gradients)


def _names(returns: Sequence[Any]) -> list[str]:
    return [result.name or f"result_{i}" for i, result in enumerate(returns)]


def _function(
    name: str,
    operator: Callable,
    arguments: Sequence[str],
    outputs: Sequence[str],
    differentiable: Sequence[str],
    kept: Sequence[str],
    gradients: Gradients,
) -> Any:
    """An autograd function of an operator's arguments; ``kept`` names those and the outputs that gradients read."""

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
            results = dict(zip(outputs, output if isinstance(output, (tuple, list)) else (output,), strict=True))
            ctx.set_materialize_grads(False)
            ctx.mark_non_differentiable(*(tensor for n, tensor in results.items() if n not in differentiable))
            named = dict(zip(arguments, inputs, strict=True)) | results
            named = {n: value for n, value in named.items() if n in kept}
            tensors = {n: value for n, value in named.items() if isinstance(value, Tensor)}
            ctx.constants, ctx.tensors = {n: value for n, value in named.items() if n not in tensors}, tuple(tensors)
            ctx.save_for_backward(*tensors.values())

        @staticmethod
        def backward(ctx, *grads):
            if all(grad is None for grad in grads):
                return (None,) * len(arguments)
            named = ctx.constants | dict(zip(ctx.tensors, ctx.saved_tensors, strict=True))
            needed = [n for n, need in zip(arguments, ctx.needs_input_grad, strict=True) if need]
            with no_autocast(next(grad for grad in grads if grad is not None).device.type):
                found = gradients(named, dict(zip(outputs, grads, strict=True)), needed)
            return tuple(found.get(n) for n in arguments)

        @staticmethod
        def vmap(info, in_dims, *inputs):
            return _one_by_one(Raw.apply, info.batch_size, in_dims, inputs)

    Raw.__name__ = Raw.__qualname__ = name
    return Raw


def _refuse(namespace: str, name: str) -> Gradients:
    def gradients(named: Named, grads: Named, needed: Sequence[str]) -> dict[str, Tensor]:
        raise NotImplementedError(f"{namespace}::{name} has no derivative: differentiate the public operators instead")

    return gradients


def _through_formula(derivative: Derivative) -> Gradients:
    """Gradients of the reference formula, which can be differentiated once more."""
    arguments = [n for group in derivative.inputs for n in group]

    def gradients(named: Named, grads: Named, needed: Sequence[str]) -> dict[str, Tensor]:
        wanted = {n: named[n] for n in needed if n in arguments}
        if not wanted:
            return {}

        def outputs_with_gradients(wanted: dict[str, Tensor]) -> dict[str, Tensor]:
            outputs = zip(derivative.outputs, derivative.formula(**{**named, **wanted}), strict=True)
            return {n: output for n, output in outputs if output is not None and grads[n] is not None}

        outputs, pull = torch.func.vjp(outputs_with_gradients, wanted)
        return pull({n: grads[n].to(output.dtype) for n, output in outputs.items()})[0]

    return gradients


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
        results,
        [*grads_read, *arguments, "needs"],
        _through_formula(Derivative(formula, tuple(results), groups)),
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
        found = function.apply(*(everything[n] for n in names))
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
