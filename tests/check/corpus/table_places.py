"""Mistakes of classes 8 to 15: lost paths and carries, wrong places, double counts, cotangents, masks, repeated ids."""

from .planting import plant

SCATTER = "np.add.at("

# 8: a dropped path
plant(8, "attention", "keys_share", ' + dK @ p["Wk"].T', "", 'K = p["x"] @ p["Wk"]', "dx = dQ @")
plant(8, "residual_mlp", "skip", "dx += da @", "dx = da @", "x = x + h @")
plant(8, "layer_norm", "variance", "    dxc = dxc + dvar * 2 * xc / d\n", "", "var = (xc**2).mean", "dxc = dxhat / std")
plant(8, "batch_norm", "mean", "dx = dxmu + dmean / N", "dx = dxmu", 'mean = p["x"].mean')
plant(8, "rms_norm", "statistic", "    dx += dms * 2 * x / d\n", "", 'ms = np.mean(p["x"] ** 2', "dx = dn / r")
plant(8, "tied", "lookup", '    np.add.at(dE, p["ids"], de)\n', "", 'e = p["E"][p["ids"]]', "dE = ds.T @")
plant(8, "rms_norm_residual", "skip", "dx = up + inv[", "dx = inv[", "out = x + np.einsum")
plant(
    8,
    "gru",
    "through_reset_product",
    "        dh_prev = dh_prev + drh * r\n",
    "",
    "n = np.tanh(",
    ("dh_prev = dh * z", "dh_prev = dh_prev + dar @"),
)
plant(8, "gru_cell", "candidate_state", '    dh += ds @ p["Un"].T\n', "", 's = p["h"] @ p["Un"]', "dh = g * z")
plant(
    8,
    "attention_loops",
    "keys_from_states",
    '    dstates += dkeys @ p["M"].T\n',
    "",
    'keys = p["states"] @ p["M"]',
    ("dstates += np.outer", "dstates = np.zeros"),
)
plant(
    8,
    "gelu_mlp",
    "second_term",
    "0.5 * (1 + t) + 0.5 * v * (1 - t**2) * inner",
    "0.5 * (1 + t)",
    ("act = gelu(u)", "return 0.5 * v *"),
)
plant(8, "gelu_mlp_ops", "gate_input", ' + dgate @ p["Wg"].T', "", 'gate = ts.matmul(p["x"]', "dx = dup @")
plant(8, "mse", "penalty", ' + g * 2 * LAMBDA * p["W"]', "", ("penalty = ", "loss = fit"), 'dW = p["X"].T @ derr')
plant(
    8,
    "negative_sampling_batch",
    "negative_rows",
    '    np.add.at(dZ, p["n"], dun)\n',
    "",
    'un = p["Z"][p["n"]]',
    ('np.add.at(dZ, p["o"], duo)', "dZ = np.zeros"),
)
plant(8, "lstm", "output_gate_into_h", ' + dao @ p["Wo"].T', "", "o = sigmoid(", "dz = dai @")

# 9: the carry through time
plant(
    9,
    "lstm",
    "hidden",
    "dh = g[t] + dh_next",
    "dh = g[t]",
    ("hs.append(h)", "z = np.concatenate", "h = o * np.tanh(c)"),
)
plant(9, "lstm", "cell", "dc = dc_next + dh * o", "dc = dh * o", "c = f * c + i * q")
plant(9, "rnn", "one_step_only", 'dh = da @ p["Wh"].T', "dh = np.zeros_like(da)", "h = np.tanh(")
plant(
    9,
    "rnn_arrays",
    "not_handed_on",
    "        da_next = da\n",
    "",
    "a[t] = ",
    ("da_next = np.zeros", 'dh = p["V"].T @ do'),
)
plant(9, "gru", "dropped", "dh = dh_prev", "dh = np.zeros_like(dh_prev)", ("h = (1 - z) * n + z * h", "z = sigmoid("))
plant(9, "lstm_fused", "cell_dropped", "dc = dc * f", "dc = np.zeros_like(dc)", "C[t + 1] = f * C[t]")
plant(
    9,
    "lstm_fused",
    "forget_gate_not_on_carry",
    "        dc = dc * f\n",
    "",
    "C[t + 1] = f * C[t]",
    ("dc = dc + dh * o", 'dh = dpre @ p["U"].T'),
)
plant(9, "lstm_fused", "hidden_dropped", 'dh = dpre @ p["U"].T', "dh = np.zeros_like(g)", 'pre = p["X"][:, t] @')
plant(
    9,
    "rnn",
    "two_steps",
    'reversed(range(len(p["x"]))):\n        da',
    'reversed(range(len(p["x"]) - 2, len(p["x"]))):\n        da',
    "h = np.tanh(",
)

