"""`ldznet doctor`: what it finds well, what it finds wrong, and that it says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.cli import main
from ldznet_cli.errors import WeightsUnavailable
from ldznet_cli.machine import disk
from ldznet_cli.miniature import bundle
from tests.tiny_net import tiny_net


@pytest.fixture(autouse=True)
def plain_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, with space; the bundle stands in for itself."""
    for name, folder in {"HOME": "home", "XDG_CACHE_HOME": "home/.cache"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("SHELL", "/bin/bash")
    monkeypatch.setattr(disk, "LEAST", 0)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def report(capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    assert main(["doctor", "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_everything_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    headings = [line for line in out.splitlines() if not line.startswith(" ")]
    assert headings == ["versions", "devices", "weights", "settings", "cache", "disk", "completion"]
    assert "bash: not installed; `ldznet --install-completion` teaches it" in out
    assert "→" not in out


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys)
    assert (found["schema"], found["problems"]) == ("ldznet.doctor/1", [])
    assert found["devices"]["cpu"]["fast_dtypes"][0] == "float32"
    assert found["versions"]["torch"]
    assert Path(found["weights"]["miniature ldznet"]).is_dir()
    assert found["disk"]["here"]["free"] > 0
    assert found["completion"]["shell"] == {"shell": "bash", "installed": False}


def test_what_the_settings_name(
    tmp_path: Path, tiny_ldm: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_net(Path("run"), tiny_ldm, "znet")
    Path("ldznet.toml").write_text(
        '[segment]\nmodel = "run"\n[train]\ncache = "features"\n[evaluate]\ngt = "gt.json"\n'
    )
    found = report(capsys)
    assert found["weights"]["segment.model"] == "run"
    assert "not there yet" in found["cache"]["train.cache"]
    weights = Path("run/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    (problem,) = report(capsys, 1)["problems"]
    assert (problem["section"], problem["name"]) == ("weights", "segment.model")
    assert "model.safetensors" in problem["problem"]
    Path("ldznet.toml").write_text('[segment]\nmodel = "none"\n')
    (problem,) = report(capsys, 1)["problems"]
    assert problem["name"] == "segment.model"
    assert problem["problem"].startswith("none: there is no such folder")


@pytest.mark.parametrize(
    ("text", "message"), [("seed = ", "cannot be read"), ("sed = 1", "did you mean 'seed'?")]
)
def test_settings_that_other_verbs_refuse(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("ldznet.toml").write_text(text)
    assert main(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert "! ldznet.toml" in out
    assert message in out
    assert message in err.splitlines()[-1]


def test_a_bundle_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bundle, "_WEIGHTS", Path("none"))
    with pytest.raises(WeightsUnavailable):
        bundle.ldm_folder()
    found = report(capsys, 1)
    assert [problem["name"] for problem in found["problems"]] == ["miniature ldm", "miniature ldznet"]
    assert "reinstall" in found["problems"][0]["problem"]


def test_a_full_disk_and_a_shell_that_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(disk, "LEAST", 2**60)
    script = tmp_path / "home" / ".bash_completions" / "ldznet.sh"
    script.parent.mkdir(parents=True)
    script.touch()
    assert main(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert "bash: installed" in out
    assert "MB are left at" in err
    assert "4 problems; the first, here: " in err
