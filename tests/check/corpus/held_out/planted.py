"""The held-out mistakes: class, base file, name, `old -> new`, and pieces of the lines a teacher would point at.

`forward` are the forward lines whose derivative is wrong; `backward` are the lines of the backward pass that hold the
mistake, by default those that the edit brings in.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from corpus.planting import Table

RIGHT = Path(__file__).resolve().parent / "right"


@cache
def held_out_right() -> dict[str, str]:
    """Name -> text of every right file."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(RIGHT.glob("*.py"))}


HELD_OUT = Table(held_out_right())
MISTAKES, plant = HELD_OUT.mistakes, HELD_OUT.plant


# 1: a sign
plant(
    1, "gated_attention", "softmax_plus", "P * dP - P * np.sum", "P * dP + P * np.sum", ("P = np.exp(S", "P = P / np")
)
plant(1, "group_norm", "mean", "dmu = -np.sum", "dmu = np.sum", ("xn = ((xg - mu)", "mu = xg.mean"))
plant(1, "triplet", "negative", "g_n = 2 * r", "g_n = -2 * r", "dn = ((ea - en)")
plant(1, "gauss_nll", "log_variance", "(1 - resid**2 * prec)", "(1 + resid**2 * prec)", "nll = 0.5")
plant(1, "crf", "gold_score", "demit[t, tags[t]] -= g", "demit[t, tags[t]] += g", ("score = emit", '"loss": logZ'))
plant(1, "alibi", "slope", "grad_slope = -(", "grad_slope = (", "s = q @ k.transpose")

# 2: a constant factor
plant(2, "huber", "penalty", "+ 2 * L2 * A", "+ L2 * A", "loss = fit +")
plant(2, "factorization", "half_of_square", "R = g * r / n", "R = 2 * g * r / n", "L = (r.T")
plant(2, "group_norm", "root", "* -0.5 * istd**3", "* -(istd**3)", "istd = (var")
plant(
    2,
    "distill",
    "temperature",
    "TEMP**2 * (qs - qt) / TEMP",
    "TEMP**2 * (qs - qt)",
    ("qs = softmax(z / TEMP)", "kl = np.sum"),
)
plant(2, "post_norm_block", "square", "dr * 2 * np.maximum(u, 0)", "dr * np.maximum(u, 0)", "r = np.maximum(u, 0) ** 2")
plant(2, "focal", "gamma", "(GAMMA * (1 - pt) ** (GAMMA - 1)", "((1 - pt) ** (GAMMA - 1)", "fl = -alpha")

# 3: a factor that depends on a size
plant(3, "hinge", "batch", "dscores = mask / num_train", "dscores = mask", "loss = margins.sum()")
plant(3, "alibi", "width_for_head", "grad_s / np.sqrt(D // N)", "grad_s / np.sqrt(D)", "s = q @ k.transpose")
plant(3, "smooth_ce", "all_positions", "d_z *= g / keep.sum()", "d_z *= g / keep.size", "loss = (nll * keep)")
plant(3, "mean_pool", "padded_length", "+= dmean[b] / n", "+= dmean[b] / ids.shape[1]", "mean = (words")
plant(3, "post_norm_block", "width", "/ (D * sd)", "/ sd", ("sd = np.sqrt", "return (x - mu) / sd", "mu = x.mean"))
plant(3, "group_norm", "channel_only", "m = C * L // G", "m = L", ("mu = xg.mean", "var = ((xg"))

# 4: a transpose
plant(4, "rnn_masked", "recurrent", 'dhnext = p["Wh"].T @', 'dhnext = p["Wh"] @', "hs[t] = np.tanh")
plant(4, "highway", "gate", 'dzt @ p["Wt"].T', 'dzt @ p["Wt"]', "t = sigm(x @")
plant(4, "gru_masked", "candidate", 'dq @ p["Rn"]', 'dq @ p["Rn"].T', 'q = h @ p["Rn"]')
plant(4, "crf", "recursion", "dalpha = w @ dalpha", "dalpha = w.T @ dalpha", "alpha[t] = emit[t]")
plant(4, "alibi", "output", 'split(g @ p["Wo"].T, N)', 'split(g @ p["Wo"], N)', 'out = o @ p["Wo"]')
plant(4, "info_nce", "similarities", "dvn = dsim.T @ un", "dvn = dsim @ un", "sim = un @ vn.T")
plant(4, "gated_attention", "weights", "dV = P.T @ dZ", "dV = P @ dZ", "Z = P @ V")

