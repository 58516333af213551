# %% [markdown]
# # Numeric derivatives
#
# How can a program find a derivative when it knows no rule, only how to evaluate the function? And how small must the
# step be: why do people take $10^{-5}$ and not $10^{-15}$?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $f$ | the function; here $f(x) = e^{\sin x}$ | number to number |
# | $x$ | the point | number |
# | $h$ | the step | number, positive |
# | $f'(x)$ | the true derivative; here $e^{\sin x} \cos x$ | number |
# | $\varepsilon$ | the relative rounding error of a float64 number | number |

# %%
import numpy as np

import tinyslm as ts
from tinyslm.lesson import check, figure


def f(x):
    return np.exp(np.sin(x))


x, eps = 1.0, np.finfo(np.float64).eps
exact = np.exp(np.sin(x)) * np.cos(x)  # from the chain rule on paper: the referee of this lesson
print(f"f({x}) = {f(x):.15f}   f'({x}) = {exact:.15f}   eps = {eps:.1e}")

# %% [markdown]
# ## Forward difference
#
# The definition of the derivative without its limit, $(f(x+h) - f(x))/h$: one step to the right, rise over run.


# %%
def forward(f, x, h):
    return (f(x + h) - f(x)) / h


ratio = abs(forward(f, x, 1e-3) - exact) / abs(forward(f, x, 1e-4) - exact)
print(f"a step ten times smaller makes the error {ratio:.2f} times smaller")
check("", "forward difference: the error is proportional to the step", 9.5 < ratio < 10.5)

# %% [markdown]
# ## Central difference
#
# One step to each side. The largest part of the error has opposite signs on the two sides and cancels.
#
# $$f'(x) \approx \frac{f(x+h) - f(x-h)}{2h}$$


# %%
def central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


ratio = abs(central(f, x, 1e-2) - exact) / abs(central(f, x, 1e-3) - exact)
print(f"a step ten times smaller makes the error {ratio:.1f} times smaller")
check("", "central difference: the error is proportional to the square of the step", 95 < ratio < 105)

# %% [markdown]
# ## What goes wrong with a very small step
#
# If the error falls with the step, the smallest step should be the best. We try all powers of ten.

# %%
steps = 10.0 ** -np.arange(1, 18)
error = {rule.__name__: [abs(rule(f, x, h) - exact) for h in steps] for rule in (forward, central)}
print("   step   forward   central")
for h, a, b in zip(steps, error["forward"], error["central"], strict=True):
    print(f"{h:7.0e} {a:9.1e} {b:9.1e}")
at = {round(-np.log10(h)): e for h, e in zip(steps, error["central"], strict=True)}
check("", "central difference: a million times more exact with the step 1e-5 than with 1e-15", at[15] > 1e6 * at[5])
check("", "a step of 1e-17 is lost beside x: the difference is 0", x + 1e-17 == x and forward(f, x, 1e-17) == 0)

# %% [markdown]
# ## Why
#
# Both values of $f$ are rounded, each by up to about $\varepsilon |f|$. Subtracting them leaves the rounding and
# removes almost everything else; then the division by $h$ magnifies it. So there are two errors: one falls like
# $h^2$, one grows like $\varepsilon / h$. They are equally large near the cube root of $\varepsilon$.

# %%
best = steps[np.argmin(error["central"])]
print(f"best power of ten: {best:.0e}   cube root of eps: {np.cbrt(eps):.1e}")
check("", "the best step is within a factor 10 of the cube root of eps", np.cbrt(eps) / 10 < best < np.cbrt(eps) * 10)
small = steps < 1e-7
bound = 2 * eps * f(x) / steps[small]
check("", "below 1e-7 rounding explains the whole error", (np.array(error["central"])[small] <= bound).all())

# %% [markdown]
# ## Ridders: extrapolate instead of shrinking
#
# The error of a central difference $D(h)$ starts with a term in $h^2$. Two steps give two equations, and that term
# drops out. The same is done with the next term, and so on, while the steps stay large enough that rounding does not
# matter.
#
# $$D_{k+1}(h) = D_k(h) + \frac{D_k(h) - D_k(2h)}{4^{k+1} - 1}$$


# %%
def ridders(f, x, h=0.2, levels=5):
    row = [central(f, x, h)]
    for _ in range(levels):
        h, above = h / 2, row
        row = [central(f, x, h)]
        for k, before in enumerate(above):
            row.append(row[k] + (row[k] - before) / (4 ** (k + 1) - 1))
    return row[-1], abs(row[-1] - above[-1])


value, bar = ridders(f, x)
print(f"Ridders {value:.15f} +- {bar:.0e}   true error {abs(value - exact):.0e}")
check("", "Ridders is more exact than the best central difference", abs(value - exact) < min(error["central"]))
check("", "its own error bar, times 100 for safety, covers the true error", abs(value - exact) <= 100 * bar)
seventh, bar = ridders(lambda x: x**7, 1.0)
check("", "for x^7 three terms stand in the way: then it is exact to rounding", max(abs(seventh - 7), bar) < 1e-10)

