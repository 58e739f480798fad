"""CLIP's vocabulary, which no single-file checkpoint holds: read from wherever it is, written as a tokenizer folder."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ldznet_cli.errors import ModelError, UsageError, WeightsUnavailable
from ldznet_cli.ldm.folder import read_json, resolve_files

CLIP_MERGES = 49_152 - 256 - 2
"""Merges that CLIP reads of its vocabulary file (openai/CLIP: simple_tokenizer.py); with 512 letters and two special
tokens they are 49,408 in all."""
START, END = "<|startoftext|>", "<|endoftext|>"
FINAL = "</w>"
"""The end of a word."""

Merge = tuple[str, str]


@dataclass(frozen=True)
class Vocabulary:
    """Token → number, and the byte-pair merges, the most frequent first."""

    tokens: dict[str, int]
    merges: tuple[Merge, ...]


def find_vocabulary(name: str, *, offline: bool = False) -> Vocabulary:
    """From a folder with vocab.json and merges.txt (or with a `tokenizer/` that has them), CLIP's own
    `bpe_simple_vocab_16e6.txt.gz`, or a hub id.

    Raises WeightsUnavailable when it is not to be had, UsageError or ModelError for files that are none.
    """
    if name.endswith(".gz"):
        return of_merges(read_merges(Path(name)))
    folder = resolve_files(name, ["vocab.json", "merges.txt"], offline=offline)
    if (folder / "tokenizer").is_dir():
        folder = folder / "tokenizer"
    if not (folder / "merges.txt").is_file():
        raise WeightsUnavailable(f"{folder} holds no CLIP tokenizer: merges.txt is missing")
    try:
        lines = (folder / "merges.txt").read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ModelError(f"{folder / 'merges.txt'} is not UTF-8 text: fetch it again") from error
    merges = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
    return Vocabulary(read_json(folder / "vocab.json"), tuple((merge[0], merge[-1]) for merge in merges))


def read_merges(path: Path) -> list[Merge]:
    """The byte-pair merges of CLIP's vocabulary file, the most frequent first. Raises UsageError."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            merges = [tuple(line.split()) for line in lines][1 : CLIP_MERGES + 1]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UsageError(f"the vocabulary {path} cannot be read as gzipped text: {error}") from error
    wrong = Counter(len(merge) for merge in merges)
    if set(wrong) != {2}:
        raise UsageError(f"the vocabulary {path} is not CLIP's: expected two tokens a line after the first")
    return [(merge[0], merge[1]) for merge in merges]


def write_tokenizer(folder: Path, vocabulary: Vocabulary, length: int, pad: str) -> None:
    """Transformers' files of a CLIPTokenizer that takes `length` tokens and pads with `pad`."""
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": pad}
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": length,
        "do_lower_case": True,
        **special,
    }
    folder.mkdir(parents=True)
    files = {"vocab": vocabulary.tokens, "special_tokens_map": special, "tokenizer_config": settings}
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value, ensure_ascii=False) + "\n", "utf-8")
    merges = [f"{first} {second}" for first, second in vocabulary.merges]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")


def byte_letters() -> dict[int, str]:
    """The printable letter that stands for each byte, as in GPT-2's and CLIP's files, in the order of their numbers."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def of_merges(merges: Sequence[Merge]) -> Vocabulary:
    """CLIP numbers 256 letters for the bytes, the same at a word's end, the merges, and the two special tokens."""
    letters = byte_letters().values()
    tokens = [*letters, *(f"{letter}{FINAL}" for letter in letters), *(a + b for a, b in merges), START, END]
    return Vocabulary({token: number for number, token in enumerate(dict.fromkeys(tokens))}, tuple(merges))
