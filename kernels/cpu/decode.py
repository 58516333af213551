"""One token through one pre-norm Transformer block, with the keys and values of all earlier tokens kept.

For B rows of D features, F inside the feed-forward part and t tokens so far: operations 2 B (4 D^2 + 2 D F) in products
with the weights and 4 B t D in attention. Bytes: every weight is read once, 4 D^2 + 2 D F numbers, which is what a step
costs; beside them 2 B t D numbers of the cache. Idea: with one token there is no product of matrices left, only dot
products of a vector with the rows of the weights as they lie. What takes the time in a framework is the way to some
forty small operations, so all of them are loops in one function here.
"""

import numpy as np

from ._jit import jit
from ._math import dot, exp, normal_tail, row_max


@jit
def block_step(x, norm1, qkv, out, norm2, up, down, keys, values, time, eps):
    """x (B, D) becomes the block's output, in place; keys and values (B, N, max_time, D/N) get entry `time`.

    Each pair is (weight, bias): norm1 and norm2 (D,) twice; qkv (3D, D), out (D, D), up (F, D), down (D, F), biases
    (rows,). With h = norm1(x): q, k, v = qkv h; x += out softmax(q K^T / sqrt(D/N)) V; x += down gelu(up norm2(x)).
    """
    rows, width = x.shape
    h, heads = np.empty((rows, width), x.dtype), np.empty((rows, width), x.dtype)
    projected, inner = np.empty((rows, 3 * width), x.dtype), np.empty((rows, up[0].shape[0]), x.dtype)
    _layer_norm(x, norm1[0], norm1[1], eps, h)
    _affine(h, qkv[0], qkv[1], projected)
    _remember(projected, keys, values, time)
    _attend(projected, keys, values, time + 1, heads)
    _affine(heads, out[0], out[1], h)
    _add(x, h)
    _layer_norm(x, norm2[0], norm2[1], eps, h)
    _affine(h, up[0], up[1], inner)
    _gelu(inner)
    _affine(inner, down[0], down[1], h)
    _add(x, h)


@jit
def logits_step(x, norm, weight, bias, eps, out):
    """out (B, V) = weight norm(x) + bias: the closing norm and the scores of the vocabulary."""
    h = np.empty_like(x)
    _layer_norm(x, norm[0], norm[1], eps, h)
    _affine(h, weight, bias, out)


@jit
def _affine(x, weight, bias, y):
    """y (B, H) = x (B, D) weight^T + bias; each number of x is loaded once for four rows of the weight."""
    whole = weight.shape[0] // 4 * 4
    for b in range(x.shape[0]):
        row, out = x[b], y[b]
        for r in range(0, whole, 4):
            w0, w1, w2, w3 = weight[r], weight[r + 1], weight[r + 2], weight[r + 3]
            s0 = s1 = s2 = s3 = row.dtype.type(0)
            for k in range(row.size):
                s0 += w0[k] * row[k]
                s1 += w1[k] * row[k]
                s2 += w2[k] * row[k]
                s3 += w3[k] * row[k]
            out[r], out[r + 1], out[r + 2], out[r + 3] = s0, s1, s2, s3
        for r in range(whole, weight.shape[0]):
            out[r] = dot(weight[r], row)
        for r in range(bias.size):
            out[r] += bias[r]


@jit
def _add(x, h):
    for b in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[b, j] += h[b, j]


@jit
def _layer_norm(x, weight, bias, eps, y):
    size = x.dtype.type(x.shape[1])
    for b in range(x.shape[0]):
        row = x[b]
        mean = square = row.dtype.type(0)
        for j in range(row.size):
            mean += row[j]
        mean /= size
        for j in range(row.size):
            square += (row[j] - mean) * (row[j] - mean)
        scale = row.dtype.type(1) / np.sqrt(square / size + row.dtype.type(eps))
        for j in range(row.size):
            y[b, j] = (row[j] - mean) * scale * weight[j] + bias[j]


@jit
def _remember(projected, keys, values, time):
    width, size = projected.shape[1] // 3, keys.shape[3]
    for b in range(keys.shape[0]):
        for n in range(keys.shape[1]):
            for j in range(size):
                keys[b, n, time, j] = projected[b, width + n * size + j]
                values[b, n, time, j] = projected[b, 2 * width + n * size + j]


@jit
def _attend(projected, keys, values, seen, heads):
    size = keys.shape[3]
    scale = heads.dtype.type(1) / np.sqrt(heads.dtype.type(size))
    weights = np.empty(seen, heads.dtype)
    for b in range(keys.shape[0]):
        for n in range(keys.shape[1]):
            here = slice(n * size, (n + 1) * size)
            query, out = projected[b, here], heads[b, here]
            for t in range(seen):
                weights[t] = dot(query, keys[b, n, t]) * scale
            _softmax(weights)
            out[:] = 0
            for t in range(seen):
                share, value = weights[t], values[b, n, t]
                for j in range(size):
                    out[j] += share * value[j]


@jit
def _softmax(row):
    top, total = row_max(row), row.dtype.type(0)
    for t in range(row.size):
        row[t] = exp(row[t] - top)
        total += row[t]
    for t in range(row.size):
        row[t] /= total


@jit
def _gelu(x):
    half, one = x.dtype.type(0.5), x.dtype.type(1)
    for b in range(x.shape[0]):
        for j in range(x.shape[1]):
            v = x[b, j]
            tail = normal_tail(abs(v), exp(-half * v * v))
            x[b, j] = v * (tail if v < 0 else one - tail)
