"""What holds for every command: one-line errors, exit codes, a quiet end of a pipe, help with examples."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from ldznet_cli import __version__, cli, errors
from ldznet_cli.cli import main, settings

GROUP = typer.main.get_command(cli.app)
ADVICE = "ask for less at once (--batch), or try --device cpu"
COMMANDS = dict(settings.leaves(GROUP))


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make `ldznet init` raise what the test wants."""

    def fail_with(error: BaseException) -> None:
        def fail(*args: object, **options: object) -> None:
            raise error

        monkeypatch.setattr(cli, "app", fail)

    return fail_with


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ldznet {__version__}\n"


def test_no_arguments_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    bare = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.split() == bare.split()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["segmnt"], "No such command 'segmnt'. Did you mean 'segment'? (try 'ldznet --help')"),
        (["--frob"], "No such option: --frob (try 'ldznet --help')"),
        (["init", "--foce"], "No such option: --foce (Possible options: --force) (try 'ldznet init --help')"),
        (["init", "surplus"], "Got unexpected extra argument(s) (surplus) (try 'ldznet init --help')"),
    ],
)
def test_usage_errors_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"ldznet: error: {message}\n"


@pytest.mark.parametrize(
    ("origin", "source"), [("ldznet.toml", "seed = 'many'"), ("LDZNET_SEED", ""), (None, "")]
)
def test_a_bad_value_says_where_it_came_from(
    origin: str | None,
    source: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ldznet.toml").write_text(source)
    if origin == "LDZNET_SEED":
        monkeypatch.setenv(origin, "many")
    arguments = [] if origin else ["--seed", "many"]
    assert main(["segment", "pictures", *arguments]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "--seed" in line
    assert (f", from {origin} (try" in line) if origin else (", from" not in line)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (errors.NothingToDo("no images in photos/"), 4, "no images in photos/"),
        (errors.ModelError("two\n  lines"), 1, "two lines"),
        (errors.Interrupted("stopped after 3 images"), 130, "stopped after 3 images"),
        (KeyboardInterrupt(), 130, "interrupted; what was done stays, the same command goes on"),
        (
            OSError(errno.ENOSPC, "No space left on device", "out/a.png"),
            1,
            "no space left on the device: out/a.png; make room and run the same command again",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "out"), 1, "Permission denied: out"),
        *(
            (error, 1, f"out of memory ({reason}): end other programs, {ADVICE}")
            for error, reason in (
                (MemoryError(), "MemoryError"),
                (
                    torch.OutOfMemoryError("CUDA out of memory.\nTried 2 GiB"),
                    "CUDA out of memory. Tried 2 GiB",
                ),
                (RuntimeError("DefaultCPUAllocator: can't allocate memory"),) * 2,
            )
        ),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str, failing: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(error)
    assert main(["init"]) == code
    assert capsys.readouterr().err == f"ldznet: error: {line}\n"


@pytest.mark.parametrize("error", [ZeroDivisionError(), RuntimeError("shapes do not fit")])
def test_a_fault_of_ours_is_not_hidden(failing: Any, error: Exception) -> None:
    failing(error)
    with pytest.raises(type(error)):
        main(["init"])


def test_out_of_memory_without_torch(failing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is not imported for that."""
    monkeypatch.delitem(sys.modules, "torch")
    failing(MemoryError())
    assert main(["init"]) == 1
    assert "torch" not in sys.modules


def test_a_closed_pipe_ends_quietly(failing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    failing(errors.PipeClosed("gone"))
    assert main(["init"]) == 141
    assert capsys.readouterr().err == ""


def started(script: str) -> subprocess.Popen[str]:
    """A Python process of its own that runs `script`, with both its outputs in pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_reader_that_goes_away_for_real() -> None:
    script = (
        "from ldznet_cli import cli\n"
        "@cli.app.command()\ndef talk() -> None:\n    while True:\n        cli.console.emit('x' * 99)\n"
        "raise SystemExit(cli.main(['talk']))"
    )
    with started(script) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == ""
        assert run.wait(30) == 141


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell's words")
@pytest.mark.parametrize("command", ["--version >&-", "init 2>&-"])
def test_what_goes_to_a_closed_stream_goes_nowhere(command: str, tmp_path: Path) -> None:
    """Not to the other one, and nothing fails."""
    script = f"{sys.executable} -m ldznet_cli {command}"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_ctrl_c_for_real() -> None:
    script = (
        "import os, signal, time\nfrom ldznet_cli import cli\n"
        "@cli.app.command()\ndef wait() -> None:\n    print('waiting', flush=True)\n    time.sleep(60)\n"
        "raise SystemExit(cli.main(['wait']))"
    )
    with started(script) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "waiting\n"
        run.send_signal(signal.SIGINT)
        _, talk = run.communicate(timeout=30)
    assert run.returncode == 130
    assert talk == "ldznet: error: interrupted; what was done stays, the same command goes on\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_an_example(name: str) -> None:
    text = COMMANDS[name].help
    assert text.partition("\n")[0].endswith(".")
    assert re.search(rf"^\s*(.*\| )?ldznet {name}\b", text, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_means(name: str) -> None:
    for key, param in settings.options_of(COMMANDS[name]).items():
        assert len(param.help or "") > 5, key


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    readme = Path(__file__).parents[2] / "README.md"
    assert f"`ldznet {name}`" in readme.read_text(encoding="utf-8")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    asked = {"bash": {"COMP_WORDS": "ldznet seg", "COMP_CWORD": "1"}}.get(
        shell, {"_TYPER_COMPLETE_ARGS": "ldznet seg", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    )
    environment = {**os.environ, "_LDZNET_COMPLETE": f"complete_{shell}", **asked}
    run = subprocess.run(
        [sys.executable, "-m", "ldznet_cli"], env=environment, capture_output=True, text=True, check=False
    )
    assert "segment" in run.stdout
    assert "Usage" not in run.stdout  # the help, which has the word as well
