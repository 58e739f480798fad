"""The miniature's tokenizer: CLIP's format, every caption word one token, nothing unknown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from ldznet_cli.ldm.clip_vocabulary import END, START, byte_letters
from ldznet_cli.miniature.ldm_recipe import TextRecipe
from ldznet_cli.miniature.pipeline import save_tokenizer
from ldznet_cli.miniature.scenes import caption, phrases, render, scene_seed
from ldznet_cli.miniature.text import (
    build_tokenizer,
    count_words,
    learn_merges,
    token_ids,
)

CAPTIONS = [caption(render("cartoon", scene_seed(51, i)), draw) for i in range(6) for draw in range(20)]


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return build_tokenizer(count_words(CAPTIONS), TextRecipe())


def test_merges_take_the_most_frequent_pair_first() -> None:
    merges = learn_merges(count_words(["ab ab ab cab"]))
    assert merges == [("a", "b</w>"), ("c", "ab</w>")]


def test_every_word_of_the_captions_is_one_token(tokenizer: CLIPTokenizer) -> None:
    for word in count_words(CAPTIONS):
        assert tokenizer.tokenize(word) == [f"{word}</w>"]


def test_the_vocabulary_is_built_as_clips(tokenizer: CLIPTokenizer) -> None:
    letters = list(byte_letters().values())
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert tokens[:512] == [*letters, *(f"{letter}</w>" for letter in letters)]
    assert tokens[-2:] == [START, END]
    assert len(set(tokens)) == len(tokens)


@given(st.text(max_size=12))
@settings(max_examples=150)
def test_nothing_is_ever_unknown(tokenizer: CLIPTokenizer, text: str) -> None:
    tokens = tokenizer.tokenize(text)
    assert tokenizer.unk_token not in tokens or END in text.lower()


@pytest.mark.parametrize("text", ["a red lamp", "лампа", "🦊 and 灯", "x1 9y's!"])
def test_ids_give_the_text_back(tokenizer: CLIPTokenizer, text: str) -> None:
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert ids[-1] == tokenizer.eos_token_id
    decoded = tokenizer.decode(ids, skip_special_tokens=True)
    assert decoded.replace(" ", "") == text.replace(" ", "")


def test_ids_are_padded_with_the_end_token_and_cut_at_the_length(tokenizer: CLIPTokenizer) -> None:
    ids = token_ids(tokenizer, ["", "lamp " * 50])
    assert ids.shape == (2, 32)
    assert ids[0].tolist() == [tokenizer.bos_token_id] + [tokenizer.eos_token_id] * 31
    assert ids[1, -1] == tokenizer.eos_token_id
    assert len(set(ids[1, 1:-1].tolist())) == 1


def test_saved_files_make_the_same_tokenizer(tokenizer: CLIPTokenizer, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path / "all")
    expected = token_ids(tokenizer, CAPTIONS)
    assert (token_ids(CLIPTokenizer.from_pretrained(tmp_path / "all"), CAPTIONS) == expected).all()
    vocabulary = json.loads((tmp_path / "all" / "vocab.json").read_text("utf-8"))
    lines = (tmp_path / "all" / "merges.txt").read_text("utf-8").splitlines()[1:]
    clips = CLIPTokenizer(
        vocab=vocabulary, merges=[tuple(line.split(" ")) for line in lines], model_max_length=32
    )
    assert (token_ids(clips, CAPTIONS) == expected).all()


def test_captions_hold_every_word_of_their_scenes_phrases() -> None:
    scene = render("sketch", scene_seed(52, 0))
    words = count_words(caption(scene, draw) for draw in range(200))
    assert set(count_words(phrase.text for phrase in phrases(scene))) <= set(words)
