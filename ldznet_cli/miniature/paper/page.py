"""`docs/paper-in-miniature.md`: every table beside the paper's own rows, from the results that are there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from ldznet_cli.miniature.paper import readings, single_runs, tables
from ldznet_cli.miniature.paper.figures import write_figures
from ldznet_cli.miniature.paper.jobs import FUSIONS, INITS, Job, few_masks, jobs, novel, seeded
from ldznet_cli.miniature.paper.nets import NOVEL
from ldznet_cli.miniature.paper.protocol import Protocol
from ldznet_cli.miniature.paper.results import Results
from ldznet_cli.miniature.paper.training import Variant
from ldznet_cli.miniature.paper.verdicts import verdicts
from ldznet_cli.reporting.published import AIGI, FUSION, PHRASECUT
from ldznet_cli.samples.atomic import write_atomically

_HEAD = """# The paper in miniature

What the paper says, tried in the [miniature world](../ldznet_cli/miniature/weights/MODEL_CARD.md): its nets, its
comparisons, its controls, under a [protocol](paper/protocol.md) that was fixed first. The figures are of drawn scenes
and small nets: what can be compared with the paper is the order and the sign of differences, never a number. Written
by `ldznet miniature paper` from the files in `paper/results/`; `make paper` does what is missing.

Of the paper's tables the one on RefCOCO is not here, because it is of photographs and of what Stable Diffusion knows
of them, nor are its milliseconds an image ([speed.md](speed.md) has what this program takes).
"""
_FIGURES = {
    "(b) Generalisation: `sketch`": {
        "tables": "The tables (a) and (b) as bars; the intervals are over seeds and images.",
        "label-maps": "Several prompts on one image as one label map (the poster's figure 4): of each style the first "
        "two test scenes with two objects or more.",
    },
    "Where are the words": {
        "words-": "AP of the right phrase's map, of another phrase's of the same image, and of floors, by timestep.",
        "noise-difference": "Where the predicted noise changes when the phrase is named: the mean over four draws of "
        "noise and t in 300 to 499, on the same scenes as the label maps.",
    },
    "Blocks and timesteps": {"probes": "AP of the probes with the phrase, and of those without any."},
    "Few masks": {"few-masks-": "mIoU by the number of scenes with masks."},
}
"""How the names of each section's figures begin, and what they show."""
_VALIDATION = """
"Validation" is mIoU on the scenes that weights and threshold were chosen on: 400 phrases, of which about three in ten
name nothing in their scene and are right when the mask is empty. Test scenes are asked for what is in them alone.
""".lstrip()
Trials = Sequence[Mapping[str, Any]]

_EXPECTED = """
Each comparison of the protocol with the order it expects, in points of mIoU: at the threshold that is best on the test
set, as in the paper, and at the one that validation chose for the run. For words the points are of AP. "Yes" and "no"
stand where every seed was run and the interval excludes zero; where fewer were run it only "points to" one of them, and
with one the interval is over images alone. p is by Welch's t over the seeds alone, images as they are: it knows that
five are few, which the interval does not, and decides nothing. What was expected of probes and of a fixed timestep has
no replicates to be judged by, and stands in words above.
"""
_TRIED = "mIoU in % on validation scenes, at the last step of each (`paper/trials.json`)."
_AP = """
AP is the paper's, over the recalls that its thresholds cover: a net that is very sure covers few of them, and its AP is
then a fraction of what it is for one that is not (exact AP orders all pixels, and is what can be compared).
""".lstrip()
_CONTROLS = """
mIoU in % on the validation scenes that weights and threshold were chosen on:
"""
_CEILING = """
mIoU in % of the true masks, averaged to a grid and brought back. z is on 16x16, the LDM's features on 8x8; the nets'
heads learn to answer in pixels, and may know more than the grid. The intervals are over images alone.
"""
_ONE_SEED = "One seed, intervals over images alone.\n\n"
_DRAWS = "One seed, intervals over images alone; {scenes} test scenes of each style."
_WORDS = """
Mean pixel AP in % over the object phrases of {scenes} test scenes of each style; the intervals are over images alone:
"""
_PROBES = """
AP in % of logistic regression on one block at one timestep, from {training} phrases of training scenes, on {test} of
validation scenes. By chance it would be {chance}; the widest of the 95 % intervals (over images alone) reaches {low} to
{high}:
"""
_GROWTH = """
One seed, intervals over images alone. Weights, text and features are of an LDM that was trained with the same recipe,
ended earlier.
"""
_USED = """
On validation scenes, for this study's LD-ZNet (first seed) and for the bundled one, which was trained longer; the
intervals are over images alone:
"""
_FIT = """
The first seed's nets at the best threshold, on training scenes and on as many validation scenes; the intervals are over
images alone, and the two sets are drawn apart.
"""
_EARLIER = """
What was run under version {version}, on test scenes of its own, and why it ended ([protocol](paper/protocol.md)). One
run a line; nothing below is behind a number above.
"""
_TIMES = """
`make paper` does all that is missing, `ldznet miniature paper --job znet-s0` one run, `--dry-run` lists them. Minutes,
mostly with another run beside on the machine's other core. "In all" is with the making of caches and the test, where it
was noted. CLIPSeg's run is the one that takes more than 40 minutes: its pretraining goes on where it was stopped.
"""
_REAL = """
One seed, intervals over images alone.

Only prompts that were seen in training; a random frozen text encoder; rates as chosen on the drawn scenes. Photographs
are trained on one set and tested on another, clip art is split by its files' names: {sets}.
"""
_AT_HOME, _ELSEWHERE = (PHRASECUT, "PhraseCut"), (AIGI, "100 AI-generated images")
"""The paper's table beside the style of the masks, and beside the others."""
_GENERATED = """
The paper's AI-generated images were drawn masks for by people. Of images that the miniature LDM makes, nobody knows the
masks: a mask by one of these nets, or by the LDM's own maps, would score the nets by one of themselves; and an image
that is kept so close to a rendered scene that the scene's masks still hold (a few steps of noise, taken away again)
is that scene. So they are not scored; `cartoon` and `sketch` play their part.
"""


