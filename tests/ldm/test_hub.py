"""The hub's client against a small hub of our own on loopback: what is fetched, and what is said when it fails."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import torch

from ldznet_cli.errors import DiskFull, WeightsUnavailable
from ldznet_cli.ldm import FrozenLDM, resolve

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class SmallHub(ThreadingHTTPServer):
    """Serves `files` (path → content) as the model owner/model; `refuse` is (status, error code) for everything."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files: dict[str, bytes] = {}
        self.refuse: tuple[int, str] | None = None
        self.fetched: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: SmallHub

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        if self.server.refuse:
            status, code = self.server.refuse
            return self.send(status, b"{}", {"X-Error-Code": code}, body=body)
        if path.startswith("/api/models/owner/model/revision/"):
            if path.endswith("/nothing"):
                return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body=body)
            info = {
                "id": "owner/model",
                "sha": COMMIT,
                "private": False,
                "siblings": [],
                "tags": [],
                "downloads": 0,
            }
            return self.send(200, json.dumps(info).encode(), {}, body=body)
        if path.startswith("/api/models/owner/model/tree/"):
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in self.server.files.items()
            ]
            return self.send(200, json.dumps(tree).encode(), {}, body=body)
        name = path.removeprefix(f"/owner/model/resolve/{COMMIT}/")
        if name not in self.server.files:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound"}, body=body)
        content = self.server.files[name]
        if body:
            self.server.fetched.append(name)
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        return self.send(200, content, {"ETag": etag, "X-Repo-Commit": COMMIT}, body=body)

    def send(self, status: int, content: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_arguments: Any) -> None:
        """Silent."""


@pytest.fixture
def hub(tiny_ldm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    """A hub with the tiny model and things beside it that nobody needs; the client's cache is empty."""
    from huggingface_hub import constants

    server = SmallHub()
    for path in tiny_ldm.rglob("*"):
        if path.is_file():
            server.files[path.relative_to(tiny_ldm).as_posix()] = path.read_bytes()
    pickle, half = "unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.fp16.safetensors"
    server.files |= {
        pickle: b"pickle",
        half: b"half",
        "safety_checker/model.safetensors": b"x",
        "v1.ckpt": b"x",
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    address = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    server.server_close()


def test_only_what_is_needed_is_fetched_and_only_once(hub: SmallHub, tiny_ldm: Path) -> None:
    ldm = FrozenLDM.load("owner/model")
    assert sorted(hub.fetched) == sorted(
        path.relative_to(tiny_ldm).as_posix() for path in tiny_ldm.rglob("*") if path.is_file()
    )
    assert ldm.name == "owner/model"
    assert ldm.digests == FrozenLDM.load(tiny_ldm).digests
    hub.fetched.clear()
    again = FrozenLDM.load("owner/model", offline=True)
    assert again.blocks == ldm.blocks
    assert hub.fetched == []


def test_without_blocks_the_unets_weights_are_not_fetched(hub: SmallHub) -> None:
    FrozenLDM.load("owner/model", blocks=())
    assert "vae/diffusion_pytorch_model.safetensors" in hub.fetched
    assert "unet/diffusion_pytorch_model.safetensors" not in hub.fetched
    assert "unet/config.json" in hub.fetched


def test_half_precision_is_fetched_where_there_is_nothing_else(hub: SmallHub) -> None:
    whole, half = "unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"
    hub.files[half] = hub.files.pop(whole)
    assert FrozenLDM.load("owner/model").blocks == (3, 4, 5, 6, 7)
    assert half in hub.fetched


def test_another_first_stage_from_the_hub(hub: SmallHub, tiny_ldm: Path, tmp_path: Path) -> None:
    own = shutil.copytree(tiny_ldm, tmp_path / "own")
    shutil.rmtree(own / "vae")
    ldm = FrozenLDM.load(own, vae="owner/model")
    assert sorted(hub.fetched) == [
        "model_index.json",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    assert ldm.encode_image(torch.zeros(1, 3, 64, 64)).shape == (1, 4, 8, 8)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "GatedRepo", "owner/model is gated: accept its licence at"),
        (401, "GatedRepo", "owner/model is gated: accept its licence at"),
        (401, "RepoNotFound", "knows no model owner/model: check the name"),
        (404, "RepoNotFound", "knows no model owner/model: check the name"),
        (500, "", "owner/model"),
    ],
)
def test_what_the_hub_refuses(hub: SmallHub, status: int, code: str, words: str) -> None:
    hub.refuse = (status, code)
    with pytest.raises(WeightsUnavailable, match=words) as caught:
        resolve("owner/model")
    assert "\n" not in str(caught.value)


def test_an_unknown_revision(hub: SmallHub) -> None:
    with pytest.raises(WeightsUnavailable, match="owner/model has no revision 'nothing'"):
        resolve("owner/model", revision="nothing")


def test_offline_nothing_is_asked(hub: SmallHub) -> None:
    with pytest.raises(
        WeightsUnavailable, match=r"is not in the hub's cache .*, and the hub may not be asked \(offline\)"
    ):
        resolve("owner/model", offline=True)
    assert hub.fetched == []


def test_offline_by_environment(hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsUnavailable, match="offline"):
        resolve("owner/model")


def test_no_network(hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    hub.shutdown()
    hub.server_close()
    with pytest.raises(WeightsUnavailable, match="127.0.0.1:[0-9]+ cannot be reached"):
        resolve("owner/model")
    monkeypatch.setattr(constants, "ENDPOINT", "http://no-such-host.invalid")
    with pytest.raises(WeightsUnavailable, match="no-such-host.invalid cannot be reached"):
        resolve("owner/model")


def test_no_space_for_what_is_fetched(hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(DiskFull, match="make room or set HF_HOME"):
        resolve("owner/model")
