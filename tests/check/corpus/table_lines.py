"""Mistakes of classes 1 to 7: signs, factors, transposes, sums, slopes, the softmax Jacobian."""

from .planting import plant

SOFTMAX = ("e = np.exp(", "e / e.sum(")

# 1: a sign
plant(1, "rms_norm", "minus_forgotten", "dr = -np.sum(", "dr = np.sum(", 'n = p["x"] / r')
plant(1, "batch_norm", "mean", "dmean = -np.sum(", "dmean = np.sum(", ('xmu = p["x"] - mean', 'mean = p["x"].mean'))
plant(1, "softmax", "plus", "s * (g - (g * s)", "s * (g + (g * s)", SOFTMAX)
plant(1, "softmax", "temperature", "dtau = -(du", "dtau = (du", 'u = p["z"] / p["tau"]')
plant(1, "gru", "update_gate", "dz = dh * (h - n)", "dz = dh * (n - h)", "h = (1 - z) * n + z * h")
plant(1, "negative_sampling", "positive_pair", "(sigmoid(u @ v) - 1)", "(1 - sigmoid(u @ v))", "np.log(sigmoid(u @ v))")
plant(1, "mse", "target", '"dY": -derr', '"dY": derr', 'err = pred - p["Y"]')
plant(
    1, "layer_norm_compact", "variance_term", "- n * (gn * n)", "+ n * (gn * n)", ("rstd = 1 / np.sqrt(", "norm = (x -")
)
plant(1, "tied", "label", 'ds[rows, p["next"]] -= 1', 'ds[rows, p["next"]] += 1', "loss = np.mean(logz - scores")

# 2: a constant factor
plant(2, "mse", "two_forgotten", "g * 2 * err / err.size", "g * err / err.size", "fit = np.mean(err**2)")
plant(2, "mse", "penalty_two", "+ g * 2 * LAMBDA *", "+ g * LAMBDA *", "penalty = LAMBDA")
plant(2, "glove", "two_forgotten", "ddiff = 2 * g *", "ddiff = g *", "loss = np.sum(weight * diff**2)")
plant(2, "glove_pairs", "two_too_many", "e = g * f(", "e = 2 * g * f(", "loss += 0.5 * f(")
plant(2, "rms_norm", "root_half", "dms = dr * 0.5 / r", "dms = dr / r", "r = np.sqrt(")
plant(2, "layer_norm", "root_half", "dvar = dstd / (2 * std)", "dvar = dstd / std", "std = np.sqrt(var + EPS)")
plant(
    2, "gelu_mlp", "cube", "(1 + 3 * 0.044715 * v**2)", "(1 + 0.044715 * v**2)", ("act = gelu(u)", "return 0.5 * v *")
)
plant(2, "dropout", "keep_forgotten", 'g * p["mask"] / KEEP', 'g * p["mask"]', "dropped = h *")

# 3: a factor that depends on a size
plant(3, "softmax_ce", "batch_mean", "dlogits *= g / n", "dlogits *= g", "loss = -logp")
plant(3, "softmax_ce_ignore", "all_tokens", "delta * g / keep.sum()", "delta * g / keep.size", "loss = ((lse")
plant(3, "attention", "query_scale", "dQ = dS @ K * scale", "dQ = dS @ K", "S = Q @ K.T")
plant(
    3,
    "attention_causal",
    "key_scale",
    'np.einsum("bij,bid->bjd", draw, p["q"]) / d**0.5',
    'np.einsum("bij,bid->bjd", draw, p["q"])',
    "raw = np.einsum(",
)
plant(3, "multihead", "width_of_all_heads", "ds = ds / np.sqrt(q.shape[-1])", "ds = ds / np.sqrt(D)", "s = q @ k.swap")
plant(3, "embedding", "mean_over_time", "T, axis=1) / T", "T, axis=1)", "pooled = emb.mean")
plant(3, "mse", "rows_only", "err / err.size", "err / len(err)", "fit = np.mean(err**2)")
plant(
    3,
    "batch_norm",
    "mean_share",
    "dx = dxmu + dmean / N",
    "dx = dxmu + dmean",
    'mean = p["x"].mean',
    ("dx = dxmu + dmean", "dmean = -np.sum("),
)
plant(3, "negative_sampling_batch", "negatives", "dneg = g / B / (1", "dneg = g / (1", "loss = np.mean(np.log1p")
plant(3, "layer_norm", "variance_mean", "dvar * 2 * xc / d", "dvar * 2 * xc", "var = (xc**2).mean")
plant(3, "bce", "batch_mean", '- p["t"]) * g / m', '- p["t"]) * g', "loss = np.mean(np.logaddexp")

