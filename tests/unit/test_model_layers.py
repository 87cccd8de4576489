"""Attention, feed-forward and blocks against slow loops that know the reference's orders."""

import math

import pytest
import torch

from gtr_core.model import attention
from gtr_core.model.attention import SelfAttention, attend, tiled_attention
from gtr_core.model.config import ModelConfig
from gtr_core.model.transformer import Block, FeedForward, Transformer
from gtr_core.progress import Cancelled


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def randomize(module, seed=0):
    generator = seeded(seed)
    for parameter in module.requires_grad_(False).parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return module.double()


def config_of(width=8, heads=2, **others):
    return ModelConfig(width=width, num_heads=heads, num_blocks=2, image_size=32, patch_size=8, **others)


def erf_gelu(x):
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def slow_attention(layer, tokens):
    """One head, one query, one key at a time; head h owns the channels h d ... h d + d - 1."""
    count, width = tokens.shape
    heads = layer.num_heads
    d = width // heads
    q, k, v = (tokens @ getattr(layer, f"to_{x}").weight.T for x in "qkv")
    seen = torch.zeros_like(tokens)
    for h in range(heads):
        own = slice(h * d, (h + 1) * d)
        for i in range(count):
            logits = [float(q[i, own] @ k[j, own]) / math.sqrt(d) for j in range(count)]
            powers = [math.exp(x - max(logits)) for x in logits]
            seen[i, own] = sum(p * v[j, own] for j, p in enumerate(powers)) / sum(powers)
    return seen @ layer.to_out.weight.T + layer.to_out.bias


def test_attention_matches_the_loop_and_has_no_bias_in_queries_keys_and_values():
    layer = randomize(SelfAttention(12, 3))
    assert layer.to_q.bias is layer.to_k.bias is layer.to_v.bias is None
    tokens = torch.randn(1, 7, 12, generator=seeded(1), dtype=torch.float64)
    expected = slow_attention(layer, tokens[0])
    assert torch.allclose(layer(tokens)[0], expected, atol=1e-12)
    assert torch.allclose(layer(tokens, 3)[0], expected[:3], atol=1e-12)


def test_qk_norm_bounds_the_logits_per_head():
    layer = randomize(SelfAttention(8, 2, qk_norm=True))
    with torch.no_grad():
        layer.norm_q.weight.fill_(1)
        layer.norm_k.weight.fill_(1)
    tokens = torch.randn(1, 5, 8, generator=seeded(1), dtype=torch.float64)
    usual = layer(tokens)
    with torch.no_grad():
        layer.to_q.weight[:4] *= 1000  # head 0 only
        layer.to_k.weight *= 7
    assert torch.allclose(layer(tokens), usual, atol=1e-5)


def test_tiled_attention_equals_torchs_own_within_bfloat16(monkeypatch):
    monkeypatch.setattr(attention, "TILE", 16)
    q = torch.randn(2, 3, 37, 8, generator=seeded(0)) * 2
    k, v = (torch.randn(2, 3, 50, 8, generator=seeded(s)) * 2 for s in (1, 2))
    exact = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    halved = [x.bfloat16() for x in (q, k, v)]
    tiled = tiled_attention(*halved)
    assert tiled.shape == exact.shape
    assert tiled.dtype == torch.bfloat16
    assert ((tiled.float() - exact).norm() / exact.norm()) < 1e-2
    # in float32 the tiles change nothing but rounding
    assert torch.allclose(tiled_attention(q, k, v), exact, atol=1e-5)


def test_tiles_are_for_bfloat16_on_the_cpu_without_gradients_only(monkeypatch):
    calls = []
    monkeypatch.setattr(attention, "tiled_attention", lambda q, k, v: calls.append(q.dtype) or torch.zeros_like(q))
    q, k, v = torch.randn(3, 1, 2, 5, 4, generator=seeded())
    attend(q, k, v)
    assert calls == []
    attend(q.bfloat16(), k.bfloat16(), v.bfloat16())
    assert calls == [torch.bfloat16]
    attend(q.bfloat16().requires_grad_(), k.bfloat16(), v.bfloat16())
    assert len(calls) == 1
    with torch.no_grad():
        attend(q.bfloat16().requires_grad_(), k.bfloat16(), v.bfloat16())
    assert len(calls) == 2


