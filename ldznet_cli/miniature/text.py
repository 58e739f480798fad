"""The miniature's words: a CLIP-format byte-pair tokenizer learned on captions, and a small CLIPTextModel.

The vocabulary is built as CLIP's: 256 byte tokens, their 256 word-final forms, merges, two special tokens; so no input
is ever unknown. Merges are learned until every word of the captions is one token.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ldznet_cli.ldm.clip_vocabulary import FINAL, Merge, byte_letters, of_merges
from ldznet_cli.miniature.ldm_recipe import TextRecipe

_PARTS = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]+")
"""CLIP's pre-tokenizer, as far as captions go: runs of letters, single digits, runs of anything else."""


def count_words(captions: Iterable[str]) -> Counter[str]:
    """How often each word stands in the captions."""
    return Counter(word for caption in captions for word in _PARTS.findall(caption.lower()))


def learn_merges(words: Counter[str]) -> list[Merge]:
    """Byte-pair merges, the most frequent pair first (ties by spelling), until each word is one token."""
    letters = byte_letters()
    spelled = {word: [letters[byte] for byte in word.encode()] for word in words}
    for parts in spelled.values():
        parts[-1] += FINAL
    merges: list[Merge] = []
    while any(len(parts) > 1 for parts in spelled.values()):
        pairs: Counter[Merge] = Counter()
        for word, parts in spelled.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = {word: _merged(parts, best) for word, parts in spelled.items()}
    return merges


def _merged(parts: Sequence[str], pair: Merge) -> list[str]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def build_tokenizer(words: Counter[str], recipe: TextRecipe) -> CLIPTokenizer:
    """A CLIPTokenizer whose merges know these words; `save_pretrained` writes CLIP's files."""
    return tokenizer_of(learn_merges(words), recipe)


def tokenizer_of(merges: Sequence[Merge], recipe: TextRecipe) -> CLIPTokenizer:
    """The CLIPTokenizer with these merges."""
    tokens = of_merges(merges).tokens
    return CLIPTokenizer(vocab=tokens, merges=list(merges), model_max_length=recipe.length)


def token_ids(tokenizer: CLIPTokenizer, prompts: Sequence[str]) -> NDArray[np.int64]:
    """Token ids (n, L), padded with the end token to the text encoder's length; longer prompts are cut, as SD does."""
    encoded = tokenizer(list(prompts), padding="max_length", truncation=True, return_tensors="np")
    return np.asarray(encoded["input_ids"], dtype=np.int64)


def build_text_encoder(recipe: TextRecipe, tokenizer: CLIPTokenizer, seed: int) -> CLIPTextModel:
    """A randomly initialised CLIPTextModel of the recipe's shape, the same for the same seed."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=4 * recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        max_position_embeddings=recipe.length,
        projection_dim=recipe.width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CLIPTextModel(config)
