"""The decoder against loops and against itself: order of time, packed sequences, cached keys and values."""

from __future__ import annotations

import math

import pytest
import torch

from core.foresee.model import SIZES, Block, EventModel, Futures, ModelConfig, rotated, rotation

CONFIG = ModelConfig(vocabulary=40, width=24, layers=3, heads=4, key_heads=2, context=64)


@pytest.fixture(scope="module")
def model() -> EventModel:
    torch.manual_seed(0)
    made = EventModel(CONFIG).eval().requires_grad_(False)
    for weights in made.parameters():  # as large as after training, so that every token matters
        weights.add_(0.15 * torch.randn_like(weights))
    return made


def sequence(length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, CONFIG.vocabulary, (1, length), generator=torch.Generator().manual_seed(seed))


def test_sizes_are_what_their_names_say() -> None:
    for name, size in SIZES.items():
        config = ModelConfig(10, *size)
        weights = sum(item.numel() for item in EventModel(config).parameters()) - 10 * size.width
        assert weights / 1e6 == pytest.approx(float(name.removesuffix("m")), rel=0.15), name


def test_a_token_changes_nothing_before_it(model: EventModel) -> None:
    tokens = sequence(30)
    before = model.logits(model(tokens))
    changed = tokens.clone()
    changed[0, 17] = (changed[0, 17] + 1) % CONFIG.vocabulary
    after = model.logits(model(changed))
    assert torch.equal(before[0, :17], after[0, :17])
    assert all((before[0, place] - after[0, place]).abs().max() > 1e-3 for place in range(17, 30))


def test_packed_patients_do_not_see_each_other(model: EventModel) -> None:
    parts = [sequence(length, seed) for seed, length in enumerate((9, 14, 5))]
    documents = torch.cat([torch.full_like(part, number) for number, part in enumerate(parts)], 1)
    positions = torch.cat([torch.arange(part.shape[1])[None] for part in parts], 1)
    packed = model(torch.cat(parts, 1), documents, positions)
    alone = torch.cat([model(part) for part in parts], 1)
    assert torch.allclose(packed, alone, atol=1e-5)
    assert not torch.allclose(model(torch.cat(parts, 1)), alone, atol=1e-2)


def test_attention_is_what_its_definition_says(model: EventModel) -> None:
    """One block, head by head and place by place."""
    block = model.blocks[0]
    assert isinstance(block, Block)
    states = torch.randn(1, 7, CONFIG.width, generator=torch.Generator().manual_seed(1))
    turn = rotation(CONFIG, torch.arange(7)[None])
    split = block.ask_key_value(block.attention_norm(states)).view(7, -1, CONFIG.head)
    outs = torch.zeros(7, CONFIG.heads, CONFIG.head)
    for head in range(CONFIG.heads):
        key_head = CONFIG.heads + head // (CONFIG.heads // CONFIG.key_heads)
        for place in range(7):
            ask = turned(split[place, head], place)
            scores = [float(ask @ turned(split[at, key_head], at)) / math.sqrt(CONFIG.head) for at in range(place + 1)]
            weights = torch.tensor(scores).softmax(0)
            outs[place, head] = sum(w * split[at, key_head + CONFIG.key_heads] for at, w in enumerate(weights))
    attended = states + block.attention_out(outs.flatten(1))[None]
    gate, up = block.gate_up(block.feed_norm(attended)).chunk(2, -1)
    expected = attended + block.down(gate * gate.sigmoid() * up)
    assert torch.allclose(block(states, turn, None), expected, atol=1e-5)


def turned(vector: torch.Tensor, place: int) -> torch.Tensor:
    half = len(vector) // 2
    out = torch.empty_like(vector)
    for pair in range(half):
        angle = place * 10_000.0 ** (-pair / half)
        first, second = vector[pair], vector[pair + half]
        out[pair] = first * math.cos(angle) - second * math.sin(angle)
        out[pair + half] = second * math.cos(angle) + first * math.sin(angle)
    return out


def test_positions_count_only_relative_to_each_other() -> None:
    first, second = torch.randn(2, 1, 1, 1, CONFIG.head, generator=torch.Generator().manual_seed(2))

    def score(at: int, other: int) -> float:
        turns = [rotation(CONFIG, torch.tensor([[place]])) for place in (at, other)]
        return float((rotated(first, turns[0]) * rotated(second, turns[1])).sum())

    assert score(3, 1) == pytest.approx(score(13, 11), abs=1e-4)
    assert score(3, 1) != pytest.approx(score(3, 2), abs=1e-3)


def test_cached_logits_are_the_full_ones(model: EventModel) -> None:
    history = sequence(21)[0]
    news = torch.randint(0, CONFIG.vocabulary, (5, 12), generator=torch.Generator().manual_seed(4))
    whole = torch.cat([history.expand(5, -1), news], 1)
    full = model.logits(model(whole))
    read = model.read(history)
    assert torch.allclose(read.logits, full[0, 20], atol=1e-4)
    futures = Futures(CONFIG, 5, 12, read.layers[0].keys)
    for place in range(12):
        assert torch.allclose(model.step(news[:, place], read, futures), full[:, 21 + place], atol=1e-4)


def test_futures_that_end_do_not_change_the_others(model: EventModel) -> None:
    history = sequence(8)[0]
    news = torch.randint(0, CONFIG.vocabulary, (4, 6), generator=torch.Generator().manual_seed(5))
    read = model.read(history)
    everyone, some = (Futures(CONFIG, 4, 6, read.layers[0].keys) for _ in range(2))
    for place in range(3):
        model.step(news[:, place], read, everyone)
        model.step(news[:, place], read, some)
    rows = torch.tensor([1, 3])
    some.keep(rows)
    for place in range(3, 6):
        whole = model.step(news[:, place], read, everyone)
        assert torch.allclose(model.step(news[rows, place], read, some), whole[rows], atol=1e-6)


def test_a_configuration_comes_back() -> None:
    assert ModelConfig.from_json(CONFIG.to_json()) == CONFIG
