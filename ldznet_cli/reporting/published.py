"""Numbers that papers report, for orientation beside our own: never measured here, and each by its paper's protocol.

Source: PNVR et al., "LD-ZNet", ICCV 2023 (arXiv 2303.12343), and the rows of others that it gives.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A table in %, as its paper has it; "" where the paper gives no number."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


PHRASECUT = Published(
    "PhraseCut test set",
    "RGBNet, ZNet and LD-ZNet: CLIPSeg's protocol at 384 x 384, each number at its own best threshold on the test set "
    "itself. CLIPSeg: its protocol at 352 x 352, most likely at 0.3. MDETR: PhraseCut's own evaluator; GLIPv2: its own "
    "evaluation.",
    ("model", "mIoU", "IoU_FG", "AP"),
    (
        ("MDETR", "53.7", "", ""),
        ("GLIPv2-T", "59.4", "", ""),
        ("RMI", "21.1", "42.5", ""),
        ("Mask-RCNN Top", "39.4", "47.4", ""),
        ("HulaNet", "41.3", "50.8", ""),
        ("CLIPSeg (PC+)", "43.4", "54.7", "76.7"),
        ("CLIPSeg (PC, D=128)", "48.2", "56.5", "78.2"),
        ("RGBNet", "46.7", "56.2", "77.2"),
        ("ZNet", "51.3", "59.0", "78.7"),
        ("LD-ZNet", "52.7", "60.0", "78.9"),
    ),
)

AIGI = Published(
    "AIGI: 100 generated images, 214 instances",
    "As the LD-ZNet paper reports them.",
    ("model", "mIoU", "AP"),
    (
        ("MDETR", "53.4", "63.8"),
        ("CLIPSeg (PC+)", "56.4", "79.0"),
        ("SEEM", "57.4", "70.0"),
        ("RGBNet", "63.4", "84.1"),
        ("ZNet", "68.4", "85.0"),
        ("LD-ZNet", "74.1", "89.6"),
    ),
)

FUSION = Published(
    "PhraseCut test set, by how the features come in",
    "LD-ZNet's table 4, its numbers as above.",
    ("fusion", "mIoU", "IoU_FG", "AP"),
    (
        ("ZNet (none)", "51.3", "59.0", "78.7"),
        ("concat", "50.2", "59.0", "78.1"),
        ("cross-attention", "52.7", "60.0", "78.9"),
    ),
)

PUBLISHED = (PHRASECUT, AIGI)
"""What stands beside every evaluation."""
