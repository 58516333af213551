"""Adam: m and v are exponential averages that start at 0; dividing by 1 - b^t makes their weights add up to 1."""

import math

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import between, positive, real
from ..optim.adam import adam_step

derivation = d = Derivation(
    "adam",
    "Adam with bias correction as an exponential average (formulas A2 to A4, repaired)",
    source="Kingma & Ba 2015, Alg. 1 and section 3",
    sizes={"T": 5},
    g=real("T", "n"),
    p=real("n"),
    b1=between(0.5, 1),
    b2=between(0, 1),
    lr=positive(),
    eps=positive(),
)


def _powers(beta, count):
    """beta^(T-1), ..., beta, 1: the weights of old and new gradients."""
    return beta ** np.arange(count - 1, -1, -1)


@d.start(r"m_t = \beta m_{t-1} + (1 - \beta) g_t, \quad m_0 = 0")
def recursion(g, b1):
    m = np.zeros(g.shape[1])
    for gradient in g:
        m = b1 * m + (1 - b1) * gradient
    return m


@d.equal(r"m_T = (1 - \beta) \sum_{t=1}^T \beta^{T-t} g_t")
def unrolled(g, b1):
    return (1 - b1) * _powers(b1, len(g)) @ g


@d.start(r"\sum_{t=1}^T (1 - \beta) \beta^{T-t}")
def total_weight(g, b1):
    return (1 - b1) * _powers(b1, len(g)).sum()


@d.equal(r"1 - \beta^T \text{: the weights do not add up to 1}")
def geometric_sum(g, b1):
    return 1 - b1 ** len(g)


@d.start(r"\hat m_T = \frac{m_T}{1 - \beta^T}")
def corrected(g, b1):
    return recursion(g, b1) / (1 - b1 ** len(g))


@d.equal(r"\hat m_T = \frac{\sum_t \beta^{T-t} g_t}{\sum_t \beta^{T-t}} \text{, a weighted mean}")
def weighted_mean(g, b1):
    return np.average(g, axis=0, weights=_powers(b1, len(g)))


@d.at_most(r"\hat m_T \le \max_t g_t")
def within_range(g):
    return g.max(0)


@d.sample(r"m_T \text{ of gradients } g_t \sim N(\mu, 1)")
def drawn(g, p, b1, rng, draws):
    noisy = p + rng.normal(size=(draws, len(g), len(p)))
    return (1 - b1) * np.einsum("t,ktn->kn", _powers(b1, len(g)), noisy)


@d.mean(r"E\, m_T = (1 - \beta^T) \mu \text{: too small by what the correction divides by}")
def bias(g, p, b1):
    return (1 - b1 ** len(g)) * p


@d.variance(r"\operatorname{Var} m_T = (1 - \beta)^2 \frac{1 - \beta^{2T}}{1 - \beta^2}", of="drawn")
def spread(g, p, b1):
    return np.full(len(p), (1 - b1) ** 2 * (1 - b1 ** (2 * len(g))) / (1 - b1**2))


@d.start(r"\theta_1 = \theta_0 - \eta \frac{\hat m_1}{\sqrt{\hat v_1} + \epsilon}")
def first_step(g, p, b1, b2, lr, eps):
    m, v = (1 - b1) * g[0], (1 - b2) * g[0] ** 2
    return p - lr * (m / (1 - b1)) / (np.sqrt(v / (1 - b2)) + eps)


@d.equal(r"\theta_1 = \theta_0 - \eta \frac{g_1}{|g_1| + \epsilon}")
def first_step_simplified(g, p, lr, eps):
    return p - lr * g[0] / (np.abs(g[0]) + eps)


@d.limit(r"\lim_{\epsilon \to 0} \theta_1 = \theta_0 - \eta \operatorname{sign} g_1", "eps", 0.0)
def first_step_sign(g, p, lr):
    return p - lr * np.sign(g[0])


@d.start(r"\theta_t = \theta_{t-1} - \eta \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon}, \quad \hat m_t = \frac{m_t}{1 - "
         r"\beta_1^t}, \; \hat v_t = \frac{v_t}{1 - \beta_2^t}")  # fmt: skip
def algorithm(g, p, b1, b2, lr, eps):
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, gradient in enumerate(g, start=1):
        m, v = b1 * m + (1 - b1) * gradient, b2 * v + (1 - b2) * gradient**2
        p = p - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return p


@d.equal(r"\hat m_t, \hat v_t \text{ as weighted means of } g_1 \dots g_t \text{ and } g_1^2 \dots g_t^2")
def by_means(g, p, b1, b2, lr, eps):
    for t in range(1, len(g) + 1):
        mean, square = (np.average(x[:t], axis=0, weights=_powers(b, t)) for x, b in ((g, b1), (g**2, b2)))
        p = p - lr * mean / (np.sqrt(square) + eps)
    return p


@d.equal(r"\eta_t = \frac{\eta}{1 - \beta_1^t}, \quad \theta_t = \theta_{t-1} - \eta_t \frac{m_t}{\sqrt{v_t} / "
         r"\sqrt{1 - \beta_2^t} + \epsilon}")  # fmt: skip
def rearranged(g, p, b1, b2, lr, eps):
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, gradient in enumerate(g, start=1):
        m, v = m + (1 - b1) * (gradient - m), b2 * v + (1 - b2) * gradient**2
        p = p - lr / (1 - b1**t) * m / (np.sqrt(v) / math.sqrt(1 - b2**t) + eps)
    return p


@d.equal(r"\texttt{optim.adam\_step}")
def code(g, p, b1, b2, lr, eps):
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, gradient in enumerate(g, start=1):
        adam_step(p, gradient, m, v, float(lr), float(b1), float(b2), float(eps), 0.0, t)
    return p
