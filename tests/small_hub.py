"""A small hub of our own on loopback, which serves one model as the Hugging Face hub would."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

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
        large = name.endswith(
            ".safetensors"
        )  # as the real hub: large files are known by SHA-256, others as in git
        etag = f'"{(hashlib.sha256 if large else hashlib.sha1)(content).hexdigest()}"'
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


@contextmanager
def serving(tiny_ldm: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    """The tiny model and things beside it that nobody needs; the client's cache is `cache`, empty."""
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
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