# 10: = for +=
plant(10, "rnn", "recurrent_weight", "dWh += hs[t].T", "dWh = hs[t].T", "h = np.tanh(")
plant(10, "rnn", "bias", "db += da.sum(axis=0)", "db = da.sum(axis=0)", "h = np.tanh(")
plant(10, "lstm", "forget_weight", 'grads["dWf"] += z.T', 'grads["dWf"] = z.T', "f = sigmoid(")
plant(10, "conv1d", "kernel", "dw[k] += x", "dw[k] = x", "a[:, t] += x[")
plant(10, "conv1d", "overlap", "dx[:, t + k] += da", "dx[:, t + k] = da", "a[:, t] += x[")
plant(10, "dense_loops", "bias", "db += da", "db = da", "a[i] = W @ x[i] + b")
plant(10, "layer_norm_loops", "gain", 'grads["dw"] += g[r]', 'grads["dw"] = g[r]', "out[r] = ")
plant(
    10,
    "gru",
    "biases",
    'grads["db" + k] += da',
    'grads["db" + k] = da',
    ("z = sigmoid(", "r = sigmoid(", "n = np.tanh("),
)
plant(10, "gru_cell", "input", 'dx += dar @ p["Wr"].T', 'dx = dar @ p["Wr"].T', ("r = logistic(", "n = np.tanh("))
plant(10, "attention_loops", "keys", "dkeys += np.outer", "dkeys = np.outer", "score = keys @ q")
plant(10, "rnn_arrays", "readout", "dV += np.outer", "dV = np.outer", "o[t] = ")

# 11: a wrong time index, a pasted name
plant(11, "lstm", "cell_for_previous", "df = dc * c_prev", "df = dc * c", "c = f * c + i * q")
plant(11, "lstm", "gate_pasted", 'grads["dWo"] += z.T @ dao', 'grads["dWo"] += z.T @ daf', "o = sigmoid(")
plant(11, "lstm", "slope_of_other_gate", "di * i * (1 - i)", "di * f * (1 - f)", "i = sigmoid(")
plant(11, "lstm", "weights_pasted", 'daf @ p["Wf"].T', 'daf @ p["Wi"].T', "f = sigmoid(")
plant(11, "lstm_fused", "cell_index", "dc * C[t] * f", "dc * C[t + 1] * f", "C[t + 1] = f * C[t]")
plant(11, "lstm_fused", "state_index", "dU += Hs[t].T", "dU += Hs[t + 1].T", 'pre = p["X"][:, t] @')
plant(
    11,
    "lstm_fused",
    "gate_order",
    "dc * i * (1 - q**2),\n                dh * tc * o * (1 - o),",
    "dh * tc * o * (1 - o),\n                dc * i * (1 - q**2),",
    ('pre = p["X"][:, t] @', "acts[t, :, 2 * H"),
    ("dh * tc * o * (1 - o),", "dc * i * (1 - q**2),", "dpre = np.concatenate("),
)
plant(11, "rnn", "state_index", "dWh += hs[t].T", "dWh += hs[t + 1].T", "h = np.tanh(")
plant(11, "rnn", "slope_index", "1 - hs[t + 1] ** 2", "1 - hs[t] ** 2", "h = np.tanh(")
plant(11, "gru", "reset_forgotten", 'grads["dUn"] += (r * h).T', 'grads["dUn"] += h.T', "n = np.tanh(")
plant(11, "gru", "weights_pasted", 'daz @ p["Wz"].T', 'daz @ p["Wr"].T', "z = sigmoid(")
plant(11, "gru_cell", "candidate_for_inner", "dr = dan * s", "dr = dan * n", "n = np.tanh(")
plant(11, "lstm_cell", "gate_pasted", "di = dc * u", "di = dc * f", "c = f * p[")
plant(
    11,
    "residual_mlp",
    "layer_index",
    'cache["xs"][layer - 1]',
    'cache["xs"][layer]',
    "h = np.tanh(",
    ('cache["xs"][layer]', "= x.T @ da"),
)
plant(11, "attention", "query_pasted", "dWk = x.T @ dK", "dWk = x.T @ dQ", 'K = p["x"] @ p["Wk"]')
plant(11, "attention", "query_for_key", "dQ = dS @ K", "dQ = dS @ Q", "S = Q @ K.T")
plant(11, "glove_pairs", "bias_pasted", 'out["dbc"][j] += e', 'out["dbc"][i] += e', "err[n] = ")
plant(11, "softmax_ce_jacobian", "label_for_guess", "y[i] / q[i]", "y[i] / q[0]", "loss = loss - np.sum")

