"""The engine: operations, the graph they record, and the pass backward through it.

Forward: `apply(op, inputs, attributes)` computes an operation on arrays and, where a gradient is wanted, records a
`Node`: the operation, its inputs, its attributes, what it saved, and the line of the caller that asked for it.

Backward: the nodes are put in topological order by an iterative walk (a recurrent network over 10,000 steps is a chain of
10,000 nodes, deeper than Python's recursion allows). Then each node hands its cotangent g = dL/dy through the rule of
its operation to its inputs, where the shares add up. Broadcasting is undone here, once, and in no rule.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from . import device
from .errors import AnomalyError, DTypeError, GraphError, ShapeError
from .tensor import METHODS, Clock, Tensor

Attrs = dict[str, Any]
_recording: ContextVar[bool] = ContextVar("recording", default=True)
_anomaly: ContextVar[bool] = ContextVar("anomaly", default=False)


# -- modes ------------------------------------------------------------------------------------------------------------


class _mode(ContextDecorator):
    """Sets a context variable for a block or a function, and restores it after."""

    variable: ContextVar[bool]
    value: bool

    def __enter__(self) -> _mode:
        self.tokens: list[Token[bool]] = getattr(self, "tokens", [])
        self.tokens.append(self.variable.set(self.value))
        return self

    def __exit__(self, *error: object) -> None:
        self.variable.reset(self.tokens.pop())


class no_grad(_mode):
    """Nothing inside is recorded: `with ts.no_grad():`, or `@ts.no_grad()` on a function."""

    variable, value = _recording, False


class enable_grad(_mode):
    """Record again inside a `no_grad` block."""

    variable, value = _recording, True


class detect_anomaly(_mode):
    """Stop at the first NaN or Inf, naming the operation and the line of your code that made it."""

    variable, value = _anomaly, True


def is_grad_enabled() -> bool:
    """True where operations are recorded."""
    return _recording.get()


# -- operations -------------------------------------------------------------------------------------------------------


class Op:
    """One differentiable operation: a block with its formula, its plain forward, its rule, and the kernels that serve it.

    The forward is a function `f(xp, *inputs, **attributes)` on arrays: parameters without a default are tensors, those
    with one are attributes. The rule `vjp(g, y, *inputs, **attributes)` gets tensors and is written with other operations,
    so that second derivatives come for free; it returns one cotangent per input, None where there is none, or a
    function without arguments where computing it is worth avoiding when nobody asked.
    """

    registry: dict[str, Op] = {}

    def __init__(
        self,
        formula: str,
        forward: Callable[..., Any],
        kinks: str = "",
        analytic: bool = True,
        smooth: bool = True,
        indices: Sequence[str] = (),
        outputs: int = 1,
    ):
        self.formula = formula
        self.forward = forward
        self.name = forward.__name__.rstrip("_")
        self.__doc__ = forward.__doc__
        self.__name__ = self.name
        self.kinks, self.analytic, self.smooth, self.outputs = kinks, analytic, smooth, outputs
        parameters = list(inspect.signature(forward).parameters.values())[1:]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.inputs = [p.name for p in parameters if p.default is p.empty]
        self.defaults: Attrs = {p.name: p.default for p in parameters if p.default is not p.empty}
        self.arity = -1 if self.variadic else len(self.inputs)
        self.indices = frozenset(self.inputs.index(name) for name in indices)
        self.rule: Callable[..., Any] | None = None
        self.check_shapes: Callable[..., None] | None = None
        self.samples_of: Callable[[np.random.Generator], Iterable[tuple]] | None = None
        self.simple: Callable[..., Any] | None = None
        self.kernels: dict[str, device.Kernel] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs and len(args) == self.arity:
            return apply(self, args, self.defaults)
        return apply(self, *self.bind(args, kwargs))

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join([*self.inputs, *self.defaults])})>"

    def bind(self, args: tuple, kwargs: Attrs) -> tuple[tuple, Attrs]:
        """Sort a call's arguments into tensors and attributes."""
        if self.variadic:
            return self._bind_list(args, kwargs)
        n = self.arity
        inputs = list(args[:n]) + [kwargs.pop(name) for name in self.inputs[len(args) : n] if name in kwargs]
        if len(inputs) < n or len(args) - n > len(self.defaults):
            wanted = [*self.inputs, *(f"{k}={v!r}" for k, v in self.defaults.items())]
            raise TypeError(f"{self.name}({', '.join(wanted)}): expected {n} tensors, got {len(args)} arguments")
        positional = dict(zip(self.defaults, args[n:], strict=False))
        return tuple(inputs), {**self.defaults, **positional, **self._known(kwargs)}

    def _bind_list(self, args: tuple, kwargs: Attrs) -> tuple[tuple, Attrs]:
        # cat([a, b], 0) and einsum("ij,jk->ik", a, b), as in PyTorch
        first = [a for a in args if isinstance(a, str)]
        args = args[len(first) :]
        if args and isinstance(args[0], (list, tuple)):
            first, args = [*first, *args[1:]], tuple(args[0])
        return args, {**self.defaults, **dict(zip(self.defaults, first, strict=False)), **self._known(kwargs)}

    def _known(self, kwargs: Attrs) -> Attrs:
        for name in kwargs:
            if name not in self.defaults:
                known = ", ".join([*self.inputs, *self.defaults])
                raise TypeError(f"{self.name}() has no argument {name!r}; expected some of: {known}")
        return kwargs

    def vjp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the rule of the backward pass."""
        self.rule = rule
        return rule

    def shape(self, check: Callable[..., None]) -> Callable[..., None]:
        """Decorator: a function of the inputs' shapes and the attributes that raises ShapeError."""
        self.check_shapes = check
        return check

    def samples(self, make: Callable[[np.random.Generator], Iterable[tuple]]) -> Callable:
        """Decorator: yields (inputs, attributes) on which every test of the registry runs this operation."""
        self.samples_of = make
        return make

    def reference(self, simple: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the same function composed of smaller operations, to be read and to be compared with."""
        self.simple = simple
        return simple

    def kernel(self, backend: str, where: str) -> None:
        """Name a forward and backward pair in `tinyslm.kernels` ("family:name") that serves this operation."""
        if self.rule is None:
            raise GraphError(f"{self.name}: a kernel needs a rule beside it, or training would freeze silently")
        self.kernels[backend] = device.Kernel(backend, where)

    def plan(self, *inputs: Tensor) -> str:
        """Which code would run for these inputs: "numpy", "numba" or "cuda"."""
        kernel = self.kernels.get(device.backend())
        return kernel.backend if kernel and kernel.serves([t._data for t in inputs]) else "numpy"


def op(formula: str, **declared: Any) -> Callable[[Callable[..., Any]], Op]:
    """Decorator that makes an `Op` of a plain forward function and enters it into the registry.

    Args:
        formula: LaTeX, with y for the result.
        kinks: the convention where the derivative does not exist, in words.
        analytic: False where the forward can't take complex numbers (no complex-step check then).
        smooth: False where the second derivative is zero or undefined, so second order is not checked.
        indices: names of integer inputs.
        outputs: the number of results, where there are several.
    """

    def make(forward: Callable[..., Any]) -> Op:
        new = Op(formula, forward, **declared)
        Op.registry[new.name] = METHODS[new.name] = new  # type: ignore[assignment]
        return new

    return make


def composed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: enters a function that is composed of operations among the tensor's methods."""
    METHODS[function.__name__.rstrip("_")] = function
    return function


# -- the graph --------------------------------------------------------------------------------------------------------


class Node:
    """A recorded operation. It can be executed again: it knows its operation, inputs and attributes."""

    __slots__ = ("attrs", "clock", "hooks", "inputs", "kernel", "op", "outputs", "saved", "where")

    def __init__(self, op: Op, inputs: tuple, attrs: Attrs, outputs: Any, saved: Any, kernel: device.Kernel | None):
        self.op = op
        self.inputs: tuple[Tensor, ...] | None = inputs
        self.attrs = attrs
        self.outputs = outputs
        self.saved = saved
        self.kernel = kernel
        self.clock = Clock.now
        self.hooks: dict[int, list] | None = None
        self.where = _caller()

    @property
    def line(self) -> str:
        """The line of the caller's code that asked for this operation, as file:line."""
        return _line_text(self.where)

    def output_tensors(self) -> Any:
        """The results as tensors that stand at this place in the graph."""
        if isinstance(self.outputs, tuple):
            return tuple(Tensor.wrap(a, self, i) for i, a in enumerate(self.outputs))
        return Tensor.wrap(self.outputs, self)

    def free(self) -> None:
        """Drop everything saved; the node can't be used for a backward pass any more."""
        self.inputs = self.outputs = self.saved = None


def apply(op: Op, inputs: tuple, attrs: Attrs) -> Any:
    """Compute `op` on `inputs` and record it where a gradient is wanted."""
    try:
        arrays = [t._data for t in inputs]
        dtype = arrays[0].dtype
        for a in arrays:
            if a.dtype is not dtype:
                _check_dtypes(op, arrays)
                break
    except (AttributeError, IndexError):
        inputs = _adapt(op, inputs)
        arrays = [t._data for t in inputs]
        _check_dtypes(op, arrays)
    out, saved, kernel = _compute(op, arrays, attrs)
    if _anomaly.get():
        _check_finite(op, out, arrays)
    if _recording.get():
        for t in inputs:
            if t.requires_grad:
                node = Node(op, inputs, attrs, out, saved, kernel)
                return node.output_tensors() if type(out) is tuple else Tensor.wrap(out, node)
    return tuple(map(Tensor.wrap, out)) if type(out) is tuple else Tensor.wrap(out)


def _compute(op: Op, arrays: list, attrs: Attrs) -> tuple[Any, Any, device.Kernel | None]:
    try:
        if op.check_shapes is not None:
            op.check_shapes(*[a.shape for a in arrays], **attrs)
        if op.kernels:
            kernel = op.kernels.get(device.backend())
            if kernel is not None and kernel.serves(arrays):
                out, saved = kernel.forward(*arrays, **attrs)  # type: ignore[misc]
                return out, saved, kernel
        out = op.forward(np if device.State.name != "cuda" else device.array_module(), *arrays, **attrs)
    except (ValueError, IndexError) as error:
        raise _explain(op, arrays, attrs, error) from error
    if type(out) is not np.ndarray and type(out) is not tuple and not hasattr(out, "get"):
        out = np.asarray(out)  # NumPy gives scalars for results without dimensions
    return out, None, None


def _explain(op: Op, arrays: list, attrs: Attrs, error: Exception) -> Exception:
    if isinstance(error, (ShapeError, GraphError, DTypeError)):
        return error
    names = op.inputs if not op.variadic else [f"input {i}" for i in range(len(arrays))]
    got = ", ".join(f"{n}: {a.shape}" for n, a in zip(names, arrays, strict=False))
    return ShapeError(f"{op.name}: the inputs do not fit each other.\n  Expected: {error}\n  Got: {got}; {attrs}")


def _adapt(op: Op, inputs: tuple) -> tuple[Tensor, ...]:
    # Python and NumPy scalars take the tensors' number type; arrays keep their own.
    if not inputs:
        raise ShapeError(f"{op.name}: expected at least one tensor, got none")
    dtypes = [t.dtype for t in inputs if isinstance(t, (Tensor, np.ndarray)) and t.dtype.kind in "fc" and _sized(t)]
    return tuple(t if isinstance(t, Tensor) else _to_tensor(op, t, dtypes) for t in inputs)


def _sized(value: Any) -> bool:
    return isinstance(value, Tensor) or value.ndim > 0


def _to_tensor(op: Op, value: Any, dtypes: list) -> Tensor:
    if isinstance(value, np.ndarray) and value.ndim:
        return Tensor.wrap(value)
    if value is None or isinstance(value, (str, bytes)):
        raise DTypeError(f"{op.name}: expected tensors, arrays or numbers, got {value!r}")
    array = np.asarray(value)
    if array.dtype.kind in "fiu" and dtypes:
        array = array.astype(dtypes[0])
    elif array.dtype == np.float64:
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiubc":
        raise DTypeError(f"{op.name}: expected tensors, arrays or numbers, got {type(value).__name__}")
    return Tensor.wrap(array)


def _check_dtypes(op: Op, arrays: list) -> None:
    floats = {a.dtype for a in arrays if a.dtype.kind == "f"}
    if any(a.dtype.kind == "c" for a in arrays):
        return  # the complex step of the gradient check
    if len(floats) > 1:
        kinds = " and ".join(sorted(str(d) for d in floats))
        raise DTypeError(
            f"{op.name}: number types are not mixed silently.\n  Expected: one of float32, float64\n"
            f"  Got: {kinds}; convert one with .to('float32') or .to('float64')"
        )
    if floats and any(a.dtype.kind in "iu" for i, a in enumerate(arrays) if i not in op.indices):
        raise DTypeError(
            f"{op.name}: integers are indices.\n  Expected: float tensors\n"
            f"  Got: {', '.join(str(a.dtype) for a in arrays)}; convert with .to('float32')"
        )


# -- where an operation was asked for ---------------------------------------------------------------------------------

_HOUSE = str(Path(__file__).resolve().parent)
_LESSONS = str(Path(_HOUSE) / "lessons")
_inside: dict[CodeType, bool] = {}


def _caller() -> tuple[CodeType, int]:
    """The code and instruction of the innermost frame outside tinyslm (lessons count as outside)."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        code = frame.f_code
        inside = _inside.get(code)
        if inside is None:
            name = code.co_filename
            inside = _inside[code] = name.startswith(_HOUSE) and not name.startswith(_LESSONS)
        if not inside:
            break
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def _line_text(where: tuple[CodeType, int]) -> str:
    code, instruction = where
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= instruction < end and number is not None:
            line = number
    return f"{Path(code.co_filename).name}:{line}"


def _check_finite(op: Op, out: Any, arrays: list) -> None:
    for a in out if isinstance(out, tuple) else (out,):
        if a.dtype.kind == "f" and not np.isfinite(a).all():
            state = "finite" if all(np.isfinite(x).all() for x in arrays if x.dtype.kind == "f") else "not finite"
            bad = "NaN" if np.isnan(a).any() else "Inf"
            raise AnomalyError(f"{op.name} made the first {bad} at {_line_text(_caller())}; its inputs were {state}")


# -- the pass backward ------------------------------------------------------------------------------------------------


def backward(
    output: Tensor, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False
) -> None:
    """Add the gradient of `output` to `.grad` of every leaf; see `Tensor.backward`."""
    if not output.requires_grad:
        raise GraphError("backward() needs a recorded result.\n  Expected: requires_grad=True on some input\n  Got: none")
    keep = retain_graph or create_graph
    for leaf, g in _pass([output], [_seed(output, gradient)], None, keep, create_graph):
        leaf.grad = g if leaf.grad is None else METHODS["add"](leaf.grad, g)


METHODS["backward"] = backward


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of `outputs` with respect to `inputs`, as a tuple, without touching `.grad`.

    Args:
        outputs: one tensor or several.
        inputs: leaves or inner results that require a gradient.
        grad_outputs: cotangents, one per output; 1 for single numbers if left out.
        retain_graph: keep the graph for another pass.
        create_graph: record the pass, so that the gradients can be differentiated again.
        allow_unused: give None for an input that the outputs don't depend on, instead of an error.
    """
    outs, ins = _listed(outputs), _listed(inputs)
    for i, t in enumerate(ins):
        if not t.requires_grad:
            raise GraphError(f"grad: input {i} does not require a gradient. Expected: requires_grad=True")
    seeds = _listed(grad_outputs) if grad_outputs is not None else [None] * len(outs)
    if len(seeds) != len(outs):
        raise GraphError(f"grad: expected one cotangent per output ({len(outs)}), got {len(seeds)}")
    recorded = [(o, _seed(o, s)) for o, s in zip(outs, seeds, strict=True) if o.requires_grad]
    found = _pass([o for o, _ in recorded], [s for _, s in recorded], ins, retain_graph or create_graph, create_graph)
    by_place = {_place(t): g for t, g in found}
    result = tuple(by_place.get(_place(t)) for t in ins)
    if None in result and not allow_unused:
        raise GraphError(f"grad: the outputs don't depend on input {result.index(None)}; allow_unused=True gives None")
    return result


def vjp(function: Callable[..., Tensor], *primals: Tensor) -> tuple[Tensor, Callable[..., tuple]]:
    """The value of `function` at `primals`, and the function that pulls a cotangent of it back to the inputs."""
    leaves = [_leaf(p) for p in primals]
    with enable_grad():
        y = function(*leaves)

    def pullback(cotangent: Any, create_graph: bool = False) -> tuple[Tensor, ...]:
        found = grad(y, leaves, cotangent, retain_graph=True, create_graph=create_graph, allow_unused=True)
        return tuple(_or_zeros(g, p) for g, p in zip(found, leaves, strict=True))

    return y.detach(), pullback


def jvp(function: Callable[..., Tensor], primals: Sequence[Tensor], tangents: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """The value of `function` and its derivative along `tangents` (forward mode).

    The pullback v -> vᵀJ is linear in v, so pulling the tangent u back through *it* gives J u: two passes backward
    make one forward, and every rule serves both modes.
    """
    leaves = [_leaf(p) for p in primals]
    with enable_grad():
        y = function(*leaves)
        v = Tensor.wrap(np.zeros_like(y._data)).requires_grad_()
        pulled = grad(y, leaves, v, create_graph=True, allow_unused=True) if y.requires_grad else ()
        pairs = [(g, _seed(g, u)) for g, u in zip(pulled, tangents, strict=False) if g is not None and g.requires_grad]
        if not pairs:
            return y.detach(), Tensor.wrap(np.zeros_like(y._data))
        (forward,) = grad([g for g, _ in pairs], v, [u for _, u in pairs], allow_unused=True)
    return y.detach(), _or_zeros(forward, y)


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _leaf(primal: Any) -> Tensor:
    array = primal._data if isinstance(primal, Tensor) else np.asarray(primal)
    return Tensor.wrap(array).requires_grad_()


def _or_zeros(g: Tensor | None, like: Tensor) -> Tensor:
    return Tensor.wrap(np.zeros_like(like._data)) if g is None else g


def _seed(output: Tensor, gradient: Any) -> Tensor:
    if gradient is None:
        if output.size != 1:
            raise GraphError(
                f"The gradient of a whole array needs a cotangent.\n  Expected: one number, or gradient=...\n"
                f"  Got: shape {output.shape}; take .sum() or .mean() first, or pass gradient of that shape"
            )
        return Tensor.wrap(np.ones_like(output._data))
    seed = gradient if isinstance(gradient, Tensor) else Tensor.wrap(np.asarray(gradient, dtype=output.dtype))
    if seed.shape != output.shape or seed.dtype != output.dtype:
        raise ShapeError(
            f"A cotangent has its output's shape and number type.\n  Expected: {output.shape} {output.dtype}\n"
            f"  Got: {seed.shape} {seed.dtype}"
        )
    return seed


Place = tuple[Any, int]


def _place(t: Tensor) -> Place:
    """Where a tensor stands: (node, which result of it), or (itself, 0) for a leaf."""
    return (t, 0) if t.node is None else (t.node, t.index)


def topological_order(outputs: Iterable[Tensor]) -> list[Node]:
    """All nodes that `outputs` depend on, each after those it depends on; iterative, every node visited once."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(t.node, False) for t in outputs if t.node is not None]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((t.node, False) for t in _inputs_of(node) if t.node is not None and t.node not in seen)
    return order


def _inputs_of(node: Node) -> tuple[Tensor, ...]:
    if node.inputs is None:
        raise GraphError(
            f"This graph was freed by an earlier backward pass ({node.op.name} at {node.line}).\n"
            "  Expected: a fresh forward pass, or retain_graph=True in the first backward()\n  Got: a second backward"
        )
    return node.inputs


def _pass(
    outputs: list[Tensor], seeds: list[Tensor], targets: list[Tensor] | None, keep: bool, create_graph: bool
) -> list[tuple[Tensor, Tensor]]:
    """Walk the graph backward. Returns (tensor, gradient) for every leaf, or for the `targets`."""
    order = topological_order(outputs)
    wanted = None if targets is None else {_place(t): t for t in targets}
    needed = _needed(order, wanted)
    shares: dict[Place, Tensor] = {}
    tensors: dict[Place, Tensor] = {}
    with enable_grad() if create_graph else no_grad():
        for out, seed in zip(outputs, seeds, strict=True):
            _add_share(shares, tensors, out, seed)
        for node in reversed(order):
            if node in needed:
                _pull_node(node, shares, tensors, needed, wanted, create_graph)
            if not keep:
                node.free()
    return _results(shares, tensors, wanted)


def _needed(order: list[Node], wanted: dict[Place, Tensor] | None) -> set[Node]:
    # Only nodes from which a wanted tensor can be reached have work to do.
    if wanted is None:
        return set(order)
    needed: set[Node] = set()
    for node in order:
        if any(_place(t) in wanted or t.node in needed for t in _inputs_of(node)):
            needed.add(node)
    return needed


def _pull_node(
    node: Node, shares: dict, tensors: dict, needed: set[Node], wanted: dict | None, create_graph: bool
) -> None:
    count = len(node.outputs) if isinstance(node.outputs, tuple) else 1
    gs = [_complete(node, i, shares, wanted) for i in range(count)]
    if all(g is None for g in gs):
        return
    inputs = _inputs_of(node)
    needs = tuple(
        t.requires_grad and (wanted is None or _place(t) in wanted or t.node in needed) for t in inputs
    )
    _check_unchanged(node)
    for t, g, need in zip(inputs, _cotangents(node, gs, needs, create_graph), needs, strict=True):
        if g is not None and need:
            _add_share(shares, tensors, t, _unbroadcast(node, g, t))


def _complete(node: Node, index: int, shares: dict, wanted: dict | None) -> Tensor | None:
    """The finished cotangent of one result, after its hooks."""
    place = (node, index)
    g = shares.get(place)
    if g is None:
        return None
    g = run_hooks(node.hooks.get(index), g) if node.hooks else g
    if wanted is not None and place in wanted:
        shares[place] = g
    else:
        del shares[place]
    return g


def run_hooks(hooks: list | None, g: Tensor) -> Tensor:
    """Pass a gradient through hooks; what one returns takes its place."""
    for hook in list(hooks or ()):
        changed = hook(g)
        if changed is not None:
            if changed.shape != g.shape:
                raise ShapeError(f"A hook keeps the shape.\n  Expected: {g.shape}\n  Got: {changed.shape}")
            g = changed
    return g


def _cotangents(node: Node, gs: list, needs: tuple[bool, ...], create_graph: bool) -> Sequence[Tensor | None]:
    """What the rule, or the kernel that made the node, hands to each input."""
    assert node.inputs is not None
    if node.kernel is not None and not create_graph:
        arrays = [t._data for t in node.inputs]
        g = tuple(None if t is None else t._data for t in gs) if isinstance(node.outputs, tuple) else gs[0]._data
        g = node.kernel.backward(g, node.outputs, node.saved, arrays, needs, **node.attrs)  # type: ignore[misc]
        found = [None if a is None else Tensor.wrap(a) for a in g]
    else:
        found = _by_rule(node, gs, needs)
    if _anomaly.get():
        for g in found:
            if g is not None and not np.isfinite(g._data).all():
                raise AnomalyError(f"the gradient of {node.op.name} at {node.line} is not finite")
    return found


def _by_rule(node: Node, gs: list, needs: tuple[bool, ...]) -> list[Tensor | None]:
    op = node.op
    if op.rule is None:
        raise GraphError(f"{op.name} at {node.line} has no derivative; use .detach() if that is meant")
    y = node.output_tensors()
    g = tuple(_or_zeros(t, o) for t, o in zip(gs, y, strict=True)) if isinstance(y, tuple) else gs[0]
    found = op.rule(g, y, *node.inputs, **node.attrs)  # type: ignore[misc]
    found = found if isinstance(found, tuple) else (found,)
    if len(found) != len(needs):
        raise GraphError(f"The rule of {op.name} gave {len(found)} cotangents; expected {len(needs)}, one per input")
    return [f() if need and callable(f) else (f if need else None) for f, need in zip(found, needs, strict=True)]


def _unbroadcast(node: Node, g: Tensor, t: Tensor) -> Tensor:
    """Sum a cotangent over the dimensions along which its input was repeated."""
    if g._data.shape != t._data.shape:
        g = METHODS["sum_to"](g, shape=t.shape)
    if g._data.dtype != t._data.dtype:
        raise GraphError(f"The rule of {node.op.name} turned {t.dtype} into {g.dtype}; expected the input's number type")
    return g


def _check_unchanged(node: Node) -> None:
    for i, t in enumerate(node.inputs or ()):
        if t._changed > node.clock:
            who = t.name or (node.op.inputs[i] if i < len(node.op.inputs) else f"input {i}")
            raise GraphError(
                f"{who} of {node.op.name} at {node.line} was changed after it was used.\n"
                "  Expected: backward() before the step or assignment that changes it\n"
                f"  Got: a tensor of shape {t.shape} with new numbers; run the forward pass again"
            )


def _add_share(shares: dict, tensors: dict, t: Tensor, g: Tensor) -> None:
    place = _place(t)
    tensors.setdefault(place, t)
    before = shares.get(place)
    shares[place] = g if before is None else METHODS["add"](before, g)


def _results(shares: dict, tensors: dict, wanted: dict | None) -> list[tuple[Tensor, Tensor]]:
    found = []
    for place, g in shares.items():
        t = tensors[place]
        if t.node is None and (wanted is None or place in wanted):
            g = run_hooks(t._hooks, g)
        if wanted is None or place in wanted:
            found.append((t, g))
    return found


def composition_rule(op: Op) -> None:
    """Give `op` the rule that differentiates its composition (`op.simple`) instead of a rule of its own.

    Fused operations over a sequence use it: the kernel's own backward serves first order, this one all higher orders.
    """

    def rule(g: Any, y: Any, *inputs: Tensor, **attrs: Any) -> tuple[Tensor | None, ...]:
        create = is_grad_enabled()
        with enable_grad():
            # Clones give each slot a place of its own, also where the same tensor fills two.
            slots = [METHODS["clone"](t if create else t.detach().requires_grad_(t.requires_grad)) for t in inputs]
            found = op.simple(*slots, **attrs)  # type: ignore[misc]
            wanted = [t for t in slots if t.requires_grad]
            grads = iter(grad(found, wanted, g, create_graph=create, allow_unused=True))
        return tuple(next(grads) if t.requires_grad else None for t in slots)

    op.vjp(rule)


def composition_forward(op: Op) -> Callable[..., Any]:
    """The forward of `op` on arrays, by its composition."""

    def forward(xp: Any, *arrays: Any, **attrs: Any) -> Any:
        with no_grad():
            out = op.simple(*map(Tensor.wrap, arrays), **attrs)  # type: ignore[misc]
        return tuple(t._data for t in out) if isinstance(out, tuple) else out._data

    return forward


def replay(node: Node, inputs: Sequence[Tensor]) -> Any:
    """Execute a recorded operation again on other inputs."""
    return apply(node.op, tuple(inputs), node.attrs)