def test_geglu_is_the_first_half_times_the_erf_gelu_of_the_second():
    layer = randomize(FeedForward(4))
    assert tuple(layer.expand.weight.shape) == (32, 4)
    tokens = torch.randn(1, 3, 4, generator=seeded(1), dtype=torch.float64) * 2
    for row in range(3):
        hidden = layer.expand.weight @ tokens[0, row] + layer.expand.bias
        gated = [float(hidden[i]) * erf_gelu(float(hidden[16 + i])) for i in range(16)]
        expected = layer.contract.weight @ torch.tensor(gated, dtype=torch.float64) + layer.contract.bias
        assert torch.allclose(layer(tokens)[0, row], expected, atol=1e-12)  # tanh's GELU is off by up to 5e-4


def test_plain_feed_forward_uses_the_erf_gelu():
    layer = randomize(FeedForward(4, gated=False, bias=False))
    assert layer.expand.bias is layer.contract.bias is None
    token = torch.randn(4, generator=seeded(1), dtype=torch.float64) * 2
    hidden = torch.tensor([erf_gelu(float(x)) for x in layer.expand.weight @ token], dtype=torch.float64)
    assert torch.allclose(layer(token[None, None])[0, 0], layer.contract.weight @ hidden, atol=1e-12)


def test_feed_forward_in_parts_equals_the_whole(monkeypatch):
    layer, tokens = randomize(FeedForward(4)), torch.randn(2, 11, 4, generator=seeded(1), dtype=torch.float64)
    whole = layer(tokens)
    monkeypatch.setattr("gtr_core.model.transformer.ROWS", 3)
    with torch.no_grad():
        assert torch.allclose(layer(tokens), whole, atol=1e-12)


def slow_norm(tokens, norm):
    mean = tokens.mean(-1, keepdim=True)
    variance = (tokens - mean).square().mean(-1, keepdim=True)
    return (tokens - mean) / (variance + 1e-5).sqrt() * norm.weight + norm.bias


def test_block_is_pre_norm_with_two_sums_and_the_small_eps():
    block = randomize(Block(config_of()))
    # a variance near eps, so that another eps shows
    tokens = torch.randn(1, 6, 8, generator=seeded(1), dtype=torch.float64) * 3e-3
    x = tokens[0] + slow_attention(block.attention, slow_norm(tokens[0], block.norm1))
    expected = x + block.feed_forward(slow_norm(x, block.norm2)[None])[0]
    # the compute type of the block is that of its layers: float64 here
    assert torch.allclose(block(tokens)[0], expected, atol=1e-10)
    assert torch.allclose(block(tokens, 2)[0], expected[:2], atol=1e-10)


def test_transformer_keeps_the_first_tokens_normalised():
    model = randomize(Transformer(config_of()))
    tokens = torch.randn(2, 6, 8, generator=seeded(1), dtype=torch.float64)
    x = tokens
    for block in model.blocks:
        x = block(x)
    assert torch.allclose(model(tokens, 4), slow_norm(x, model.norm)[:, :4], atol=1e-10)


def test_progress_tells_each_block_and_a_cancel_comes_through():
    model, tokens = Transformer(config_of(), generator=seeded()), torch.randn(1, 6, 8, generator=seeded(1))
    calls = []
    model(tokens, 4, progress=lambda *call: calls.append(call))
    assert calls == [("encode", 0, 2), ("encode", 1, 2), ("encode", 2, 2)]

    def stop(stage, done, total):
        if done == 1:
            raise Cancelled

    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(Cancelled):
        model(tokens, 4, progress=stop)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_bfloat16_layers_keep_the_sum_of_tokens_in_float32():
    block = Block(config_of())
    for layer in (block.attention, block.feed_forward):
        layer.bfloat16()
    with torch.no_grad():
        result = block(torch.full((1, 4, 8), 1000.0) + torch.arange(8) * 0.01)
    assert result.dtype == torch.float32
    # in bfloat16 1000.01 would be 1000: the small steps survive only in a float32 sum
    assert len(result[0, 0].unique()) == 8
