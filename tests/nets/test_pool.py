"""The attention pool on its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ldznet_cli.nets.pool import AttentionPool


def pool_of(positions: Any, grid: tuple[int, int] = (4, 4)) -> AttentionPool:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AttentionPool(8, 2, grid, positions).eval()


@torch.no_grad()
@pytest.mark.parametrize("grid", [(4, 4), (2, 8), (1, 1), (3, 5), (7, 2)])
def test_all_tokens_are_kept(grid: tuple[int, int]) -> None:
    assert pool_of("count")(torch.randn(2, 8, *grid)).shape == (2, 8, grid[0] * grid[1] + 1)


@torch.no_grad()
def test_same_as_torch_attention_over_mean_and_positions() -> None:
    """Against nn.MultiheadAttention with the same rows: q, k, v in turn, each head-major."""
    pool = pool_of("count")
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.in_proj_weight.copy_(pool.qkv_proj.weight[..., 0])
    theirs.in_proj_bias.copy_(pool.qkv_proj.bias)
    theirs.out_proj.weight.copy_(pool.c_proj.weight[..., 0])
    theirs.out_proj.bias.copy_(pool.c_proj.bias)
    x = torch.randn(3, 8, 4, 4)
    tokens = x.flatten(2).transpose(1, 2)
    tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1) + pool.positional_embedding.T
    assert torch.allclose(pool(x).transpose(1, 2), theirs(tokens, tokens, tokens)[0], atol=1e-5)


@torch.no_grad()
def test_when_positions_are_resized() -> None:
    """The authors' rule looks at the number of tokens, ours at the grid; both leave the mean token's alone."""
    count, grid = pool_of("count"), pool_of("grid")
    same_number, other = torch.randn(1, 8, 2, 8), torch.randn(1, 8, 4, 6)
    assert torch.equal(count._positions_for((2, 8)), count.positional_embedding)
    assert not torch.allclose(grid._positions_for((2, 8)), grid.positional_embedding)
    assert not torch.allclose(count(same_number), grid(same_number))
    assert torch.equal(count(other), grid(other))
    assert torch.equal(grid._positions_for((5, 3))[:, 0], grid.positional_embedding[:, 0])


@torch.no_grad()
def test_without_positions_nothing_tells_where_a_token_is() -> None:
    """Positions in another order come out in that order; with the embedding they do not."""
    x, order = torch.randn(1, 8, 4, 4), torch.randperm(16)
    shuffled = x.flatten(2)[:, :, order].reshape(x.shape)
    for positions, same in (("none", True), ("grid", False)):
        pool = pool_of(positions)
        assert torch.allclose(pool(x)[:, :, 1:][:, :, order], pool(shuffled)[:, :, 1:], atol=1e-5) is same
    assert "positional_embedding" not in pool_of("none").state_dict()
    assert "no positions" in repr(pool_of("none"))