# 5: the sum over a broadcast axis
plant(5, "swiglu", "gain_mean", "(dn * x * inv).sum((0, 1))", "(dn * x * inv).mean((0, 1))", 'n = x * inv * p["gain"]')
plant(
    5, "conv_dilated", "bias_mean", "db = dy.sum(axis=(0, 2))", "db = dy.sum(axis=2).mean(axis=0)", 'y += p["b"][None'
)
plant(5, "batch_norm_running", "no_sum", "dbeta = dy.sum(0)", "dbeta = dy", 'y = p["gamma"] * zhat')
plant(5, "bahdanau", "state_mean", "dsum = dproj.sum(axis=0)", "dsum = dproj.mean(axis=0)", 'proj = p["enc"] @')
plant(5, "gru_masked", "bias_mean", 'd["dbz"] += da_z.sum(0)', 'd["dbz"] += da_z.mean(0)', 'z = sig(xt @ p["Wz"]')
plant(
    5,
    "mixture",
    "expert_bias",
    "db = dz.sum(axis=0)",
    "db = np.broadcast_to(dz.sum(axis=(0, 1)), p['b'].shape)",
    "y = np.tanh(",
)

# 6: the activation's slope
plant(6, "birnn", "sigmoid_for_tanh", "* (1 - s[t] ** 2)", "* s[t] * (1 - s[t])", "h = np.tanh(xt @ W")
plant(6, "peephole_lstm", "no_square", "(1 - u[t] ** 2)", "(1 - u[t])", "u[t] = np.tanh(")
plant(6, "gated_attention", "gate_forgotten", "dU = dG * G * (1 - G)", "dU = dG", "G = 1 / (1 + np.exp(")
plant(
    6,
    "batch_norm_running",
    "of_the_output",
    '/ (1 + np.exp(-cache["y"]))',
    '/ (1 + np.exp(-cache["a"]))',
    "a = np.log1p",
)
plant(6, "huber", "cos_of_output", 'np.cos(p["x"] @ A.T)', 'np.cos(cache["hid"])', "hid = np.sin(")
plant(6, "swiglu", "product_rule", "(sig + a * sig * (1 - sig))", "(sig + sig * (1 - sig))", "sw = a * sigmoid(a)")
plant(6, "conv_dilated", "leak", "dy = np.where(y > 0, g, 0.1 * g)", "dy = np.where(y > 0, g, 0)", "a = np.where(y > 0")

# 7: the softmax Jacobian
plant(
    7,
    "mixture",
    "diagonal",
    "J = np.diag(w[i]) - np.outer(w[i], w[i])",
    "J = np.diag(w[i] * (1 - w[i]))",
    "w = np.exp(s)",
)
plant(
    7,
    "bahdanau",
    "diagonal",
    "return self.y * (dy - self.y @ dy)",
    "return self.y * (1 - self.y) * dy",
    ("self.y = e / e.sum()", "e = np.exp(u", "alpha = softmax.forward"),
    ("return self.y * (1 - self.y) * dy", "dscore = softmax.backward"),
)
plant(
    7,
    "alibi",
    "wrong_axis",
    "(w * grad_w).sum(-1, keepdims=True)",
    "(w * grad_w).sum(-2, keepdims=True)",
    ("w = np.exp(s", "w = w / w.sum"),
)
plant(
    7,
    "bilinear_attention",
    "normaliser",
    'a * (grad_a - np.einsum("bij,bij->bi", a, grad_a)[..., None])',
    "a * grad_a",
    ("e = np.exp(s", "a = e / e.sum"),
)
plant(
    7,
    "crf",
    "axis",
    "np.exp(a - lse(a, axis=0)[None, :])",
    "np.exp(a - lse(a, axis=1)[:, None])",
    ("alpha[t] = emit[t]", "return np.squeeze("),
)
plant(
    7,
    "distill",
    "teacher_normaliser",
    "qt * (u - kl[:, None])",
    "qt * u",
    ('qt = softmax(p["teacher"]', "kl = np.sum(qt"),
)

