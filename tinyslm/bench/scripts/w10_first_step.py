"""W10, a fresh process until W1's first step is done: `python w10_first_step.py tinyslm|torch CASE.npz`."""

import os
import sys

import numpy as np


def tinyslm_step(arrays, state):
    """The loss of the first step, in tinyslm."""
    from tinyslm import nn, ops, optim

    rng, (v, d), h = np.random.default_rng(0), arrays["weights/embedding.weight"].shape, 128

    class Model(nn.Module):
        def __init__(self):
            self.embedding = nn.Embedding(v, d, rng=rng)
            self.lstm = nn.LSTM(d, h, rng=rng)
            self.head = nn.Linear(h, 1, rng=rng)

        def forward(self, ids):
            _, (state, _) = self.lstm(self.embedding(ids))
            return self.head(state[-1]).squeeze(-1)

    model = Model()
    model.load_state_dict(state)
    optimizer = optim.Adam(model.parameters())
    loss = ops.binary_cross_entropy_with_logits(model(arrays["ids"]), arrays["labels"].astype("float32"))
    loss.backward()
    optimizer.step()
    return loss.item()


def torch_step(arrays, state):
    """The same in PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    (v, d), h = arrays["weights/embedding.weight"].shape, 128

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(v, d)
            self.lstm = nn.LSTM(d, h, batch_first=True)
            self.head = nn.Linear(h, 1)

        def forward(self, ids):
            _, (state, _) = self.lstm(self.embedding(ids))
            return self.head(state[-1]).squeeze(-1)

    model = Model()
    model.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()})
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    logits = model(torch.from_numpy(arrays["ids"]))
    loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(arrays["labels"]).float())
    loss.backward()
    optimizer.step()
    return loss.item()


if __name__ == "__main__":
    with np.load(sys.argv[2]) as file:
        held = {name: file[name] for name in file.files}
    weights = {name[8:]: a for name, a in held.items() if name.startswith("weights/")}
    print({"tinyslm": tinyslm_step, "torch": torch_step}[sys.argv[1]](held, weights))
