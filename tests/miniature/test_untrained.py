"""The LDM folder that nobody trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ldznet_cli import FrozenLDM
from ldznet_cli.errors import UsageError
from ldznet_cli.ldm.clip_vocabulary import CLIP_MERGES, read_merges
from ldznet_cli.miniature.untrained import untrained_ldm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_ldm(tmp_path_factory.mktemp("untrained") / "ldm")


def test_it_loads_and_gives_each_prompt_a_code_of_its_own(folder: Path) -> None:
    ldm = FrozenLDM.load(folder)
    text = ldm.encode_text(["a photo of a cat.", "a photo of a dog.", "a photo of a cat."])
    assert torch.equal(text[0], text[2])
    assert (text[0] - text[1]).abs().max() > 0.1
    z = ldm.encode_image(torch.zeros(1, 3, 64, 64))
    features = ldm.features(z, text[:1], 400, torch.zeros_like(z))
    assert set(features) == set(ldm.blocks)
    assert len(ldm.blocks) == 5


def test_the_seed_decides(folder: Path, tmp_path: Path) -> None:
    same, other = untrained_ldm(tmp_path / "a"), untrained_ldm(tmp_path / "b", seed=1)
    first, second, third = (FrozenLDM.load(f, blocks=()).digests for f in (folder, same, other))
    assert first == second
    assert first.unet != third.unet
    assert first.text != third.text


def test_with_tiny_autoencoder_and_clip_s_words(shared: Path, tmp_path: Path) -> None:
    words = shared / "data/clip-bpe/bpe_simple_vocab_16e6.txt.gz"
    merges = read_merges(words)
    assert len(merges) == CLIP_MERGES
    folder = untrained_ldm(tmp_path / "ldm", vae=shared / "data/taesd", vocabulary=words)
    ldm = FrozenLDM.load(folder, blocks=())
    assert ldm.text_encoder is not None
    assert len(set(ldm.text_encoder.tokens(["photograph"])[0].tolist())) == 3  # start, one word, end
    theirs = FrozenLDM.load(shared / "data/taesd")
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(ldm.encode_image(pixels), theirs.encode_image(pixels), atol=0.05, rtol=0)


def test_wrong_files_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "words.gz").write_bytes(b"plain")
    with pytest.raises(UsageError, match="words.gz cannot be read"):
        untrained_ldm(tmp_path / "ldm", vocabulary=tmp_path / "words.gz")
    with pytest.raises(UsageError, match="holds no AutoencoderTiny"):
        untrained_ldm(tmp_path / "ldm", vae=tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    with pytest.raises(UsageError, match="is there already"):
        untrained_ldm(tmp_path / "full")
