"""The study end to end, with nets that know nothing: jobs, resuming, results, page."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ldznet_cli.errors import Interrupted, NothingToDo, UsageError
from ldznet_cli.miniature.net_recipe import NetsRecipe
from ldznet_cli.miniature.paper import baseline, readings, training
from ldznet_cli.miniature.paper.clipseg import DecoderRecipe
from ldznet_cli.miniature.paper.contrastive import tiny_contrastive
from ldznet_cli.miniature.paper.jobs import GROWTH, RANDOM_LDM, THREE, chosen_rate, jobs
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.page import Beside, page, read_trials
from ldznet_cli.miniature.paper.protocol import Protocol
from ldznet_cli.miniature.paper.run import Study
from ldznet_cli.miniature.recipe import tiny
from ldznet_cli.training.config import preset
from ldznet_cli.training.loop import TrainEvent
from ldznet_cli.training.run import Plan

DONE = (
    "rate-rgbnet-0.001", "rate-znet-0.001", "rate-ldznet-0.001", "znet-s0", "ldznet-s0", "ldznet-random-ldm-s0",
    "feature-use", "fit", "ceiling", "draws",
    "noise-difference-by-timestep", "probes", "pictures", "category-mean", "noise-difference",
    "ldznet-no-positions", "znet-novel",
)  # fmt: skip
"""All kinds but those whose LDM or CLIP would have to be trained first."""


def small() -> Protocol:
    training = preset(
        "miniature", steps=2, batch=2, warmup=1, validate_every=2, checkpoint_every=1, validation_samples=3
    )
    scenes = NetsRecipe(scenes=3, validation_scenes=2, held_out_scenes=1, absent=1, draws=1, head_width=2)
    return Protocol(
        version=0, scenes=scenes, test_scenes=6, training=training, learning_rates=(1e-3,), seeds=(0,),
        grounding_scenes=1, mask_counts=(2,), novel="sky", timesteps=(600,), probe_training=4, probe_test=3,
        draws=(1, 2),
        replicates=20,
    )  # fmt: skip


def study(folder: Path, stop: Callable[[], bool] = lambda: False) -> Study:
    return Study(
        World(folder / "work", small(), tiny(), lambda: 11, folder / "paper" / "figures", stop=stop),
        folder / "paper",
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Study:
    made = study(tmp_path_factory.mktemp("study"))
    for _ in made.run(made.missing(DONE)):
        pass
    return made


def test_every_job_asked_for_leaves_a_result_that_says_what_it_is(done: Study) -> None:
    results = done.results()
    assert set(results) == set(DONE)
    for job, result in results.items():
        tested = not job.startswith(("rate-", "probes", "feature-use", "fit"))
        assert result.test_seed == (11 if tested else None)
        assert bool(result.numbers) == (not job.startswith(("rate-", "pictures")))
        assert result.machine["versions"]["torch"]
    assert results["znet-s0"].about["learning_rate"] == 1e-3
    assert results["znet-s0"].about["parameters"] > 1e6


def test_numbers_are_there_for_every_style_subset_and_control(done: Study) -> None:
    numbers = done.results()["ldznet-s0"].numbers
    for style in small().styles:
        for source in (style, f"other image/{style}", f"zeros/{style}"):
            for subset in ("all", "objects", "stuff"):
                for name in ("mIoU@best", "mIoU@own", "IoU_FG@0.3", "AP_exact"):
                    assert 0 <= numbers[f"{source}/{subset}/{name}"] <= 1
    assert {len(drawn) for drawn in done.results()["ldznet-s0"].replicates.values()} <= set(range(1, 21))
    assert not any(name.startswith("zeros") for name in done.results()["znet-s0"].numbers)
    assert any(name.startswith("novel/cartoon/") for name in done.results()["znet-s0"].numbers)


def test_the_random_control_starts_as_every_net_does(done: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = {}

    def caught(
        plan: Plan, *, unet_weights: Callable[[], dict[str, Tensor]], stop: object
    ) -> Iterator[TrainEvent]:
        begun[plan.out.name] = unet_weights()
        return iter(())

    monkeypatch.setattr(training, "run", caught)
    for variant in (RANDOM_LDM, THREE[-1], GROWTH[0]):
        ldm = replace(variant, ldm="random") if variant.ldm == "early" else variant
        list(training.train_net(done.world, ldm, 1e-3, 9))
    control, plain, young = begun.values()
    assert all(torch.equal(control[key], plain[key]) for key in plain)
    assert not torch.equal(control["conv_in.weight"], young["conv_in.weight"])


def test_what_is_done_is_not_done_again(done: Study) -> None:
    left = {job.name for job in done.missing()}
    assert left == {job.name for job in jobs(small()) if not job.real} - set(DONE)
    assert not done.missing(("znet-s0",))
    assert {job.tier for job in done.missing(tier=2)} == {2}


def test_a_job_that_is_stopped_goes_on_where_it_was(done: Study, tmp_path: Path) -> None:
    asked = iter([False] * 12 + [True] * 1000)
    stopped = study(tmp_path, lambda: next(asked))
    with pytest.raises(Interrupted, match="goes on from there"):
        list(stopped.run(stopped.missing(("rate-znet-0.001",))))
    again = study(tmp_path)
    list(again.run(again.missing(("rate-znet-0.001",))))
    whole, resumed = done.results()["rate-znet-0.001"].about, again.results()["rate-znet-0.001"].about
    assert resumed["validations"] == whole["validations"]


def test_a_net_is_not_tested_before_its_learning_rate_is_chosen(done: Study, tmp_path: Path) -> None:
    fresh = study(tmp_path)
    with pytest.raises(NothingToDo, match=r"rate-rgbnet-0\.001 must be run first"):
        list(fresh.run(fresh.missing(("rgbnet-s0",))))
    assert chosen_rate("znet", done.results(), small()) == 1e-3


def test_an_unknown_job_is_refused_with_those_that_there_are(done: Study) -> None:
    with pytest.raises(UsageError, match="there is no znet-s9; the jobs are rate-rgbnet"):
        done.missing(("znet-s9",))


def test_the_discriminative_rival_from_its_pretraining_to_its_numbers(
    done: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = DecoderRecipe(layers=(0, 1, 2), width=8, heads=2, hidden=16)
    monkeypatch.setattr(baseline, "ContrastiveRecipe", lambda **_: tiny_contrastive())
    monkeypatch.setattr(baseline, "DecoderRecipe", lambda: decoder)
    own = replace(done, docs=tmp_path / "paper")
    list(own.run(own.missing(("clipseg",))))
    found = own.results()["clipseg"]
    assert found.about["pretraining"]["CLIP"]["samples"] == 6 * 8
    assert {f"{style}/all/mIoU@own" for style in own.world.protocol.styles} <= found.numbers.keys()
    told = readings.pretraining(own.results())
    assert "the CLIP on 48 images with captions, 0 minutes by the clock; the LDM on " in told


def test_the_page_has_what_was_run_and_says_what_was_not(done: Study) -> None:
    page = done.docs.parent / "paper-in-miniature.md"
    text = page.read_text("utf-8")
    assert done.write_page() == page
    assert page.read_text("utf-8") == text
    assert f"{len(DONE)} of {len(jobs(small()))} runs are done" in text
    assert "LD-ZNet less ZNet | mIoU@best" in text
    assert "| LD-ZNet above ZNet | photo |" in text
    assert "Where are the words?" in text
    assert "fed zeros" in text
    assert "on a random LDM" in text
    assert "the bundled LD-ZNet fed zeros" in text
    assert "| net | training scenes, mIoU in % |" in text
    assert "| the bundled one | photo |" in text
    assert re.search(r"\| znet-s0 \| [\d.]+ \| [\d.]+ \| [\d.]+ \| \d+ \|", text)
    assert text.count("The paper's own, on ") == 5
    for job in done.missing():
        assert job.name in text


def test_the_page_lists_what_was_tried_before_the_protocol(tmp_path: Path) -> None:
    trials = read_trials(Path(__file__).parents[3] / "docs" / "paper" / "trials.json")
    text = page({}, Protocol(), Beside(trials=trials))
    assert "## Before version 1 of the protocol" in text
    runs = sum(len(tried["runs"]) for tried in trials)
    assert text.count("| float32 |") + text.count("| bfloat16 |") == runs > 0
    assert "Before version" not in page({}, Protocol(), Beside(trials=read_trials(tmp_path / "none.json")))


def test_the_page_lists_earlier_versions_with_their_runs(done: Study) -> None:
    text = page({}, small(), Beside(earlier={1: done.results()}))
    assert "## Version 1 of the protocol" in text
    rows = [line for line in text.split("## Version 1")[1].splitlines() if line.startswith("| znet-s0 |")]
    assert len(rows) == 1


def test_the_page_begins_with_what_people_wrote_of_it() -> None:
    assert "## What was found" not in page({}, Protocol())
    assert page({}, Protocol(), Beside(findings="It works.\n")).index("## What was found\n\nIt works.") > 0


def test_figures_are_drawn_and_shown_on_the_page(done: Study) -> None:
    names = {path.name for path in (done.docs / "figures").iterdir()}
    assert {"tables.png", "words-photo.png", "probes.png", "noise-difference.png", "label-maps.png"} <= names
    text = (done.docs.parent / "paper-in-miniature.md").read_text("utf-8")
    shown = set(re.findall(r"\(paper/figures/([\w-]+\.png)\)", text))
    assert shown == names


def test_every_job_has_its_own_name_and_variants_differ() -> None:
    protocol = replace(Protocol(), seeds=(0, 1))
    names = [job.name for job in jobs(protocol)]
    assert len(names) == len(set(names))
    assert json.dumps(names).count("-s1") == 4