# 4: a transpose
plant(4, "dense_loops", "square_weight", "dx[i] = W.T @ da", "dx[i] = W @ da", "a[i] = W @ x[i] + b")
plant(4, "dense_loops", "outer_order", "np.outer(da, x[i])", "np.outer(x[i], da)", "a[i] = W @ x[i] + b")
plant(4, "attention", "values", "dV = A.T @ g", "dV = A @ g", "O = A @ V")
plant(4, "attention", "keys", "dK = dS.T @ Q", "dK = dS @ Q", "S = Q @ K.T")
plant(4, "attention", "weight", "dWk = x.T @ dK", "dWk = dK.T @ x", 'K = p["x"] @ p["Wk"]')
plant(4, "rnn", "recurrent_weight", 'dh = da @ p["Wh"].T', 'dh = da @ p["Wh"]', "h = np.tanh(")
plant(4, "rnn_arrays", "recurrent_weight", 'p["W"].T @ da_next', 'p["W"] @ da_next', "a[t] = ")
plant(4, "rms_norm_residual", "einsum_letters", '"nd,ne->de"', '"nd,ne->ed"', "out = x + np.einsum")
plant(4, "attention_loops", "mixing_matrix", 'dkeys @ p["M"].T', 'dkeys @ p["M"]', 'keys = p["states"] @ p["M"]')
plant(4, "glove", "contexts", 'dC = ddiff.T @ p["W"]', 'dC = ddiff @ p["W"]', 'diff = p["W"] @ p["C"].T')
plant(4, "gru_cell", "inner_weight", 'dh += ds @ p["Un"].T', 'dh += ds @ p["Un"]', 's = p["h"] @ p["Un"]')
plant(4, "dense", "rectangular", 'dW = p["x"].T @ dz', 'dW = dz.T @ p["x"]', 'z = p["x"] @ p["W"]')
plant(4, "multihead", "output_weight", 'dctx = g @ p["Wo"].T', 'dctx = g @ p["Wo"]', 'out = ctx @ p["Wo"]')

# 5: a sum over a broadcast axis
plant(5, "dense", "mean_for_sum", "db = dz.sum(axis=0)", "db = dz.mean(axis=0)", 'z = p["x"] @ p["W"] + p["b"]')
plant(5, "dense", "first_row", "db = dz.sum(axis=0)", "db = dz[0]", 'z = p["x"] @ p["W"] + p["b"]')
plant(5, "glove", "other_axis", "db = ddiff.sum(axis=1)", "db = ddiff.sum(axis=0)", 'diff = p["W"]')
plant(5, "conv1d", "time_left", "db = da.sum(axis=(0, 1))", "db = da.sum(axis=0)", "a[:, t] += b")
plant(5, "gelu_mlp", "helper_mean", "flat_dy.sum(axis=0)", "flat_dy.mean(axis=0)", "return x @ W + b")
plant(5, "layer_norm", "gain_mean", '* cache["xhat"]).sum(axis=0)', '* cache["xhat"]).mean(axis=0)', "y = p[")
plant(
    5,
    "layer_norm_compact",
    "time_not_summed",
    "g.sum((0, 1))",
    "g.mean(1).sum(0)",
    '"out": norm *',
    '"dx": dx, "dscale"',
)
plant(5, "softmax", "scalar_not_summed", '(du * p["z"]).sum()', '(du * p["z"])', 'u = p["z"] / p["tau"]')
plant(5, "mse", "rows_for_columns", "db = np.sum(derr, axis=0)", "db = np.sum(derr, axis=1)", 'pred = p["X"] @')
plant(5, "lstm", "bias_mean", "dao.sum(axis=0)", "dao.mean(axis=0)", "o = sigmoid(")