# 8: a dropped path
plant(8, "gated_attention", "residual", "dX = g + dU @", "dX = dU @", 'out = M @ p["Wo"] + X')
plant(8, "highway", "carry_gate", "dx = dy * (1 - t)", "dx = np.zeros_like(x)", "return t * h + (1 - t) * x")
plant(
    8,
    "bahdanau",
    "keys",
    '    denc += dproj @ p["We"].T\n',
    "",
    'proj = p["enc"] @',
    ("denc = np.outer(", '"denc": denc'),
)
plant(8, "tied_lm", "output_side", "dE = do.T @ r", 'dE = np.zeros_like(p["E"])', 'o = r @ p["E"].T')
plant(8, "peephole_lstm", "output_peephole", ' + zo * p["po"]', "", "o[t] = s(", "dc = dc_next + dh")
plant(
    8,
    "batch_norm_running",
    "variance",
    " - zhat * (dzhat * zhat).sum(0) / N) / std",
    ") / std",
    ("std = np.sqrt(", "zhat = (z - mean)", "mean, var = z.mean"),
)
plant(8, "factorization", "squares", " - ((X**2).T @ R) * V", "", ("Q = (X**2)", "I = 0.5 *"))
plant(8, "huber", "weights_sum", '(cache["each"] - cache["fit"])', 'cache["each"]', 'fit = (p["sw"]')

# 9: the carry through time
plant(
    9,
    "birnn",
    "state",
    "dz = (ds[t] + carry) * ",
    "dz = ds[t] * ",
    "h = np.tanh(xt @ W",
    ("dz = ds[t] *", "carry = dz @"),
)
plant(
    9,
    "peephole_lstm",
    "hidden",
    'dh_next = z @ p["U"].T',
    "dh_next = np.zeros_like(dh)",
    "a = x[t] @",
    ("dh_next = np.zeros_like(dh)", "dh = g[t] + dh_next"),
)
plant(
    9,
    "gru_masked",
    "gates",
    'dh_next = dprev + dq @ p["Rn"] + da_r @ p["Rr"] + da_z @ p["Rz"]',
    "dh_next = dprev",
    ('r = sig(xt @ p["Wr"]', 'z = sig(xt @ p["Wz"]', 'q = h @ p["Rn"]'),
    ("dh_next = dprev", "dh = g[t] + dh_next"),
)
plant(9, "gru_masked", "kept_state", "dprev = (1 - m) * dh", "dprev = np.zeros_like(h)", "h = m * h_new")
plant(
    9,
    "rnn_masked",
    "misspelt",
    'dhnext = p["Wh"].T @ draw',
    'dh_next = p["Wh"].T @ draw',
    "hs[t] = np.tanh",
    ("dh_next = p", 'dh = p["Wy"].T @ dy + dhnext'),
)

