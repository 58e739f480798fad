"""What every test may ask for, and what holds for all of them."""

from __future__ import annotations

import os
import re
import secrets
import signal
from collections.abc import Iterator
from typing import Any

# Before torch is imported by anything: two test processes must not fight over two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes is the machine's business: no test is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A suite that is started in the background inherits an ignored Ctrl-C, and would hand that on to what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference data that lies beside the repository, on the machines that have it."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the reference data in ../shared is not on this machine")
    return folder


@pytest.fixture(scope="session")
def tiny_ldm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random latent diffusion model in Stable Diffusion's shape and file formats, of about 1 MB."""
    from tests.tiny import tiny_ldm as build

    return build(tmp_path_factory.mktemp("tiny") / "ldm")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[tuple[str, dict[str, str]]]:
    """The URL of a bucket on moto's S3, reached over HTTP, and the environment that it takes."""
    from tests.moto_s3 import serving

    with serving() as found:
        yield found


@pytest.fixture
def bucket(s3_server: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> str:
    """The s3:// URL of an empty place."""
    url, environment = s3_server
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return f"{url}/{secrets.token_hex(4)}"


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No LDZNET_* variable of whoever runs the tests changes a default."""
    for name in [name for name in os.environ if name.startswith("LDZNET_")]:
        monkeypatch.delenv(name)


def _fail_unwanted_skip(report: Any) -> Any:
    """Where TESTS_MAY_SKIP holds a pattern (.ci/run), whatever is skipped for any other reason has failed."""
    may_skip = os.environ.get("TESTS_MAY_SKIP")
    if may_skip and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[-1])
        if not re.search(may_skip, reason):
            report.outcome, report.longrepr = "failed", f"skipped where it must run: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[Any]:
    """One test's skip."""
    return _fail_unwanted_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[Any]:
    """A whole module's skip."""
    return _fail_unwanted_skip((yield))