# 12: counted twice
plant(12, "residual_mlp", "skip", '    grads["dx"] = dx', '    grads["dx"] = dx + g', "x = x + h @")
plant(
    12,
    "layer_norm",
    "mean",
    "dx = dxc + dmu / d",
    "dx = dxc - dxc.mean(axis=1, keepdims=True) + dmu / d",
    ("mu = p[", 'xc = p["x"] - mu'),
)
plant(
    12,
    "rnn",
    "carry_kept",
    'dh = da @ p["Wh"].T',
    'dh += da @ p["Wh"].T',
    "h = np.tanh(",
    "dh += da @",
    more=(("    dh = g\n", "    dh = g.copy()\n"),),
)
plant(
    12,
    "lstm",
    "output_again",
    "dh_next = dz[:, D:]",
    "dh_next = dz[:, D:] + g[t]",
    ("hs.append(h)", "h = o * np", "z = np.concat"),
)
plant(
    12, "gru", "output_again", "dh_prev = dh * z\n", "dh_prev = dh * z + g\n", ("total = total + h", "h = (1 - z) * n")
)
plant(12, "tied", "lookup", 'np.add.at(dE, p["ids"], de)', 'np.add.at(dE, p["ids"], 2 * de)', 'e = p["E"][p["ids"]]')
plant(
    12,
    "attention_loops",
    "values",
    "dstates += np.outer(alphas[i], g[i])",
    "dstates += 2 * np.outer(alphas[i], g[i])",
    "context[i] = ",
)
plant(
    12,
    "conv1d",
    "bias_again",
    "    db = da.sum(axis=(0, 1))",
    "    db = da.sum(axis=(0, 1)) + da[:, -1].sum(axis=0)",
    "a[:, t] += b",
)
plant(
    12, "attention", "values_again", ' + dV @ p["Wv"].T', ' + dV @ p["Wv"].T + dV @ p["Wv"].T', 'V = p["x"] @ p["Wv"]'
)

# 13: the upstream cotangent
plant(13, "dense", "ignored", 'dz = g * (1 - cache["y"] ** 2)', 'dz = 1 - cache["y"] ** 2', "y = np.tanh(z)")
plant(13, "softmax_ce", "ignored", "dlogits *= g / n", "dlogits *= 1 / n", "loss = -logp")
plant(13, "glove_pairs", "ignored", "e = g * f(", "e = f(", "loss += 0.5 * f(")
plant(
    13,
    "negative_sampling",
    "only_negatives",
    "nerr = g * sigmoid(",
    "nerr = sigmoid(",
    "loss = loss - np.log(sigmoid(-(",
)
plant(13, "rnn", "ones", "    dh = g\n", "    dh = np.ones_like(g)\n", "h = np.tanh(")
plant(13, "dropout", "ignored", 'dh = g * p["mask"] / KEEP', 'dh = p["mask"] / KEEP', "dropped = h *")
plant(
    13,
    "dense_einsum",
    "weight_decay_slipped_in",
    'np.einsum("btd,bth->dh", p["x"], grad_pre)',
    'np.einsum("btd,bth->dh", p["x"], grad_pre) + 0.1 * p["w1"]',
    "pre = np.einsum(",
)
plant(13, "mse", "ignored_in_the_fit", "derr = g * 2 * err", "derr = 2 * err", "fit = np.mean(err**2)")
plant(13, "layer_norm", "squared", "dxhat = g * p", "dxhat = g * g * p", "y = p[")

