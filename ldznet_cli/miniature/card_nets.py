"""The model card's part on the segmentation nets: how they were trained, and their masks on held-out scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ldznet_cli.miniature.markdown import table
from ldznet_cli.miniature.net_recipe import NetsRecipe

Nets = Sequence[Mapping[str, Any]]

_SUBSETS = ("object", "stuff", "all")
NAMES = {"rgbnet": "RGBNet", "znet": "ZNet", "ldznet": "LD-ZNet"}


def nets_section(nets: Nets, recipe: NetsRecipe, least_miou: float) -> list[str]:
    """The Markdown of `nets.json`'s entries; nothing when no net is there yet. `least_miou` is LD-ZNet's bar in %."""
    if not nets:
        return []
    styles = ", ".join(dict.fromkeys(style for net in nets for style in net["styles"]))
    text = (
        f"## Segmentation nets\n\nTrained on masks of `{styles}` scenes alone (set {recipe.training_seed}), each scene "
        f"with {recipe.absent} phrases that name nothing in it; the best weights and the threshold were chosen on set "
        f"{recipe.validation_seed}. Every setting is below, under `nets`. The scores below do not show that the LDM's "
        "features help: without them LD-ZNet loses next to nothing (docs/paper-in-miniature.md).\n"
    )
    return [text, _runs(nets), _held_out(nets, recipe, least_miou), _course(nets)]


def _runs(nets: Nets) -> str:
    rows = []
    for net in nets:
        best = max(net["validations"], key=lambda validation: validation["miou"])
        samples = net["samples"]
        counts = (str(samples["training"]), str(samples["validation"]))
        rows.append(
            (NAMES[net["kind"]], str(net["step"]), f"{net['seconds']:.0f}", str(net["threads"]), *counts,
             str(best["step"]), _percent(best["miou"]), f"{net['threshold']:.2f}", f"`{net['digest'][:12]}`")
        )  # fmt: skip
    sizes = ("training phrases", "validation phrases")
    validation = ("weights of step", "validation mIoU, %", "threshold")
    return table(("net", "steps", "training seconds", "on threads", *sizes, *validation, "digest"), rows)


def _held_out(nets: Nets, recipe: NetsRecipe, least_miou: float) -> str:
    rows = [
        (NAMES[net["kind"]], style, *(_percent(scores[name]["mIoU"]) for name in _SUBSETS),
         *(str(scores[name]["samples"]) for name in _SUBSETS[:2]),
         _number(scores["presence"]["AUROC"]), _percent(scores["presence"]["absent_FPR"]))
        for net in nets
        for style, scores in net["held_out"].items()
    ]  # fmt: skip
    text = (
        f"Mean IoU in % on held-out scenes, {recipe.held_out_scenes} a style (set {recipe.held_out_seed}), at each "
        f"net's own threshold. LD-ZNet's bar for objects on the style it was trained on is {least_miou:g}; masks of "
        "the other styles were never seen. Presence: how well its scores tell these phrases from "
        f"{recipe.absent} a scene that name nothing in it (area under the ROC curve), and of which share of those it "
        "still finds something.\n\n"
    )
    header = (
        "net",
        "style",
        "objects",
        "stuff",
        "all",
        "object phrases",
        "stuff phrases",
        "AUROC",
        "absent but found",
    )
    return text + table(header, rows)


def _course(nets: Nets) -> str:
    rows = [
        (
            NAMES[net["kind"]],
            str(v["step"]),
            f"{net['seconds'] * v['step'] / net['step'] / 60:.1f}",
            _percent(v["miou"]),
            f"{v['threshold']:.2f}",
            _percent(v["at_half"]),
        )
        for net in nets
        for v in net["validations"]
    ]
    header = ("net", "step", "minutes", "mIoU, %", "at its best threshold", "mIoU at 0.5, %")
    return "How validation went (minutes: the step's share of the whole training's):\n\n" + table(
        header, rows
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"