# 10: "=" for "+="
plant(10, "birnn", "input_weight", "dW += x[t].T @ dz", "dW = x[t].T @ dz", "h = np.tanh(xt @ W")
plant(10, "highway", "gate_weight", 'grads["dWt"] += x.T', 'grads["dWt"] = x.T', "t = sigm(x @")
plant(10, "conv_dilated", "kernel", "dw[:, :, k] += dy", "dw[:, :, k] = dy", "y[:, :, j] += xp")
plant(10, "textcnn", "windows", "d_X[:, k : k + n] += d_conv", "d_X[:, k : k + n] = d_conv", "conv = p[")
plant(10, "rnn_masked", "output_weight", "dWy += dy @", "dWy = dy @", 'ys[t] = p["Wy"]')
plant(
    10,
    "bilinear_attention",
    "keys_are_values",
    "grad_k += np.einsum(",
    "grad_k = np.einsum(",
    ("ctx = np.einsum(",),
    ('grad_k = np.einsum("bij,bie->bje", grad_s', 'grad_k = np.einsum("bij,bie->bje", a, g'),
)
plant(
    10,
    "triplet",
    "three_uses",
    'dW = p["a"].T @ z_a + p["p"].T @ z_p + p["n"].T @ z_n',
    'dW = p["a"].T @ z_a\n    dW = p["p"].T @ z_p\n    dW = p["n"].T @ z_n',
    ('ea = encode(p["a"]', 'ep = encode(p["p"]', "return np.tanh(v @ W"),
)

# 11: a wrong index or name
plant(11, "peephole_lstm", "old_cell", "(zo * c[t + 1]).sum(0)", "(zo * c[t]).sum(0)", "o[t] = s(")
plant(11, "birnn", "not_turned", "dsb = dboth[::-1, :, H:]", "dsb = dboth[..., H:]", "both = np.concatenate(")
plant(
    11,
    "rnn_masked",
    "state_index",
    "dWh += draw @ hs[t - 1].T",
    "dWh += draw @ hs[t].T",
    ("hs[t] = np.tanh", "prev = hs"),
)
plant(
    11, "swiglu", "pasted_branch", "dw3 = n.reshape(-1, D).T @ db", "dw3 = n.reshape(-1, D).T @ da", 'b = n @ p["w3"]'
)
plant(11, "gru_masked", "pasted_gate", 'd["dRz"] += da_z.T @ h', 'd["dRz"] += da_r.T @ h', 'z = sig(xt @ p["Wz"]')
plant(11, "gauss_nll", "other_head", 'np.outer(d_logvar, p["ws"])', 'np.outer(d_logvar, p["wm"])', "logvar = hd @")
plant(
    11,
    "crf",
    "from_and_to",
    "dtrans[tags[t - 1], tags[t]] -= g",
    "dtrans[tags[t], tags[t - 1]] -= g",
    ("score = emit", '"loss": logZ'),
)
plant(11, "gated_attention", "key_for_query", "dK = dS.T @ Q", "dK = dS.T @ K", "S = (Q @ K.T)")

# 12: counted twice
plant(
    12,
    "swiglu",
    "residual",
    "(dxh * x).mean(-1, keepdims=True)\n",
    "(dxh * x).mean(-1, keepdims=True)\n    dx = dx + g\n",
    'y = (sw * b) @ p["w2"] + x',
    ("dx = dx + g", "dx = g + inv"),
)
plant(
    12,
    "gru_masked",
    "old_state",
    'dh_next = dprev + dq @ p["Rn"]',
    'dh_next = dprev + dnew * z + dq @ p["Rn"]',
    "h_new = (1 - z)",
    ("dh_next = dprev + dnew", "dprev = dprev + dnew * z"),
)
plant(
    12,
    "bahdanau",
    "values",
    'denc += dproj @ p["We"].T\n',
    'denc += dproj @ p["We"].T + np.outer(cache["alpha"], g)\n',
    "context = alpha @",
    ("denc += dproj", "denc = np.outer("),
)
plant(
    12,
    "highway",
    "skip",
    'dx = dx + dzt @ p["Wt"].T',
    'dx = dx + dzt @ p["Wt"].T + dy * (1 - t)',
    "return t * h + (1 - t) * x",
    ("dx = dx + dzt", "dx = dy * (1 - t)"),
)