@dataclass(frozen=True)
class Beside:
    """What the page shows beside the results of its version of the protocol."""

    drawn: Sequence[str] = ()
    """The names of the figures that there are."""
    trials: Trials = ()
    """What was tried before each version, and why."""
    findings: str = ""
    """What people wrote of it all."""
    earlier: Mapping[int, Results] = field(default_factory=dict)
    """The results of earlier versions."""


def write_page(docs: Path, results: Results, protocol: Protocol, earlier: Mapping[int, Results]) -> Path:
    """The page beside the folder `docs`, and its figures inside; returns its path. Raises UsageError: no matplotlib."""
    path = docs.parent / "paper-in-miniature.md"
    drawn = write_figures(docs / "figures", results, protocol)
    drawn += results["pictures"].about["pictures"] if "pictures" in results else []
    findings = docs / "findings.md"
    words = findings.read_text("utf-8") if findings.exists() else ""
    beside = Beside(drawn, read_trials(docs / "trials.json"), words, earlier)
    write_atomically(path, page(results, protocol, beside).encode())
    return path


def read_trials(path: Path) -> Trials:
    """The trials in a file; none where there is no such file."""
    tried: Trials = json.loads(path.read_text("utf-8"))["before"] if path.exists() else []
    return tried


def page(results: Results, protocol: Protocol, beside: Beside | None = None) -> str:
    """Its Markdown; a section without a result is left out, and its jobs are named as missing."""
    beside = beside or Beside()
    found = (
        ("What was found", beside.findings),
        ("Expected, and seen", _led(_EXPECTED, verdicts(results, protocol))),
        *_sections(results, protocol),
        ("Commands and times", _led(_TIMES, readings.times(results))),
        *_tried(beside.trials),
        *_earlier(beside.earlier, protocol),
    )
    sections = (f"## {title}\n\n{text}{_shown(title, beside.drawn)}" for title, text in found if text)
    return "\n".join([_HEAD, _state(jobs(protocol), results, protocol), *sections])


