"""Mistakes of classes 16 to 22: kinks, borders, other functions, stale arrays, numerics, randomness, layout."""

from .planting import plant

# 16: conventions at kinks; none of these is a mistake
plant(16, "relu_zeros", "one_at_zero", 'dr * (p["x"] > 0)', 'dr * (p["x"] >= 0)', "r = np.maximum(")
plant(16, "relu_zeros", "half_at_zero", 'dr * (p["x"] > 0)', 'dr * np.heaviside(p["x"], 0.5)', "r = np.maximum(")
plant(16, "l1_ties", "plus_at_zero", "np.sign(r)", "np.where(r >= 0, 1, -1)", "loss = np.abs(r)")
plant(16, "l1_ties", "minus_at_zero", "np.sign(r)", "np.where(r > 0, 1, -1)", "loss = np.abs(r)")
plant(
    16, "clip_grid", "borders_inside", '(p["x"] > -1) & (p["x"] < 1)', '(p["x"] >= -1) & (p["x"] <= 1)', "c = np.clip("
)
plant(
    16,
    "max_pool",
    "last_of_the_ties",
    'where = p["x"].argmax(axis=1)',
    'where = T - 1 - p["x"][:, ::-1].argmax(axis=1)',
    'm = p["x"].max(axis=1)',
)
plant(
    16,
    "max_pool",
    "shared_by_the_ties",
    "dx[b, where[b, j], j] = dm[b, j]",
    'ties = p["x"][b, :, j] == p["x"][b, where[b, j], j]\n            dx[b, ties, j] = dm[b, j] / ties.sum()',
    'm = p["x"].max(axis=1)',
)

# 17: one element, a border, the last row
plant(
    17,
    "conv1d",
    "last_position",
    "range(da.shape[1])",
    "range(da.shape[1] - 1)",
    ("a[:, t] += x[", "for t in range(L)"),
)
plant(
    17,
    "layer_norm_loops",
    "last_row",
    "for r in range(len(x)):\n        h = ",
    "for r in range(len(x) - 1):\n        h = ",
    ("hat[r] = ", "out[r] = "),
)
plant(
    17,
    "negative_sampling",
    "first_negative",
    'for k in p["negatives"][b]:\n            nerr',
    'for k in p["negatives"][b][1:]:\n            nerr',
    "loss = loss - np.log(sigmoid(-(",
)
plant(17, "conv1d_windows", "crop_shifted", "dpadded[PAD : PAD + T]", "dpadded[:T]", "padded = np.concatenate(")
plant(
    17,
    "softmax_ce_jacobian",
    "last_row",
    "for i in range(n):",
    "for i in range(n - 1):",
    ("q[i] = e", "loss = loss - np.sum"),
)
plant(
    17,
    "glove_pairs",
    "last_pair",
    'for n in range(len(p["rows"])):\n        i, j = p["rows"][n], p["cols"][n]\n        e =',
    'for n in range(len(p["rows"]) - 1):\n        i, j = p["rows"][n], p["cols"][n]\n        e =',
    ("err[n] = ", "loss += 0.5"),
)
plant(17, "gru", "first_step", 'range(len(p["x"]) - 1, -1, -1)', 'range(len(p["x"]) - 1, 0, -1)', "for x in p")
plant(17, "lstm_fused", "first_step", "range(T - 1, -1, -1)", "range(T - 1, 0, -1)", "for t in range(T)")
plant(
    17,
    "dense",
    "one_element",
    'dW = p["x"].T @ dz\n',
    'dW = p["x"].T @ dz\n    dW[0, 0] = 0\n',
    'z = p["x"] @ p["W"]',
    ("dW[0, 0] = 0", 'dW = p["x"].T'),
)
plant(
    17,
    "attention_loops",
    "last_query",
    'for i, q in enumerate(p["query"]):\n        dalpha',
    'for i, q in enumerate(p["query"][:-1]):\n        dalpha',
    ("score = keys @ q", "context[i] = "),
)