# %% [markdown]
# ## Complex step: no subtraction at all
#
# Where $f$ is built of functions that take complex numbers smoothly, a step in the imaginary direction puts the
# derivative alone into the imaginary part. Nothing cancels, so the step may be as small as we like.
#
# $$f'(x) \approx \frac{\mathrm{Im} \, f(x + ih)}{h}$$


# %%
def complex_step(f, x, h=1e-50):
    return f(x + 1j * h).imag / h


error["complex step"] = [abs(complex_step(f, x, h) - exact) for h in steps]
off = abs(complex_step(f, x) - exact)
print(f"error with the step 1e-50: {off:.1e}")
check("", "the complex step is exact to rounding", off <= 4 * eps * abs(exact))
absolute = complex_step(lambda z: np.abs(z), x)
print(f"derivative of |x| at 1 by the complex step: {absolute}")
check("", "it fails without a warning where f is not analytic: for |x| it gives 0 at x = 1", absolute == 0)

# %% [markdown]
# ## What such a check can tell apart
#
# A rule that is wrong by one thousandth is caught only by a numerical derivative that is more exact than that.

# %%
wrong = exact * 1.001
caught = {h: abs(wrong - central(f, x, h)) > 10 * abs(exact - central(f, x, h)) for h in (1e-5, 1e-15)}
print("told apart from the right rule, by step:", {h: bool(c) for h, c in caught.items()})
check(
    "", "an error of one thousandth is seen with the step 1e-5 and not with 1e-15", caught[1e-5] and not caught[1e-15]
)
report = ts.gradcheck(lambda t: ts.exp(ts.sin(t)), [np.array(x)])
check("", "the engine's own rule for the same function is right", report)

# %% [markdown]
# ## What it costs
#
# A numerical gradient evaluates the function twice for each input. That is fine for a check, and hopeless for
# training.

# %%
calls = []


def counted(v):
    calls.append(1)
    return f(v).sum()


v, eye = np.linspace(0, 1, 50), np.eye(50)
numeric = np.array([(counted(v + 1e-5 * u) - counted(v - 1e-5 * u)) / 2e-5 for u in eye])
print(f"{v.size} inputs: {len(calls)} evaluations")
check("", "two evaluations for each input", len(calls) == 2 * v.size)
check("", "and the gradient is right to 1e-8", np.allclose(numeric, f(v) * np.cos(v), rtol=0, atol=1e-8))

# %%
series = {name: np.maximum(errors, 1e-17) for name, errors in error.items()}
series["Ridders (steps 0.2 and less)"] = np.full(steps.shape, abs(value - exact) + 1e-17)
title = "exp(sin x) at x = 1: too large a step, and too small a one"
picture = ts.plot.lines(steps, series, "step h", "error of the derivative", title, log="xy")
figure(picture, "To the right the formula's error, to the left rounding. 1e-17 stands for 0.")

# %% [markdown]
# ## Your turn
#
# 1. Do the error curve with float32 numbers: `x = np.float32(1)`, steps as float32. Where is the best step now?
#    Expected: near the cube root of the float32 `eps`, and the best error is several orders of magnitude worse. This
#    is why gradient checks run in float64.
# 2. Replace $f$ by $|x - 1|$ and evaluate forward, central and complex step at $x = 1$. Expected: 1, 0 and 0, up to
#    rounding, for all steps that are not tiny. No step tells you that there is no derivative here.

# %% [markdown]
# ## Limits and sources
#
# One function at one point: the slopes of the curves are general, their heights are not. A function with large higher
# derivatives, or a large value beside a small derivative, moves the best step.
#
# C. J. F. Ridders, Advances in Engineering Software 4 (1982) 75. W. Squire and G. Trapp, SIAM Review 40 (1998) 110.

# %% solution
points = np.linspace(0.9, 1.1, 41, dtype=np.float32)  # many points, so that no lucky rounding decides
short_steps = np.array([10.0**-k for k in range(1, 8)], np.float32)
slope = np.exp(np.sin(points.astype(float))) * np.cos(points.astype(float))
error32 = [np.abs(central(f, points, h) - slope).mean() for h in short_steps]
best, root = short_steps[np.argmin(error32)], np.cbrt(np.finfo(np.float32).eps)
print(f"float32: best power of ten {best:.0e}, error {min(error32):.0e}; cube root of eps {root:.0e}")
check("", "exercise 1: float32's best step is near the cube root of its eps", root / 10 < best < root * 10)
check("", "its best error is over 1000 times that of float64", min(error32) > 1000 * min(error["central"]))


def kink(x):
    return np.abs(x - 1)


found = np.array([[rule(kink, 1.0, h) for rule in (forward, central, complex_step)] for h in steps[:5]])
check("", "exercise 2: at the kink of |x - 1| the three answer 1, 0 and 0", np.abs(found - [1, 0, 0]).max() < 1e-9)