# 13: the cotangent is ignored
plant(
    13,
    "hinge",
    "data",
    '"dX": g * dX',
    '"dX": dX',
    ("loss = margins.sum()",),
    ('"dX": dX', "dX = dscores", "dscores ="),
)
plant(13, "crf", "gold_score", "demit[t, tags[t]] -= g", "demit[t, tags[t]] -= 1", ("score = emit", '"loss": logZ'))
plant(13, "huber", "penalty", "+ g * (L1 * np.sign(A)", "+ (L1 * np.sign(A)", "loss = fit +")
plant(13, "distill", "student", "dz = g / B * (soft", "dz = 1 / B * (soft", "loss = np.mean(")
plant(13, "gated_attention", "ones", "dWo = M.T @ g", "dWo = M.T @ np.ones_like(g)", 'out = M @ p["Wo"]')

# 14: a mask
plant(
    14,
    "smooth_ce",
    "ignored",
    "    d_z *= keep[..., None]\n",
    "",
    "loss = (nll * keep)",
    ("d_z = probs -", "d_z *= g / keep"),
)
plant(14, "rnn_masked", "finished", 'dy = g * p["live"][t] * (', "dy = g * (", "loss = loss + 0.5")
plant(
    14,
    "mean_pool",
    "padding",
    "            if ids[b, t] == PAD:\n                continue\n",
    "",
    "mean = (words * mask)",
    ("demb[ids[b, t]] +=", "for t in range(ids"),
)
plant(14, "gru_masked", "finished", "dnew = m * dh", "dnew = dh", "h = m * h_new")
plant(14, "gauss_nll", "dropout", 'd_h = d_hd * p["keep"] / KEEP', "d_h = d_hd / KEEP", 'hd = h * p["keep"]')

# 15: repeated ids
plant(15, "textcnn", "fancy_plus", 'np.add.at(grad_E, p["ids"], d_X)', 'grad_E[p["ids"]] += d_X', 'X = p["E"]')
plant(
    15,
    "tied_lm",
    "fancy_plus",
    '    for n in range(N):\n        for k in range(2):\n            dE[p["ctx"][n, k]] += de[n, k]\n',
    '    dE[p["ctx"]] += de\n',
    'e = p["E"]',
)
plant(15, "mean_pool", "last_write", "demb[ids[b, t]] += dmean", "demb[ids[b, t]] = dmean", 'words = p["emb"]')
plant(
    15,
    "crf",
    "pairs_of_tags",
    "    for t in range(1, T):\n        dtrans[tags[t - 1], tags[t]] -= g\n",
    "    dtrans[tags[:-1], tags[1:]] -= g\n",
    ("score = emit", '"loss": logZ'),
)

# 16: conventions at kinks; not mistakes
plant(16, "relu_grid", "one_at_zero", 'p["v"] * (x > 0)', 'p["v"] * (x >= 0)', "h = x * (x > 0)")
plant(16, "relu_grid", "minus_at_zero", "np.sign(x - 1)", "np.where(x > 1, 1.0, -1.0)", "s = np.abs(")
plant(
    16,
    "relu_grid",
    "last_of_the_ties",
    "best = x.argmax(axis=1)",
    "best = x.shape[1] - 1 - x[:, ::-1].argmax(axis=1)",
    "m = x.max",
)
plant(
    16,
    "relu_grid",
    "shared",
    "    dx[np.arange(len(x)), best] += g\n",
    "    ties = x == x.max(axis=1, keepdims=True)\n    dx += g * ties / ties.sum(axis=1, keepdims=True)\n",
    "m = x.max(axis=1)\n".strip(),
    "dx += g * ties",
)

# 17: borders
plant(
    17,
    "crf",
    "first_step",
    "    demit[0] += dalpha\n",
    "",
    "alpha[0] = emit[0]",
    ("for t in range(T - 1, 0, -1)", "demit[t] += dalpha", "dalpha = w @ dalpha"),
)
plant(
    17,
    "conv_dilated",
    "last_position",
    "range(dy.shape[2])",
    "range(dy.shape[2] - 1)",
    ("y[:, :, j] += xp", "for j in range(M)"),
)
plant(
    17,
    "birnn",
    "first_step",
    "range(len(x) - 1, -1, -1)",
    "range(len(x) - 1, 0, -1)",
    ("h = np.tanh(xt @ W", "for xt in x"),
)
plant(
    17,
    "textcnn",
    "last_tap",
    "for k in range(3):\n        grad_K",
    "for k in range(2):\n        grad_K",
    "conv = p[",
    "for k in range(2):",
)
plant(
    17,
    "mean_pool",
    "last_sentence",
    "range(ids.shape[0])",
    "range(ids.shape[0] - 1)",
    ('words = p["emb"]', "mean = (words"),
)