# 18: the derivative of a different function
plant(
    18,
    "layer_norm_compact",
    "detached",
    "rstd * (gn - gn.mean(-1, keepdims=True) - n * (gn * n).mean(-1, keepdims=True))",
    "rstd * gn",
    ("rstd = 1 / np.sqrt(", "norm = (x -"),
)
plant(
    18,
    "layer_norm_compact",
    "deviation_detached",
    " - n * (gn * n).mean(-1, keepdims=True))",
    ")",
    "rstd = 1 / np.sqrt(",
    "dx = rstd",
)
plant(
    18,
    "batch_norm_compact",
    "detached",
    'p["a"] * istd / M * (M * up - dc - hat * da)',
    'p["a"] * istd * up',
    ("istd = (flat.var(", "hat = (flat"),
)
plant(
    18, "layer_norm_loops", "unbiased", "np.outer(h, h) / d)", "np.outer(h, h) / (d - 1))", ("sigma[r] = ", "hat[r] = ")
)
plant(18, "batch_norm", "unbiased", "dvar / N", "dvar / (N - 1)", "var = sq.mean(axis=0)")
plant(
    18,
    "layer_norm",
    "epsilon_forgotten",
    "dvar = dstd / (2 * std)",
    'dvar = dstd / (2 * np.sqrt(cache["var"]))',
    "std = np.sqrt(var + EPS)",
    more=(("EPS = 1e-5", "EPS = 0.1"),),
    backward="dvar = dstd",
)
plant(18, "softmax_ce_jacobian", "other_base", "np.log(q[i])", "np.log2(q[i])", "loss = loss - np.sum", "dq = -g / n")
plant(
    18,
    "gelu_mlp",
    "other_gelu",
    "    t = np.tanh(ALPHA * (v + 0.044715 * v**3))\n    inner = ALPHA * (1 + 3 * 0.044715 * v**2)\n"
    "    return 0.5 * (1 + t) + 0.5 * v * (1 - t**2) * inner",
    "    s = 1 / (1 + np.exp(-1.702 * v))\n    return s + 1.702 * v * s * (1 - s)",
    ("act = gelu(u)", "return 0.5 * v *"),
    ("return s + 1.702", 'du = dact * gelu_slope(cache["u"])'),
)
plant(
    18,
    "gru",
    "other_convention",
    "h = (1 - z) * n + z * h",
    "h = (1 - z) * h + z * n",
    "h = (1 - z) * h + z * n",
    ("dz = dh * (h - n)", "dn = dh * (1 - z)", "dh_prev = dh * z"),
)
plant(
    18,
    "dropout",
    "forward_unscaled",
    'h * p["mask"] / KEEP',
    'h * p["mask"]',
    "dropped = h *",
    'dh = g * p["mask"] / KEEP',
)

# 19: arrays changed in place
plant(
    19,
    "rnn",
    "one_buffer",
    '    h = p["h0"]\n    hs = [h]',
    '    h = p["h0"].copy()\n    hs = [h]',
    ("h[:] = np.tanh(", "hs.append(h)"),
    ("1 - hs[t + 1] ** 2", "dWh += hs[t].T"),
    more=(("        h = np.tanh(", "        h[:] = np.tanh("),),
)
plant(
    19,
    "residual_mlp",
    "stream_in_place",
    "x = x + h @",
    "x += h @",
    ("x += h @", "xs.append(x)"),
    ("= x.T @ da", 'cache["xs"][layer - 1]'),
)
plant(
    19,
    "dense",
    "tanh_in_place",
    "    y = np.tanh(z)",
    "    y = np.tanh(z, out=z)",
    "y = np.tanh(z, out=z)",
    'np.cosh(cache["z"])',
    more=(('(1 - cache["y"] ** 2)', '/ np.cosh(cache["z"]) ** 2'), ("g * /", "g /")),
)
plant(
    19,
    "gru",
    "gradient_scaled_too_early",
    "        dz = dh * (h - n)\n        dn = dh * (1 - z)\n        dh_prev = dh * z\n",
    "        dh_prev = dh\n        dh_prev *= z\n        dz = dh * (h - n)\n        dn = dh * (1 - z)\n",
    "h = (1 - z) * n + z * h",
    ("dh_prev *= z", "dz = dh * (h - n)", "dn = dh * (1 - z)"),
)
plant(
    19,
    "batch_norm",
    "cotangent_overwritten",
    '    dgamma = np.sum(g * cache["xhat"], axis=0)\n    dxhat = g * p["gamma"]\n',
    '    dxhat = g\n    dxhat *= p["gamma"]\n    dgamma = np.sum(g * cache["xhat"], axis=0)\n',
    "out = p[",
    ('dxhat *= p["gamma"]', "dxhat = g", "dgamma = np.sum("),
)
plant(
    19,
    "lstm",
    "cell_in_place",
    "        c = f * c + i * q",
    "        c *= f\n        c += i * q",
    ("c *= f", "cs.append(c)"),
    ("c, c_prev = ", "df = dc * c_prev"),
    more=(('h, c = p["h0"], p["c0"]\n', 'h, c = p["h0"], p["c0"].copy()\n'),),
)
plant(
    19,
    "negative_sampling",
    "weights_updated_too_early",
    "        dWout[j] += err * v\n",
    '        dWout[j] += err * v\n        p["Wout"][j] -= 0.1 * err * v\n',
    'u = p["Wout"][p["context"][b]]',
    'p["Wout"][j] -= ',
)
plant(
    19,
    "attention",
    "weights_overwritten",
    "    dV = A.T @ g\n    dA = g @ V.T\n    dS = A * (dA - (dA * A).sum(axis=1, keepdims=True))\n",
    "    dA = g @ V.T\n    dS = A\n    dS *= dA - (dA * A).sum(axis=1, keepdims=True)\n    dV = A.T @ g\n",
    "O = A @ V",
    ("dS *= dA", "dS = A", "dV = A.T @ g"),
)
plant(
    19,
    "tied",
    "probabilities_in_the_cache",
    'ds = np.exp(cache["scores"] - cache["logz"][:, None])',
    'ds = np.exp(cache["scores"] - cache["logz"][:, None], out=cache["scores"])',
    (),
    'out=cache["scores"]',
)