# 14: masks
MASKLESS = """    raw = np.einsum("bid,bjd->bij", p["q"], p["k"]) / d**0.5
    att = np.exp(raw) / np.exp(raw).sum(-1, keepdims=True)
"""
plant(
    14,
    "attention_causal",
    "recomputed_without",
    '    att = cache["att"]\n',
    MASKLESS,
    ("scores = np.where(allowed", "att = w / w.sum("),
    ("att = np.exp(raw)", "dscores = att *"),
)
plant(
    14,
    "softmax_ce_ignore",
    "not_applied",
    "    delta = delta * keep[:, None]\n",
    "",
    "loss = ((lse",
    ("delta = e / e.sum", "delta = delta * g"),
)
plant(14, "softmax_ce_ignore", "inverted", "delta * keep[:, None]", "delta * ~keep[:, None]", "loss = ((lse")
plant(
    14, "embedding_padding", "not_applied", "dh = g * keep[t] / keep.sum()", "dh = g / keep.sum()", "pooled = (h * keep"
)
plant(14, "dropout", "not_applied", 'dh = g * p["mask"] / KEEP', "dh = g / KEEP", "dropped = h *")
plant(14, "dropout", "inverted", 'dh = g * p["mask"] / KEEP', 'dh = g * ~p["mask"] / KEEP', "dropped = h *")
plant(
    14, "glove", "weight_forgotten", 'g * cache["weight"] * cache["diff"]', 'g * cache["diff"]', "loss = np.sum(weight"
)
plant(
    14,
    "multihead_loops",
    "recomputed_without",
    "        dprobs = up @ v.T\n",
    "        dprobs = up @ v.T\n        probs[n] = softmax(q @ k.T / np.sqrt(dh))\n",
    ('scores = np.where(p["mask"]', "probs[n] = softmax(scores)"),
    ("probs[n] = softmax(q @ k", "dscores = probs[n] *"),
)
plant(
    14,
    "attention_causal",
    "values_of_the_future",
    'dv": np.einsum("bij,bid->bjd", att, g)',
    'dv": np.einsum("bij,bid->bjd", att + ~allowed / T, g)',
    "ctx = np.einsum(",
)

# 15: repeated ids
plant(15, "embedding", "fancy_plus", 'np.add.at(dE, p["ids"], demb)', 'dE[p["ids"]] += demb', 'emb = p["E"][p["ids"]]')
plant(15, "embedding", "fancy_set", 'np.add.at(dE, p["ids"], demb)', 'dE[p["ids"]] = demb', 'emb = p["E"][p["ids"]]')
plant(
    15,
    "embedding_padding",
    "last_write",
    "dtable[i] += da * keep[t]",
    "dtable[i] = da * keep[t]",
    'rows = p["table"][p["ids"]]',
)
plant(15, "tied", "fancy_plus", 'np.add.at(dE, p["ids"], de)', 'dE[p["ids"]] += de', 'e = p["E"][p["ids"]]')
plant(
    15, "negative_sampling_batch", "negatives", 'np.add.at(dZ, p["n"], dun)', 'dZ[p["n"]] += dun', 'un = p["Z"][p["n"]]'
)
plant(
    15, "negative_sampling_batch", "centres", 'np.add.at(dA, p["c"], dvc)', 'dA[p["c"]] += dvc', 'vc = p["A"][p["c"]]'
)
plant(15, "conv1d_windows", "overlap", "np.add.at(dpadded, idx, dcols)", "dpadded[idx] += dcols", "cols = padded[idx]")
plant(15, "glove_pairs", "last_write", 'out["dmain"][i] += e', 'out["dmain"][i] = e', "err[n] = ")
plant(
    15,
    "negative_sampling",
    "last_write",
    "dWout[k] += nerr * v",
    "dWout[k] = nerr * v",
    "loss = loss - np.log(sigmoid(-(",
)