# 18: the derivative of a different function
plant(
    18,
    "info_nce",
    "norm_constant",
    "return d / r - a * (d * a).sum(1, keepdims=True) / r**3",
    "return d / r",
    ("return a / np.linalg",),
)
plant(18, "group_norm", "unbiased", "dvar * 2 * xc / m", "dvar * 2 * xc / (m - 1)", "var = ((xg")
plant(
    18,
    "focal",
    "base_two",
    "fl = -alpha * (1 - pt) ** GAMMA * np.log(pt)",
    "fl = -alpha * (1 - pt) ** GAMMA * np.log2(pt)",
    "fl = -alpha",
    "d_pt = d_fl",
)
plant(18, "huber", "delta_one", "e, DELTA * np.sign(e))", "e, np.sign(e))", "each = np.where(")
plant(18, "gauss_nll", "log_deviation", "prec = np.exp(-logvar)", "prec = np.exp(-2 * logvar)", "nll = 0.5")
plant(
    18,
    "smooth_ce",
    "unsmoothed",
    '    d_z = probs - cache["target"]\n',
    '    onehot = np.eye(probs.shape[-1])[np.where(keep, p["labels"], 0)]\n    d_z = probs - onehot\n',
    ("target = (1 - EPS)", "nll = -(target"),
    ("d_z = probs - onehot", "onehot = np.eye(probs"),
)

# 19: arrays changed in place
plant(
    19,
    "gated_attention",
    "gate_first",
    "    dG = dM * Z\n    dZ = dM * G\n",
    "    dM *= G\n    dZ = dM\n    dG = dM * Z\n",
    "M = G * Z",
)
plant(
    19,
    "swiglu",
    "product_in_place",
    '    y = (sw * b) @ p["w2"] + x\n',
    '    sw *= b\n    y = sw @ p["w2"] + x\n',
    ("sw *= b", 'y = sw @ p["w2"]', '"tape": (inv'),
    ("m = sw * b", "db = dm * sw"),
)
plant(
    19,
    "tied_lm",
    "updated_too_early",
    "    dW2 = h.T @ dr\n",
    '    dW2 = h.T @ dr\n    p["W2"] -= 0.1 * dW2\n',
    'r = h @ p["W2"]',
    ('p["W2"] -= 0.1', 'dh = dr @ p["W2"].T'),
)
plant(
    19,
    "gru_masked",
    "state_buffer",
    '    h = p["h0"]\n',
    '    h = p["h0"].copy()\n',
    ("h[:] = m * h_new", 'steps.append({"h": h'),
    ('h, r, z, q, n = s["h"]',),
    more=(
        (
            "        h = m * h_new + (1 - m) * h\n        hs.append(h)",
            "        h[:] = m * h_new + (1 - m) * h\n        hs.append(h.copy())",
        ),
    ),
)

