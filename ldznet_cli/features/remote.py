"""A cache behind a URL of fsspec's (`s3://bucket/features`), for file systems whose uploads appear whole or not at all.

Credentials and endpoints come from where each driver looks for them: for S3 the AWS_* variables and files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from inspect import signature
from typing import Any

from ldznet_cli.errors import CacheError, CacheUnreachable, UsageError
from ldznet_cli.features.place import Entry

_LISTERS = 16
"""Requests for listings at the same time: a listing of a large cache is many answers of 1,000 names."""

_TIMES = ("LastModified", "mtime", "updated", "last_modified", "created")
"""Under which name the drivers tell when a file was written."""

_OPTIONS: dict[str, dict[str, Any]] = {"s3": {"max_concurrency": 1}}
"""s3fs would ask for each file's size first, in order to read large ones in parallel."""


class Remote:
    """A place on a file system that fsspec has a driver for. Each process opens a connection of its own."""

    torn = False

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._opened: tuple[int, Any] | None = None
        self._open()

    def __repr__(self) -> str:
        return f"Remote({self.url!r})"

    def __reduce__(self) -> tuple[type[Remote], tuple[str]]:
        return Remote, (self.url,)

    def read(self, name: str) -> memoryview:
        with self._reaching(name) as files:
            return memoryview(bytearray(files.cat_file(self._path(name))))

    def start(self, name: str, count: int) -> bytes:
        if self.size(name) == 0:  # of which there is no range
            return b""
        with self._reaching(name) as files:
            return bytes(files.cat_file(self._path(name), start=0, end=count))

    def size(self, name: str) -> int:
        with self._reaching(name) as files:
            return int(files.info(self._path(name))["size"])

    def write(self, name: str, data: bytes) -> None:
        """In one upload. Raises CacheError when there is no such bucket, or it takes no more."""
        try:
            with self._reaching(name) as files:
                files.pipe_file(self._path(name), data)
        except FileNotFoundError as error:
            raise CacheError(
                f"{self.shown(name)} cannot be written ({error}): make the bucket first"
            ) from error

    def delete(self, name: str) -> None:
        try:
            with self._reaching(name) as files:
                files.rm_file(self._path(name))
        except FileNotFoundError:
            return

    def entries(self, folder: str) -> Iterator[Entry]:
        """Folder by folder below `folder`, so that a listing of millions does not lie in memory."""
        try:
            with self._reaching(folder) as files:
                found = files.ls(self._path(folder), detail=True)
        except FileNotFoundError:
            return
        yield from self._sorted(info for info in found if info["type"] == "file")
        below = sorted(info["name"] for info in found if info["type"] == "directory")
        with ThreadPoolExecutor(_LISTERS) as listers:
            for infos in listers.map(self._find, below):
                yield from self._sorted(infos)

    def exists(self) -> bool:
        with self._reaching() as files:
            return bool(files.exists(self._path("")))

    def free_bytes(self) -> None:
        """Nobody says."""
        return

    def sweep(self) -> int:
        """An upload that was cut short leaves nothing to be seen."""
        return 0

    def shown(self, name: str = "") -> str:
        return f"{self.url}/{name}".rstrip("/")

    def _find(self, path: str) -> list[dict[str, Any]]:
        with self._reaching() as files:
            return list(files.find(path, detail=True).values())

    def _sorted(self, infos: Any) -> Iterator[Entry]:
        root = self._path("").strip("/")
        named = ((info["name"].strip("/").removeprefix(root).strip("/"), info) for info in infos)
        for name, info in sorted(named, key=lambda pair: pair[0]):
            if name and not name.endswith("/"):
                yield Entry(name, int(info["size"]), _modified(info))

    def _path(self, name: str) -> str:
        return f"{self._open()._strip_protocol(self.url)}/{name}".rstrip("/")

    @contextmanager
    def _reaching(self, name: str = "") -> Iterator[Any]:
        """Every driver has errors of its own: they become CacheUnreachable, but for what is simply not there."""
        try:
            yield self._open()
        except FileNotFoundError:
            raise
        except Exception as error:
            what = " ".join(str(error).split()) or type(error).__name__
            hint = "check the URL, your credentials and, for S3, AWS_ENDPOINT_URL and AWS_DEFAULT_REGION"
            raise CacheUnreachable(f"{self.shown(name)} cannot be reached: {what}; {hint}") from error

    def _open(self) -> Any:
        """fsspec's file system; a forked process may not use its parent's."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), _file_system(self.url))
        return self._opened[1]


def _file_system(url: str) -> Any:
    import fsspec

    protocol = url.partition("://")[0]
    options = {"skip_instance_cache": True, "use_listings_cache": False, **_OPTIONS.get(protocol, {})}
    try:
        driver = fsspec.get_filesystem_class(protocol)
        signature(driver.__init__).bind(None, **options)  # some want to know more, such as ftp's its host
        return fsspec.filesystem(protocol, **options)
    except (ImportError, ValueError, TypeError) as error:
        extra = "pip install 'ldznet-cli[s3]'" if protocol in ("s3", "s3a") else str(error)
        raise UsageError(f"{url}: {protocol}:// cannot be read here: {extra}") from error


def _modified(info: Mapping[str, Any]) -> float:
    """Raises CacheError where the driver does not tell the time: nothing could be said to be old."""
    for field in _TIMES:
        if (value := info.get(field)) is not None:
            return float(value.timestamp() if hasattr(value, "timestamp") else value)
    raise CacheError(f"{info['name']}: its file system does not tell when it was written")
