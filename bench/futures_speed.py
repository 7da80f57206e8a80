"""Seconds that 20 futures of 16 new tokens take after a history of 1,024, beside Hugging Face `generate`.

    python -m bench.futures_speed [--size 13m] [--futures 20] [--new 16] [--history 1024] [--repeats 5] [--json FILE]

Weights are random; the same ones go into transformers' Llama, whose layout they have, and both must give the same
logits (largest difference under `difference`). `generate` samples at temperature 1 with its own cache and reads the
history once for each future; ours reads it once for all, and also keeps the clock and the chances of an outcome.
transformers is no requirement of the project: where it is not installed (`pip install transformers`), ours alone is
timed. The target is 15 times as fast.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.timing import best
from core.foresee.code_parts import Part
from core.foresee.gaps import GAP_NAMES, GAP_POINTS
from core.foresee.model import EventModel, ModelConfig
from core.foresee.queries import Query, outcome_of
from core.foresee.simulate import History, simulate
from core.foresee.train import TrainedEventModel
from core.foresee.vocabulary import FIXED, Vocabulary

CODES = 2000
TARGET_RATIO = 15.0


def untrained(size: str, context: int) -> TrainedEventModel:
    """A model of random weights over made-up codes."""
    parts = (*FIXED, *(Part("code", f"code {number}") for number in range(CODES)))
    words = Vocabulary(parts, np.zeros(len(parts), np.int64), np.full((len(GAP_NAMES), GAP_POINTS), 1.0), {})
    torch.manual_seed(0)
    model = EventModel(ModelConfig.of_size(size, len(parts), context=context))
    return TrainedEventModel(model.eval().requires_grad_(False), words)


def as_llama(model: EventModel) -> Any:
    """The same weights in transformers' Llama; None where transformers is not installed."""
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        return None
    config = model.config
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocabulary, hidden_size=config.width, intermediate_size=config.hidden,
            num_hidden_layers=config.layers, num_attention_heads=config.heads, num_key_value_heads=config.key_heads,
            max_position_embeddings=config.context, rms_norm_eps=1e-6, tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_base},
            bos_token_id=None, eos_token_id=None, pad_token_id=0,
        )
    )  # fmt: skip
    own, named = model.state_dict(), {}
    named["model.embed_tokens.weight"] = named["lm_head.weight"] = own["embedding.weight"]
    named["model.norm.weight"] = own["norm.weight"]
    sizes = [config.heads * config.head, config.key_heads * config.head, config.key_heads * config.head]
    for layer in range(config.layers):
        block, there = f"blocks.{layer}", f"model.layers.{layer}"
        for name, part in zip("qkv", own[f"{block}.ask_key_value.weight"].split(sizes), strict=True):
            named[f"{there}.self_attn.{name}_proj.weight"] = part
        gate, up = own[f"{block}.gate_up.weight"].chunk(2)
        named |= {
            f"{there}.self_attn.o_proj.weight": own[f"{block}.attention_out.weight"],
            f"{there}.mlp.gate_proj.weight": gate,
            f"{there}.mlp.up_proj.weight": up,
            f"{there}.mlp.down_proj.weight": own[f"{block}.down.weight"],
            f"{there}.input_layernorm.weight": own[f"{block}.attention_norm.weight"],
            f"{there}.post_attention_layernorm.weight": own[f"{block}.feed_norm.weight"],
        }
    llama.load_state_dict(named)
    return llama.eval()


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description="Seconds of simulated futures beside Hugging Face generate.")
    parser.add_argument("--size", default="13m")
    parser.add_argument("--futures", type=int, default=20)
    parser.add_argument("--new", type=int, default=16)
    parser.add_argument("--history", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    trained = untrained(options.size, 2 * options.history)
    tokens = np.random.default_rng(0).integers(len(FIXED), len(trained.vocabulary), options.history)
    outcome = outcome_of(Query.of("code 7"), trained.vocabulary)
    ours = partial(
        simulate, trained, History(tokens), [outcome],
        horizon_days=10**6, n_futures=options.futures, max_tokens=options.new,
    )  # fmt: skip
    tasks: dict[str, Any] = {"ours": ours}
    result: dict[str, Any] = {
        "weights": sum(item.numel() for item in trained.model.parameters()),
        "tokens_drawn": int((ours().tokens >= 0).sum()),
        "threads": torch.get_num_threads(),
    }
    llama = as_llama(trained.model)
    if llama is not None:
        given = torch.from_numpy(tokens)[None]
        with torch.no_grad():
            there = llama(given).logits[0]
        result["difference"] = float((trained.model.logits(trained.model(given))[0] - there).abs().max())
        tasks["generate"] = partial(
            llama.generate, given, attention_mask=torch.ones_like(given), do_sample=True, top_k=0, temperature=1.0,
            num_return_sequences=options.futures, max_new_tokens=options.new, min_new_tokens=options.new,
        )  # fmt: skip
    seconds = best(tasks, options.repeats)
    result |= {f"{name}_wall_s": round(found.wall, 3) for name, found in seconds.items()}
    if "generate" in seconds:
        result["ratio"] = round(seconds["generate"].wall / seconds["ours"].wall, 1)
        result["target"] = TARGET_RATIO
    print(json.dumps(result, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
