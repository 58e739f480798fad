"""What a run chooses its weights by is what `ldznet evaluate` says."""

from __future__ import annotations

import pytest
import torch

from ldznet_cli import evaluate
from ldznet_cli.training.dataset import question
from ldznet_cli.training.validation import DRAW, validate
from tests.training.world import Dot, reader, squares


def test_it_is_the_native_protocol(tmp_path):
    samples, net = squares(tmp_path / "set"), Dot()
    source = reader(samples)
    torch.nn.init.normal_(
        net.up.weight, generator=torch.Generator().manual_seed(1)
    )  # probabilities of all sizes
    torch.nn.init.constant_(net.up.bias, -0.5)
    found = validate(net, samples.samples, source, step=7)
    maps = {}
    with torch.inference_mode():
        for sample in samples.samples:
            batch = source.batch([question(sample)], [DRAW])
            logits = net(batch.inputs, batch.text, batch.features)
            maps[sample.image.name, sample.phrase] = logits[0, 0].sigmoid().numpy()
    report = evaluate(samples.path, maps, protocols=("native",))
    best, half = (report.score("native", "mIoU", rule) for rule in ("best", "0.5"))
    assert found.samples == best.samples == len(samples.samples)
    assert 0 < found.at_half < found.miou < 1
    assert found.miou == pytest.approx(best.value, abs=1e-6)
    assert found.threshold == best.at
    assert found.at_half == pytest.approx(half.value, abs=1e-6)