def _sections(results: Results, protocol: Protocol) -> Iterator[tuple[str, str]]:
    yield (
        "Learning rates",
        _led("mIoU in % on validation scenes, first seed:", tables.learning_rates(results, protocol)),
    )
    for style in protocol.styles:
        parts = [tables.main(style, subset, results, protocol) for subset in ("all", "objects", "stuff")]
        if parts[0]:
            parts.append(tables.papers(*(_AT_HOME if style == protocol.styles[0] else _ELSEWHERE)))
        if style == protocol.styles[0] and parts[0]:
            parts.insert(0, f"{_VALIDATION}\n{_AP}")
        if style == protocol.styles[-1] and parts[0]:
            parts.append(_GENERATED.lstrip())
        yield (
            f"{'(a) In-domain' if style == 'photo' else '(b) Generalisation'}: `{style}`",
            "\n".join(filter(None, parts)),
        )
    used = _led(_USED, readings.feature_use(results))
    validated = _led(_CONTROLS, tables.validated(results, protocol))
    controls = "\n".join(filter(None, (tables.controls(results, protocol), validated, used)))
    yield "Controls: does the gain come from what the LDM knows?", controls
    yield "Do the nets overfit?", _led(_FIT, readings.fit(results))
    yield (
        "Where are the words? The noise-difference map by timestep",
        _led(_WORDS.format(scenes=protocol.grounding_scenes), readings.grounding(results, protocol)),
    )
    yield "What a coarse grid allows", _led(_CEILING, readings.ceiling(results, protocol))
    yield "The LDM's training", _led(_GROWTH, single_runs.growth(results, protocol))
    yield (
        "Blocks and timesteps",
        _led(
            _PROBES.format(
                training=protocol.probe_training, test=protocol.probe_test, **readings.probe_bounds(results)
            ),
            readings.probes(results, protocol),
        ),
    )
    scenes = protocol.grounding_scenes
    yield "Noise draws", _led(_DRAWS.format(scenes=scenes), readings.draws(results, protocol))
    first = protocol.seeds[0]
    pairs = [*single_runs.beside_plain(FUSIONS, protocol), (seeded("znet", first), seeded("ldznet", first))]
    fusion = single_runs.singles(pairs, results, protocol)
    yield (
        "Fusion, and positions in the attention pool",
        f"{_led(_ONE_SEED, fusion)}\n{tables.papers(FUSION, 'PhraseCut')}" if fusion else "",
    )
    yield "Start at random", _plain(INITS, results, protocol)
    yield "Few masks", _plain(few_masks(protocol), results, protocol)
    yield (
        f"A class without a mask: `{protocol.novel}`",
        _plain(novel(protocol), results, protocol, "On its phrases alone.", f"{NOVEL}/"),
    )
    baselines = single_runs.baselines(results, protocol)
    theirs = tables.papers(PHRASECUT, "PhraseCut", ("CLIPSeg",))
    yield (
        "Baselines",
        f"{_led(f'{_ONE_SEED}{readings.pretraining(results)}', baselines)}\n{theirs}" if baselines else "",
    )
    yield "Real pictures", _led(_REAL.format(sets=single_runs.real_sets(results)), single_runs.real(results))


def _tried(trials: Trials) -> Iterator[tuple[str, str]]:
    for tried in trials:
        text = _led(f"{tried['why']} {_TRIED}", readings.trials(tried["runs"]))
        yield f"Before version {tried['version']} of the protocol", text


def _plain(
    variants: Sequence[Variant], results: Results, protocol: Protocol, words: str = "", prefix: str = ""
) -> str:
    """Variants beside the plain nets."""
    pairs = single_runs.beside_plain(variants, protocol)
    return _led(f"{_ONE_SEED}{words}", single_runs.singles(pairs, results, protocol, prefix))


def _earlier(versions: Mapping[int, Results], protocol: Protocol) -> Iterator[tuple[str, str]]:
    for version, results in versions.items():
        text = _led(_EARLIER.format(version=version), tables.earlier(results, protocol))
        yield f"Version {version} of the protocol", text


def _shown(title: str, drawn: Sequence[str]) -> str:
    """A section's figures."""
    figures = [
        (name, caption)
        for start, captions in _FIGURES.items()
        if title.startswith(start)
        for begin, caption in captions.items()
        for name in drawn
        if name.startswith(begin)
    ]
    text = ""
    for caption, same in groupby(figures, key=lambda figure: figure[1]):
        text += "".join(f"\n![{title}](paper/figures/{name})\n" for name, _ in same) + f"\n*{caption}*\n"
    return text


def _led(words: str, table: str) -> str:
    return f"{words.strip()}\n\n{table}" if table else ""


def _state(every: Sequence[Job], results: Results, protocol: Protocol) -> str:
    done = [job.name for job in every if job.name in results]
    missing = [job.name for job in every if job.name not in results]
    machines = sorted({str(result.machine["processor"]) for result in results.values()})
    # A rate's trial with the first seed is that seed's run: the same training, to the second.
    hours = sum({float(str(result.about.get("seconds", 0))) for result in results.values()}) / 3600
    text = f"Version {protocol.version} of the protocol; {len(done)} of {len(every)} runs are done"
    if done:
        text += f" ({hours:.1f} hours of training nets), on {', '.join(machines)}"
    return f"{text}.\n" + (f"\nNot run yet: {', '.join(missing)}.\n" if missing else "")
