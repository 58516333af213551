"""TextCNN：词向量 → 卷积 → relu → 对时间取最大 → 线性层 → softmax 交叉熵。"""

import numpy as np

sizes = {"B": 3, "T": 7, "V": 5, "D": 3, "F": 4, "C": 2}


def inputs(rng, sizes):
    B, T, V, D, F, C = (sizes[k] for k in ["B", "T", "V", "D", "F", "C"])
    return {
        "ids": rng.integers(0, V, size=(B, T)),
        "E": rng.normal(size=(V, D)),
        "K": rng.normal(size=(3, D, F)) * 0.5,
        "kb": rng.normal(size=F),
        "W": rng.normal(size=(F, C)),
        "b": rng.normal(size=C),
        "y": rng.integers(0, C, size=B),
    }


def forward(p):
    X = p["E"][p["ids"]]
    T = X.shape[1]
    n = T - 2
    conv = p["kb"] + sum(X[:, k : k + n] @ p["K"][k] for k in range(3))
    act = np.maximum(conv, 0)
    best = act.argmax(axis=1)
    pooled = act.max(axis=1)
    logits = pooled @ p["W"] + p["b"]
    e = np.exp(logits - logits.max(1, keepdims=True))
    probs = e / e.sum(1, keepdims=True)
    loss = -np.log(probs[np.arange(len(X)), p["y"]]).mean()
    return {"X": X, "conv": conv, "best": best, "pooled": pooled, "probs": probs, "loss": loss}


def backward(p, cache, g):
    X, conv, best = cache["X"], cache["conv"], cache["best"]
    B, n, F = conv.shape
    # 输出层
    d_logits = cache["probs"].copy()
    d_logits[np.arange(B), p["y"]] -= 1
    d_logits *= g / B
    grad_W = cache["pooled"].T @ d_logits
    grad_b = d_logits.sum(0)
    d_pool = d_logits @ p["W"].T
    # 最大池化：梯度只流向最大的位置
    d_act = np.zeros_like(conv)
    for i in range(B):
        for f in range(F):
            d_act[i, best[i, f], f] = d_pool[i, f]
    d_conv = d_act * (conv > 0)
    grad_kb = d_conv.sum((0, 1))
    # 卷积
    grad_K = np.zeros_like(p["K"])
    d_X = np.zeros_like(X)
    for k in range(3):
        grad_K[k] = np.einsum("btd,btf->df", X[:, k : k + n], d_conv)
        d_X[:, k : k + n] += d_conv @ p["K"][k].T
    grad_E = np.zeros_like(p["E"])
    np.add.at(grad_E, p["ids"], d_X)
    return {"dE": grad_E, "dK": grad_K, "dkb": grad_kb, "dW": grad_W, "db": grad_b}