# 20: right algebra that breaks in floating point
plant(
    20,
    "bce_saturated",
    "overflow",
    "prob = np.where(a >= 0, 1, e) / (1 + e)",
    "prob = np.exp(a) / (1 + np.exp(a))",
    ("losses = ",),
    more=(("    e = np.exp(-np.abs(a))\n", ""),),
)
plant(
    20,
    "bce_saturated",
    "zero_over_zero",
    'da = g * (prob - p["t"])',
    'dprob = (1 - p["t"]) / (1 - prob) - p["t"] / prob\n    da = g * dprob * prob * (1 - prob)',
    "losses = ",
)
plant(
    20,
    "log_softmax_extreme",
    "unshifted",
    'prob = np.exp(cache["y"])',
    'prob = np.exp(p["z"]) / np.exp(p["z"]).sum(axis=1, keepdims=True)',
    "s = p[",
)
plant(
    20,
    "log_softmax_extreme",
    "through_probability",
    "    total = g.sum(axis=1, keepdims=True)\n    dz = g - prob * total",
    "    dprob = g / prob\n    dz = prob * (dprob - (dprob * prob).sum(axis=1, keepdims=True))",
    "y = s - np.log",
)
plant(
    20,
    "softmax_ce",
    "half_precision",
    'dlogits = np.exp(cache["logp"])',
    'dlogits = np.exp(cache["logp"]).astype(np.float16).astype(float)',
    "logp = shifted",
)
plant(
    20,
    "dense",
    "single_precision",
    'dW = p["x"].T @ dz',
    'dW = p["x"].T.astype(np.float32) @ dz.astype(np.float32)',
    'z = p["x"] @',
)
plant(
    20,
    "softmax_ce_jacobian",
    "log_of_zero",
    '"z": 2 * rng',
    '"z": 2000 * rng',
    ("loss = loss - np.sum", "e = np.exp("),
    ("dq = -g / n",),
)

# 21: randomness
plant(
    21,
    "dropout",
    "mask_drawn_again",
    'dh = g * p["mask"] / KEEP',
    "mask = np.random.rand(*g.shape) < KEEP\n    dh = g * mask / KEEP",
    "dropped = h *",
)
plant(
    21,
    "dropout",
    "mask_drawn_in_forward",
    'dropped = h * p["mask"] / KEEP',
    "mask = np.random.rand(*h.shape) < KEEP\n    dropped = h * mask / KEEP",
    ("mask = np.random.rand", "dropped = h * mask"),
    'dh = g * p["mask"]',
)
plant(
    21,
    "gelu_mlp",
    "noise",
    'u = linear(p["x"], p["W1"], p["b1"])',
    'u = linear(p["x"], p["W1"], p["b1"])\n    u = u + 0.01 * np.random.default_rng().normal(size=u.shape)',
    "u = u + 0.01",
    "u = u + 0.01",
)
plant(
    21,
    "negative_sampling",
    "negatives_drawn",
    'for k in p["negatives"][b]:\n            loss',
    'for k in np.random.randint(0, len(p["Wout"]), size=5):\n            loss',
    "for k in np.random.randint",
    'for k in p["negatives"][b]:',
)
plant(
    21,
    "mse",
    "random_rows",
    "derr = g * 2 * err / err.size",
    "rows = np.random.random(len(err)) < 0.5\n    derr = np.zeros_like(err)\n"
    "    derr[rows] = g * 2 * err[rows] / err.size",
    "fit = ",
)

# 22: everything transposed: a layout, not a mistake
plant(22, "dense", "all", '{"dz": dz, "dx": dx, "dW": dW, "db": db}', '{"dx": dx.T, "dW": dW.T, "db": db}')
plant(
    22,
    "glove",
    "all",
    '{"ddiff": ddiff, "dW": dW, "dC": dC, "db": db, "dc": dc}',
    '{"dW": dW.T, "dC": dC.T, "db": db, "dc": dc}',
)
plant(
    22,
    "mse",
    "all",
    '{"derr": derr, "dX": dX, "dY": -derr, "dW": dW, "db": db}',
    '{"dX": dX.T, "dY": -derr.T, "dW": dW.T, "db": db}',
)
plant(22, "negative_sampling", "all", '{"dWin": dWin, "dWout": dWout}', '{"dWin": dWin.T, "dWout": dWout.T}')
plant(22, "dense_loops", "all", '{"dx": dx, "dW": dW, "db": db}', '{"dx": dx.T, "dW": dW.T, "db": db}')