# 6: the slope of an activation
plant(6, "dense", "input_for_output", '1 - cache["y"] ** 2', '1 - cache["z"] ** 2', "y = np.tanh(z)")
plant(6, "lstm", "sigmoid_for_tanh", "daq = dq * (1 - q**2)", "daq = dq * q * (1 - q)", "q = np.tanh(")
plant(6, "lstm", "tanh_for_sigmoid", "dao = do * o * (1 - o)", "dao = do * (1 - o**2)", "o = sigmoid(")
plant(6, "gru", "reset_slope_forgotten", "dar = dr * r * (1 - r)", "dar = dr", "r = sigmoid(")
plant(6, "rnn", "no_slope", "da = dh * (1 - hs[t + 1] ** 2)", "da = dh", "h = np.tanh(")
plant(6, "conv1d", "no_square", '(1 - cache["y"] ** 2)', '(1 - cache["y"])', "y = np.tanh(a)")
plant(6, "lstm_cell", "candidate", "dag = du * (1 - u**2)", "dag = du * (1 - u)", "u = np.tanh(")
plant(6, "lstm_fused", "cell_for_its_tanh", "dh * o * (1 - tc**2)", "dh * o * (1 - C[t + 1] ** 2)", "Hs[t + 1] = ")
plant(
    6,
    "gelu_mlp_ops",
    "sigmoid_for_silu",
    "up * (s + gate * s * (1 - s))",
    "up * s * (1 - s)",
    ("s = ts.sigmoid(gate)", "hidden = gate * s * up"),
)
plant(6, "dense_einsum", "relu_forgotten", 'grad_act * (cache["pre"] > 0)', "grad_act", "act = np.maximum(")
plant(6, "dropout", "pre_activation", '1 - cache["h"] ** 2', '1 - cache["a"] ** 2', "h = np.tanh(a)")
plant(6, "dense_loops", "half_a_sigmoid", "g[i] * s[i] * (1 - s[i])", "g[i] * s[i]", "out = 1 / (1 + np.exp(-a))")

# 7: the softmax Jacobian
plant(
    7,
    "attention",
    "diagonal",
    "A * (dA - (dA * A).sum(axis=1, keepdims=True))",
    "dA * A * (1 - A)",
    ("A = softmax_rows(S)", "e = np.exp(s", "return e / e.sum"),
)
plant(
    7,
    "attention",
    "columns",
    "(dA * A).sum(axis=1",
    "(dA * A).sum(axis=0",
    ("A = softmax_rows(S)", "e = np.exp(s", "return e / e.sum"),
)
plant(
    7,
    "attention_causal",
    "no_normaliser",
    'att * (datt - np.einsum("bij,bij->bi", datt, att)[..., None])',
    "att * datt",
    ("att = w / w.sum(", "w = np.exp("),
)
plant(
    7, "multihead", "wrong_axis", "da * a, axis=-1, keepdims", "da * a, axis=-2, keepdims", ("e = np.exp(", "a = e / e")
)
plant(
    7,
    "softmax_ce_jacobian",
    "diagonal",
    "np.diag(q[i]) - np.outer(q[i], q[i])",
    "np.diag(q[i] * (1 - q[i]))",
    ("e = np.exp(", "q[i] = e / e.sum()"),
)
plant(
    7, "multihead_loops", "wrong_axis", "* probs[n]).sum(-1,", "* probs[n]).sum(0,", ("probs[n] = soft", "return e / e")
)
plant(
    7,
    "attention_loops",
    "no_normaliser",
    "alphas[i] * dalpha - alphas[i] * np.dot(alphas[i], dalpha)",
    "alphas[i] * dalpha",
    ("alphas[i] = e / np.sum(e)", "e = np.exp("),
)
plant(7, "log_softmax_extreme", "no_normaliser_sum", "g - prob * total", "g - prob * g", "y = s - np.log")
plant(7, "softmax", "unweighted_sum", "(g * s).sum(axis=1", "g.sum(axis=1", SOFTMAX)
