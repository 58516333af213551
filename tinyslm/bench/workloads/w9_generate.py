"""W9, text drawn token by token from the model of W3, with the keys and values of earlier tokens kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...models import Decoder, LanguageModel
from ..sessions import torch_modules
from ..workload import Arrays, Session, Work, Workload, weights_of, with_weights
from .w3_transformer import torch_block


@dataclass(frozen=True)
class Generation(Workload):
    """One token is given, `time` - 1 are drawn. Each draws its own; compared are the logits along one given text."""

    batch: int = 1
    time: int = 64
    vocabulary: int = 65
    width: int = 128
    heads: int = 4
    layers: int = 4

    def model(self, rng: np.random.Generator) -> LanguageModel:
        """Ours."""
        return LanguageModel(self.vocabulary, self.width, self.layers, self.heads, self.time, rng=rng)

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """A text for the comparison, and our layers' start values."""
        text = rng.integers(0, self.vocabulary, (self.batch, self.time))
        return with_weights({"text": text}, self.model(rng).state_dict())

    def tinyslm(self, arrays: Arrays) -> Session:
        """Ours."""
        return OurGeneration(self, arrays)

    def torch(self, arrays: Arrays) -> Session:
        """PyTorch's, with its fused attention over a cache that is allocated once."""
        return TorchGeneration(self, arrays)

    def amount(self, arrays: Arrays) -> tuple[float | None, str]:
        """The drawn tokens."""
        return float(self.batch * (self.time - 1)), "tokens"

    def work(self) -> Work:
        """Every weight is read, multiplied and added once per token."""
        weights = self.layers * 12 * self.width**2 + self.vocabulary * self.width
        tokens = self.time - 1
        return Work(2.0 * weights * tokens * self.batch, 4.0 * weights * tokens)


class _Generation:
    """What both share: the prompt is the text's first token; the outcome is the logits again."""

    def __init__(self, sizes: Generation, arrays: Arrays):
        self.sizes, self.text, self.prompt = sizes, arrays["text"], arrays["text"][:, :1]

    def outcome(self, loss: float) -> np.ndarray:
        """The logits at the text's end."""
        return self.tensors()["logits"][-1]

    def tensors(self) -> dict[str, np.ndarray]:
        """The logits after each token of the given text (T, B, V)."""
        raise NotImplementedError


class OurGeneration(_Generation):
    """`generate` of tinyslm."""

    def __init__(self, sizes: Generation, arrays: Arrays):
        super().__init__(sizes, arrays)
        self.rng = np.random.default_rng(0)
        self.model = sizes.model(self.rng).eval()
        self.model.load_state_dict(weights_of(arrays))

    def step(self) -> float:
        """Draw a text."""
        self.model.generate(self.prompt, self.sizes.time - 1, rng=self.rng)
        return 0.0

    def tensors(self) -> dict[str, np.ndarray]:
        """The logits along the given text."""
        decoder = Decoder(self.model, len(self.text))
        return {"logits": np.stack([decoder.step(column) for column in self.text.T])}


class TorchGeneration(_Generation):
    """The same written with PyTorch's functions."""

    def __init__(self, sizes: Generation, arrays: Arrays):
        import torch

        super().__init__(sizes, arrays)
        layers = [torch_block(sizes.width) for _ in range(sizes.layers)]
        self.model = torch_modules(
            embedding=torch.nn.Embedding(sizes.vocabulary, sizes.width),
            positions=torch.nn.Embedding(sizes.time, sizes.width),
            blocks=torch_modules(layers=layers, norm=torch.nn.LayerNorm(sizes.width)),
        )
        self.model.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in weights_of(arrays).items()})
        shape = (sizes.layers, sizes.batch, sizes.heads, sizes.time, sizes.width // sizes.heads)
        self.keys, self.values = torch.empty(shape), torch.empty(shape)

    def step(self) -> float:
        """Draw a text."""
        import torch

        with torch.inference_mode():
            token = torch.from_numpy(self.prompt[:, 0])
            for t in range(self.sizes.time - 1):
                token = torch.multinomial(torch.softmax(self.logits(token, t), -1), 1)[:, 0]
        return 0.0

    def tensors(self) -> dict[str, np.ndarray]:
        """The logits along the given text."""
        import torch

        with torch.inference_mode():
            columns = torch.from_numpy(np.ascontiguousarray(self.text.T))
            return {"logits": torch.stack([self.logits(token, t) for t, token in enumerate(columns)]).numpy()}

    def logits(self, token: Any, time: int) -> Any:
        """Read token number `time` (B,) -> (B, V)."""
        from torch.nn import functional

        m = self.model
        x = m.embedding(token)[:, None] + m.positions.weight[time]
        for block, keys, values in zip(m.blocks.layers, self.keys, self.values, strict=True):
            x = torch_block_step(block, x, keys, values, time)
        return functional.linear(m.blocks.norm(x), m.embedding.weight)[:, 0]


def torch_block_step(block: Any, x: Any, keys: Any, values: Any, time: int) -> Any:
    """One token through a block: x (B, 1, D), keys and values (B, N, max_time, D/N) get entry `time`."""
    from torch.nn import functional

    a, heads = block.self_attn, keys.shape[1]
    qkv = functional.linear(block.norm1(x), a.in_proj_weight, a.in_proj_bias)
    q, k, v = qkv.view(len(x), 1, 3 * heads, -1).transpose(1, 2).split(heads, 1)
    keys[:, :, time : time + 1], values[:, :, time : time + 1] = k, v
    y = functional.scaled_dot_product_attention(q, keys[:, :, : time + 1], values[:, :, : time + 1])
    x = x + a.out_proj(y.transpose(1, 2).reshape(x.shape))
    return x + block.linear2(functional.gelu(block.linear1(block.norm2(x))))


ROWS = [Generation("W9", "63 tokens with a key-value cache, model of W3, batch 1", 3.0, 8.0)]