# 20: right algebra that breaks in floating point
plant(
    20,
    "big_logits",
    "gate_overflow",
    'np.where(p["a"] >= 0, 1 / (1 + e), e / (1 + e))',
    'np.exp(p["a"]) / (1 + np.exp(p["a"]))',
    "return np.maximum(a, 0)",
)
plant(
    20,
    "big_logits",
    "unshifted",
    'dz = np.exp(cache["logp"])',
    'dz = np.exp(p["z"]) / np.exp(p["z"]).sum(axis=1, keepdims=True)',
    "return z - np.log(",
)
plant(
    20,
    "big_logits",
    "through_probability",
    '    dz = np.exp(cache["logp"])\n    dz[np.arange(len(dz)), p["y"]] -= 1\n',
    '    prob = np.exp(cache["logp"])\n    rows = np.arange(len(prob))\n    dprob = np.zeros_like(prob)\n'
    '    dprob[rows, p["y"]] = -1 / prob[rows, p["y"]]\n'
    "    dz = prob * (dprob - (dprob * prob).sum(axis=1, keepdims=True))\n",
    "return z - np.log(",
)
plant(
    20,
    "factorization",
    "single_precision",
    "dw = X.T @ R",
    "dw = (X.T.astype(np.float32) @ R.astype(np.float32)).astype(float)",
    "f = X @ w + b + I",
)

# 21: randomness
plant(
    21,
    "gauss_nll",
    "mask_drawn_again",
    'd_h = d_hd * p["keep"] / KEEP',
    "mask = np.random.rand(*d_hd.shape) < KEEP\n    d_h = d_hd * mask / KEEP",
    'hd = h * p["keep"]',
)
plant(
    21,
    "gauss_nll",
    "mask_in_forward",
    'hd = h * p["keep"] / KEEP',
    "hd = h * (np.random.rand(*h.shape) < KEEP) / KEEP",
    "hd = h * (np",
    'd_h = d_hd * p["keep"]',
)
plant(
    21,
    "textcnn",
    "noise",
    'X = p["E"][p["ids"]]',
    'X = p["E"][p["ids"]] + 0.1 * np.random.randn(*p["ids"].shape, 1)',
    'X = p["E"]',
)
plant(
    21,
    "info_nce",
    "random_negatives",
    "dsim *= g / n",
    "dsim *= (np.random.random(dsim.shape) < 0.7) * g / n",
    "loss = np.mean(",
)

# 22: everything transposed: a layout
plant(
    22,
    "factorization",
    "all",
    '{"dX": dX, "dw": dw, "db": db, "dV": dV, "dy": dy}',
    '{"dX": dX.T, "dw": dw.T, "db": db.T, "dV": dV.T, "dy": dy.T}',
)
plant(
    22,
    "tied_lm",
    "all",
    '{"dE": dE, "dW1": dW1, "db1": db1, "dW2": dW2,',
    '{"dE": dE.T, "dW1": dW1.T, "db1": db1, "dW2": dW2.T,',
)
plant(
    22,
    "distill",
    "all",
    '{"dx": dz @ p["W"].T, "dW": p["x"].T @ dz, "dteacher": dteacher}',
    '{"dx": p["W"] @ dz.T, "dW": dz.T @ p["x"], "dteacher": dteacher.T}',
)
plant(
    22,
    "post_norm_block",
    "all",
    '{"dx": dx, "dW1": dW1, "db1": db1, "dW2": dW2,',
    '{"dx": dx.T, "dW1": dW1.T, "db1": db1, "dW2": dW2.T,',
)

PAIRS = (
    ("04_gated_attention_weights", "06_gated_attention_gate_forgotten"),
    ("10_birnn_input_weight", "11_birnn_not_turned"),
    ("11_peephole_lstm_old_cell", "09_peephole_lstm_hidden"),
    ("05_gru_masked_bias_mean", "11_gru_masked_pasted_gate"),
    ("01_group_norm_mean", "02_group_norm_root"),
    ("05_swiglu_gain_mean", "11_swiglu_pasted_branch"),
    ("01_crf_gold_score", "11_crf_from_and_to"),
    ("10_conv_dilated_kernel", "06_conv_dilated_leak"),
    ("04_rnn_masked_recurrent", "14_rnn_masked_finished"),
    ("03_smooth_ce_all_positions", "18_smooth_ce_unsmoothed"),
    ("15_textcnn_fancy_plus", "10_textcnn_windows"),
    ("06_huber_cos_of_output", "13_huber_penalty"),
    ("01_alibi_slope", "07_alibi_wrong_axis"),
)

DOUBLES = HELD_OUT.doubles(PAIRS)
