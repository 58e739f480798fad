"""What a mask costs: FLOPs and weights of each stage, this machine's matrix rate, the memory of `ldznet segment`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ldznet_cli.ldm.blocks import block_names, cut_after
from ldznet_cli.ldm.folder import read_json
from ldznet_cli.ldm.packing import PackedLinear, can_pack
from ldznet_cli.ldm.unet import FrozenUNet
from ldznet_cli.nets import read_info
from ldznet_cli.nets.segmenters import SegmentationNet, skeleton
from ldznet_cli.samples.geometry import Geometry, to_tensor


@dataclass(frozen=True)
class Skeletons:
    """The networks of one phrase's way, cut as they are run, without memory."""

    text: Any
    first_stage: Any
    unet: FrozenUNet
    net: SegmentationNet


def skeletons(sd: Path) -> Skeletons:
    """From the configurations of random_sd.py's folder."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    parts = {part: read_json(sd / "ldm" / part / "config.json") for part in ("unet", "vae", "text_encoder")}
    net = skeleton(read_info(sd / "net").config)
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(parts["unet"])
        first_stage = AutoencoderKL.from_config(parts["vae"])
        text = CLIPTextModel(CLIPTextConfig.from_dict(parts["text_encoder"]))
    names = {
        index: name for index, name in enumerate(block_names(parts["unet"])) if index in net.config.blocks
    }
    cut_after(unet, names[max(names)])
    first_stage.decoder = first_stage.post_quant_conv = None
    return Skeletons(text, first_stage, FrozenUNet(unet, names, whole=False), net)


def flops_of(sd: Path) -> dict[str, float]:
    """Floating point operations of each stage for one phrase at the net's size (two to a multiplication)."""
    parts, size = skeletons(sd), read_info(sd / "net").geometry["size"]
    with torch.device("meta"), torch.no_grad():
        pixels, ids = torch.empty(1, 3, size, size), torch.zeros(1, 77, dtype=torch.long)
        z = torch.empty(1, 4, size // 8, size // 8)
        counts = {"text": _counted(lambda: parts.text(input_ids=ids))}
        text = torch.empty(1, 77, parts.net.config.unet.cross_attention_dim)
        counts["first stage"] = _counted(lambda: parts.first_stage.encode(pixels))
        counts["frozen UNet, cut"] = _counted(lambda: parts.unet.features(z, text, torch.tensor([400])))
        features = parts.unet.features(z, text, torch.tensor([400]))
        counts["LD-ZNet"] = _counted(lambda: parts.net(z, text, features))
    return counts


def _counted(run: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def weights_in_use(sd: Path) -> int:
    """How many numbers the four networks hold, as they are run."""
    parts = skeletons(sd)
    modules: tuple[nn.Module, ...] = (parts.text, parts.first_stage, parts.unet.unet, parts.net)
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def stages_of(predictor: Any, image: Image.Image) -> dict[str, Callable[[], object]]:
    """What `NetPredictor` does for one phrase, stage by stage, each to be run any number of times."""
    ldm = predictor.ldm
    pixels = to_tensor(image, Geometry(**predictor.info.geometry)).to(ldm.dtype)
    text, z = ldm.encode_text(["a photo of a dog."]), ldm.encode_image(pixels)
    noise = torch.randn_like(z)
    features = ldm.features(z, text, 400, noise)
    return {
        "text": lambda: ldm.encode_text(["a photo of a dog."]),
        "first stage": lambda: ldm.encode_image(pixels),
        "frozen UNet, cut": lambda: ldm.features(z, text, 400, noise),
        "LD-ZNet": lambda: predictor.net(z, text, features),
    }


def matrix_rate(dtype: torch.dtype, side: int = 2048, tries: int = 5) -> float:
    """FLOP/s of the fastest of some products of square matrices, the weights packed where they can be."""
    plain = nn.Linear(side, side, bias=False, dtype=dtype)
    linear = PackedLinear(plain, dtype) if can_pack(dtype) else plain
    rows, best = torch.randn(side, side, dtype=dtype), float("inf")
    for _ in range(tries):
        began = time.perf_counter()
        linear(rows)
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def peak_of_segment(net: Path, image: Path, dtype: str) -> tuple[int, int]:
    """(peak resident, peak anonymous) bytes of `ldznet segment` for one phrase, from Linux' /proc."""
    peak = anonymous = 0
    with TemporaryDirectory() as out:
        command = [sys.executable, "-m", "ldznet_cli", "segment", str(image), "--prompt", "dog"]
        command += ["--model", str(net), "--ldm", str(net.parent / "ldm"), "--dtype", dtype, "--out", out]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                found = _memory(process.pid)
                peak, anonymous = max(peak, found.get("VmHWM", 0)), max(anonymous, found.get("RssAnon", 0))
                time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return peak, anonymous


def libraries() -> int:
    """Anonymous bytes of a process that has imported what the pipeline stands on, and has done nothing with it."""
    program = (
        "import torch, transformers.models.clip.modeling_clip, diffusers.models.autoencoders.autoencoder_kl\n"
        "import diffusers.models.unets.unet_2d_condition\n"
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('RssAnon')])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return int(found.stdout) * 1024


def _memory(pid: int) -> dict[str, int]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    sizes = [line.split() for line in lines if line.endswith(" kB")]
    return {name.rstrip(":"): int(number) * 1024 for name, number, _ in sizes}
