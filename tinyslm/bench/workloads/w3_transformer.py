"""W3 and W4, Transformers that predict the next character: pre-norm blocks, tied output weights, AdamW."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import ops, optim
from ...models import LanguageModel
from ..sessions import JaxTraining, TorchTraining, Training, torch_modules
from ..workload import Arrays, Session, Work, Workload, training_bytes, with_weights


@dataclass(frozen=True)
class CharacterTransformer(Workload):
    """`layers` blocks of attention with N heads and a feed-forward part of width 4D, over T characters."""

    batch: int = 12
    time: int = 64
    vocabulary: int = 65
    width: int = 128
    heads: int = 4
    layers: int = 4

    def model(self, rng: np.random.Generator) -> LanguageModel:
        """Ours."""
        return LanguageModel(self.vocabulary, self.width, self.layers, self.heads, self.time, rng=rng)

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Random characters, and for each the next one; our layers' start values."""
        text = rng.integers(0, self.vocabulary, (self.batch, self.time + 1))
        return with_weights({"ids": text[:, :-1], "next": text[:, 1:]}, self.model(rng).state_dict())

    def tinyslm(self, arrays: Arrays) -> Session:
        """Ours."""
        ids, target = arrays["ids"], arrays["next"]
        model = self.model(np.random.default_rng(0))
        return Training(arrays, model, lambda m: ops.cross_entropy(m(ids), target), optim.AdamW)

    def torch(self, arrays: Arrays, compiled: bool = False) -> Session:
        """PyTorch's, written out with its fused attention."""
        import torch
        from torch.nn import functional

        ids, target = torch.as_tensor(arrays["ids"]), torch.as_tensor(arrays["next"]).reshape(-1)
        model = torch_modules(
            embedding=torch.nn.Embedding(self.vocabulary, self.width),
            positions=torch.nn.Embedding(self.time, self.width),
            blocks=torch_modules(
                layers=[torch_block(self.width) for _ in range(self.layers)], norm=torch.nn.LayerNorm(self.width)
            ),
        )

        def loss_of(m: Any) -> Any:
            x = m.embedding(ids) + m.positions.weight[: ids.shape[1]]
            for block in m.blocks.layers:
                x = torch_block_forward(block, x, self.heads)
            logits = functional.linear(m.blocks.norm(x), m.embedding.weight)
            return functional.cross_entropy(logits.view(-1, self.vocabulary), target)

        return TorchTraining(arrays, model, loss_of, lambda p: torch.optim.AdamW(p, fused=True), compiled)

    def jax(self, arrays: Arrays) -> Session:
        """JAX's."""
        import jax
        from jax import numpy as jnp

        ids, target = jnp.asarray(arrays["ids"]), jnp.asarray(arrays["next"])

        def loss_of(w: Any) -> Any:
            x = w["embedding.weight"][ids] + w["positions.weight"][: self.time]
            for k in range(self.layers):
                x = jax_block(w, f"blocks.layers.{k}.", x, self.heads)
            logits = jax_norm(w, "blocks.norm.", x) @ w["embedding.weight"].T
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), target[..., None], -1))

        return JaxTraining(arrays, loss_of, decay=0.01)

    def work(self) -> Work:
        """Products with weights: 2 FLOPs per weight and character; attention: half of two products (T, T, D)."""
        tokens, d = self.batch * self.time, self.width
        weights = self.layers * 12 * d * d + self.vocabulary * d
        attention = self.layers * 2 * 2.0 * tokens * self.time * d / 2
        parameters = weights + self.layers * 13 * d + self.time * d
        return Work(3 * (2.0 * weights * tokens + attention), training_bytes(parameters))


def torch_block(d: int) -> Any:
    """The parts of a block, under our names."""
    import torch

    attention = torch.nn.Linear(d, 3 * d)
    holder = torch_modules(out_proj=torch.nn.Linear(d, d))
    holder.in_proj_weight, holder.in_proj_bias = attention.weight, attention.bias
    return torch_modules(
        self_attn=holder,
        linear1=torch.nn.Linear(d, 4 * d),
        linear2=torch.nn.Linear(4 * d, d),
        norm1=torch.nn.LayerNorm(d),
        norm2=torch.nn.LayerNorm(d),
    )


def torch_block_forward(block: Any, x: Any, heads: int) -> Any:
    """x + attention(norm(x)), then x + feed-forward(norm(x)): (B, T, D), which stays."""
    from torch.nn import functional

    b, t, d = x.shape
    a = block.self_attn
    qkv = functional.linear(block.norm1(x), a.in_proj_weight, a.in_proj_bias).split(d, dim=2)
    q, k, v = (part.view(b, t, heads, d // heads).transpose(1, 2) for part in qkv)
    y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + a.out_proj(y.transpose(1, 2).reshape(b, t, d))
    return x + block.linear2(functional.gelu(block.linear1(block.norm2(x))))


def jax_block(w: Any, name: str, x: Any, heads: int) -> Any:
    """The same block, with the weights by name."""
    import jax
    from jax import numpy as jnp

    def affine(part: str, y: Any) -> Any:
        return y @ w[f"{name}{part}weight"].T + w[f"{name}{part}bias"]

    b, t, d = x.shape
    qkv = affine("self_attn.in_proj_", jax_norm(w, f"{name}norm1.", x)).reshape(b, t, 3, heads, d // heads)
    y = jax.nn.dot_product_attention(*jnp.moveaxis(qkv, 2, 0), is_causal=True)
    x = x + affine("self_attn.out_proj.", y.reshape(b, t, d))
    inner = jax.nn.gelu(affine("linear1.", jax_norm(w, f"{name}norm2.", x)), approximate=False)
    return x + affine("linear2.", inner)


def jax_norm(w: Any, name: str, x: Any) -> Any:
    """Layer norm over the last dimension."""
    from jax import numpy as jnp

    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * w[f"{name}weight"] + w[f"{name}bias"]


ROWS = [
    CharacterTransformer("W3", "character Transformer, 4 layers of 128, training step", 1.2, 1.6),
    CharacterTransformer(
        "W4", "Transformer, 6 layers of 384, block 256, training step", 1.0, 1.4, 4, 256, 65, 384, 6, 6
    ),
]
