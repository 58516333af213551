"""The articles' LSTM classifier in PyTorch, with our names, so that one state dict fits both. A referee only."""

import numpy as np
import torch


class Twin(torch.nn.Module):
    """Embedding -> LSTM -> Linear, as `TextClassifier` with its default settings."""

    def __init__(self, config):
        super().__init__()
        self.embedding = torch.nn.Embedding(config.vocabulary, config.embedding)
        self.encoder = torch.nn.Module()
        self.encoder.layer = torch.nn.LSTM(config.embedding, config.hidden, batch_first=True)
        self.head = torch.nn.Linear(config.hidden, 1)

    def forward(self, ids):
        """Logits (B,)."""
        _, (h, _) = self.encoder.layer(self.embedding(ids))
        return self.head(h[-1]).squeeze(-1)


def make_twin(model, lr=1e-3):
    """A twin with the same weights as `model`, its second bias frozen at zero, and its optimizer."""
    state = {k: torch.from_numpy(np.array(v)) for k, v in model.state_dict().items()}
    twin = Twin(model.config).to(next(iter(state.values())).dtype)
    twin.load_state_dict(state)
    for name, p in twin.named_parameters():
        p.requires_grad_("bias_hh" not in name)
    return twin, torch.optim.Adam([p for p in twin.parameters() if p.requires_grad], lr=lr)


def twin_step(twin, optimizer, ids, classes):
    """One training step; returns the loss before it."""
    logits = twin(torch.from_numpy(ids))
    target = torch.from_numpy(classes).to(logits.dtype)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def twin_accuracy(twin, ids, classes):
    """Share of rows that the twin gets right."""
    with torch.no_grad():
        found = [(twin(torch.from_numpy(ids[i : i + 256])) > 0).numpy() for i in range(0, len(ids), 256)]
    return float((np.concatenate(found) == classes).mean())
