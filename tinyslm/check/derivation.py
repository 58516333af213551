r"""Derivations: chains of formulas, each a function, each claiming something about an earlier one.

    d = Derivation("softmax", "What softmax does to a cotangent", x=real("D"), g=real("D"))

    @d.start(r"L = \sum_i g_i y_i, \quad y_i = e^{x_i} / \sum_j e^{x_j}")
    def loss(x, g): ...

    @d.gradient(r"\frac{\partial L}{\partial x_j} = y_j (g_j - \sum_i g_i y_i)", wrt="x")
    def slope(x, g): ...

    print(d.check())

A step's arguments are named like the inputs it uses. `check` tests each link at random points and reports which hold;
the first that does not comes with a counterexample. What passes has been tested, not proved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from ..errors import OptionError
from .derivation_report import DerivationReport, Line
from .domains import Domain
from .limits import DRAWS, ERROR_PROBABILITY, Expectation, Limit
from .links import AtLeast, AtMost, Equal, Gradient, seed_of
from .outcome import LinkVerdict, Outcome
from .steps import Points, Step, arguments_of

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]
HOLDS = LinkVerdict.HOLDS


class Derivation:
    """A chain of steps.

    Args:
        name: short, for `tinyslm derive NAME`.
        title: one line.
        sizes: letters with a fixed size, such as {"T": 3} where the steps are written out; all others are drawn.
        source: where the derivation or its result is published.
        inputs: name -> `Domain` (see domains.py), whose dimensions are letters.

    Raises:
        OptionError: for an input that is no domain, and for steps that do not fit together.
    """

    def __init__(
        self, name: str, title: str = "", *, sizes: dict[str, int] | None = None, source: str = "", **inputs: Domain
    ):
        for key, domain in inputs.items():
            if not isinstance(domain, Domain):
                raise OptionError(f"{name}: expected a domain such as real('B', 'D') for {key}, got {domain!r}")
        self.name, self.title, self.source = name, title or name, source
        self.sizes, self.inputs = dict(sizes or {}), inputs
        self.steps: list[Step] = []
        self.expected: dict[str, LinkVerdict] = {}

    # -- adding steps -------------------------------------------------------------------------------------------------

    def start(self, latex: str) -> Decorator:
        """A step that claims nothing: where a chain begins."""
        return self._adding(latex, None)

    def sample(self, latex: str) -> Decorator:
        """A random step: it takes `rng` and `draws` and returns (draws, ...); `mean` and `variance` may follow."""
        return self._adding(latex, None)

    def equal(
        self,
        latex: str,
        of: str | None = None,
        *,
        given: str = "",
        within: float = 0.0,
        labels: tuple[str, ...] = (),
        expect: LinkVerdict = HOLDS,
    ) -> Decorator:
        """A step with the value of the one before.

        Args:
            latex: the formula.
            of: name of the earlier step, if it is not the one before.
            given: sizes for which it is claimed, such as "T = d"; checked under these only.
            within: claim no more than this relative closeness.
            labels: names of the results where there are several; those of the earlier step's gradient if left out.
            expect: the verdict it should get, where it is shown because it is wrong.
        """
        return self._adding(latex, lambda: self._equal(of, given, within, labels), expect)

    def gradient(self, latex: str, wrt: str | tuple[str, ...], of: str | None = None, *, given: str = "",
                 expect: LinkVerdict = HOLDS) -> Decorator:  # fmt: skip
        """A step that is the derivative of an earlier one with respect to the inputs `wrt`."""
        names = (wrt,) if isinstance(wrt, str) else tuple(wrt)
        for name in names:
            if name not in self.inputs:
                raise OptionError(f"{self.name}: wrt={name!r} is no input. Expected: some of {', '.join(self.inputs)}")
        return self._adding(latex, lambda: Gradient(self._earlier(of), given, names), expect)

    def at_most(self, latex: str, of: str | None = None, *, expect: LinkVerdict = HOLDS) -> Decorator:
        """A step that the earlier one never exceeds."""
        return self._adding(latex, lambda: AtMost(self._earlier(of)), expect)

    def at_least(self, latex: str, of: str | None = None, *, expect: LinkVerdict = HOLDS) -> Decorator:
        """A step that the earlier one never falls below."""
        return self._adding(latex, lambda: AtLeast(self._earlier(of)), expect)

    def limit(
        self, latex: str, parameter: str, to: float, of: str | None = None, *, expect: LinkVerdict = HOLDS
    ) -> Decorator:
        """A step to which the earlier one tends as the input `parameter` tends to `to` (math.inf is welcome)."""
        if parameter not in self.inputs or self.inputs[parameter].dims:
            raise OptionError(f"{self.name}: expected a single number among the inputs as parameter, got {parameter!r}")
        return self._adding(latex, lambda: Limit(self._earlier(of), parameter, to), expect)

    def mean(self, latex: str, of: str | None = None, **options: Any) -> Decorator:
        """A step that is the mean of an earlier random one; options: `error_probability`, `draws`, `expect`."""
        return self._expectation(latex, of, "mean", **options)

    def variance(self, latex: str, of: str | None = None, **options: Any) -> Decorator:
        """A step that is the variance of an earlier random one; options as for `mean`."""
        return self._expectation(latex, of, "variance", **options)

    def _expectation(
        self,
        latex: str,
        of: str | None,
        statistic: str,
        *,
        error_probability: float = ERROR_PROBABILITY,
        draws: int = DRAWS,
        expect: LinkVerdict = HOLDS,
    ) -> Decorator:
        return self._adding(
            latex, lambda: Expectation(self._earlier(of, True), statistic, error_probability, draws), expect
        )

    def _equal(self, of: str | None, given: str, within: float, labels: tuple[str, ...]) -> Equal:
        earlier = self._earlier(of)
        inherited = earlier.link.wrt if isinstance(earlier.link, Gradient) else getattr(earlier.link, "labels", ())
        return Equal(earlier, given, within, labels or inherited)

    def _adding(self, latex: str, link: Callable[[], Any] | None, expect: LinkVerdict = HOLDS) -> Decorator:
        def add(function: Function) -> Function:
            name = function.__name__.strip("_")
            name = f"step{len(self.steps) + 1}" if name == "<lambda>" else name
            if any(s.name == name for s in self.steps):
                raise OptionError(f"{self.name}: two steps are called {name!r}; give each a name of its own")
            arguments = arguments_of(function, name, self.inputs)
            self.steps.append(Step(name, latex, function, link and link(), arguments))
            self.expected[name] = expect
            return function

        return add

    def _earlier(self, name: str | None, random: bool = False) -> Step:
        if not self.steps:
            raise OptionError(f"{self.name}: the first step has nothing before it. Expected: .start(...) first")
        step = self.step(name) if name else self.steps[-1]
        if not name and random and isinstance(step.link, Expectation):
            step = step.link.of  # mean and variance of one sample may follow each other
        if step.random and not random:
            raise OptionError(f"{self.name}: {step.name!r} is random. Expected: .mean or .variance after it, or of=...")
        return step

    # -- using it -----------------------------------------------------------------------------------------------------

    def step(self, name: str) -> Step:
        """The step with this name."""
        for step in self.steps:
            if step.name == name:
                return step
        raise OptionError(f"{self.name}: no step {name!r}. Expected one of: {', '.join(s.name for s in self.steps)}")

    def replaced(self, name: str, function: Callable[..., Any]) -> Derivation:
        """A copy in which one step computes something else: to try a variant, or to see that a mistake is found."""
        arguments = arguments_of(function, name, self.inputs)
        changed = {self.step(name).name: replace(self.step(name), function=function, arguments=arguments)}
        copy = Derivation(self.name, self.title, sizes=self.sizes, source=self.source, **self.inputs)
        copy.expected = dict(self.expected)
        for step in self.steps:
            new = changed.get(step.name, step)
            if new.link is not None:
                new = replace(new, link=replace(new.link, of=changed[new.link.of.name]))
            changed[step.name] = new
            copy.steps.append(new)
        return copy

    def check(self, *names: str, seed: int = 0) -> DerivationReport:
        """Test all links, or only those of the named steps.

        Args:
            names: of steps.
            seed: chooses the points; 0 gives the same ones in every run.

        Raises:
            StepError: a step stops with an error that no choice of sizes explains, or returns no numbers.
        """
        wanted = {self.step(n).name for n in names} or {s.name for s in self.steps}
        lines = [Line(i + 1, s, self._outcome(s, seed, s.name in wanted), self.expected[s.name])
                 for i, s in enumerate(self.steps)]  # fmt: skip
        return DerivationReport(self.name, self.title, self.source, tuple(lines))

    def _outcome(self, step: Step, seed: int, wanted: bool) -> Outcome | None:
        if step.link is None:
            return Outcome(LinkVerdict.START)
        if not wanted:
            return None
        points = Points(self.inputs, self.sizes, seed_of(self.name) + seed)
        found: Outcome = step.link.test(step, points)
        return found

    def __repr__(self) -> str:
        return f"<derivation {self.name}: {len(self.steps)} steps>"
