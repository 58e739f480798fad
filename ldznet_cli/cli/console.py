"""Talk to the user: data on standard output, everything else on standard error."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from ldznet_cli.errors import PipeClosed, shortened

_CHATTY = ("accelerate", "diffusers", "huggingface_hub", "torch", "transformers")
_PLAIN_INTERVAL = 30.0  # seconds between two lines of progress where there is no terminal
_state = {"quiet": False}


def set_quiet(quiet: bool) -> bool:
    """The callback of --quiet: from here on `say`, `warn` and `progress` are silent."""
    _state["quiet"] = quiet
    return quiet


def group(name: str, about: str) -> typer.Typer:
    """A command with commands of its own, which lists them when none is given."""
    app = typer.Typer(name=name, rich_markup_mode=None)

    @app.callback(invoke_without_command=True, help=about)
    def shown(ctx: typer.Context) -> None:
        if ctx.invoked_subcommand is None:
            emit(ctx.get_help())

    return app


def require_streams() -> None:
    """A stream that was closed before we began (`2>&-`) leads nowhere: `print` would take the other one for it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (for good)


def say(message: str) -> None:
    """One line for the person at the keyboard."""
    if not _state["quiet"]:
        print(message, file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """One line about something that is probably not what the user meant."""
    say(f"ldznet: warning: {shortened(message)}")


def error(message: str) -> None:
    """The one line of a failure; --quiet does not silence it. What a terminal would obey is shown, not sent."""
    print(f"ldznet: error: {shortened(_visible(' '.join(message.split())))}", file=sys.stderr, flush=True)


def emit(line: str) -> None:
    """One line of data for the next program, written out at once.

    Raises PipeClosed when that program is gone.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:  # a name of a file may hold what the terminal's encoding has no bytes for
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError as error:
        # What is still buffered can't be written: let the interpreter's last flush go nowhere, in silence.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise PipeClosed("the reader of the output is gone") from error


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for people, on standard output: its first column to the left, the others to the right."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    if title:
        emit(title)
    drawn = Table(box=SIMPLE)
    for index, column in enumerate(columns):
        drawn.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(_visible(str(cell)) for cell in row))
    out = Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False)
    with out.capture() as capture:
        out.print(drawn)
    emit("\n".join(line.rstrip() for line in capture.get().strip("\n").splitlines()))


def _visible(text: str) -> str:
    """Words of other people's files, with what a terminal would obey spelt out."""
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )


class Progress:
    """How far a run has come: a bar on a terminal, a plain line now and then elsewhere."""

    def __init__(self, total: int | None, unit: str) -> None:
        self.total, self.unit = total, unit
        self.done = self._first = 0
        self._notes: dict[str, object] = {}
        self._began = self._spoke = time.monotonic()
        self._bar: Any = None
        if sys.stderr.isatty() and not _state["quiet"]:
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit=f" {unit}", file=sys.stderr, dynamic_ncols=True, leave=False)

    def advance(self, count: int = 1) -> None:
        """`count` more units are done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._spoke >= _PLAIN_INTERVAL:
            self._spoke = time.monotonic()
            say(self.line())

    def begin_at(self, done: int) -> None:
        """`done` units were done before this run began: they count, but say nothing about its rate."""
        self.done = self._first = done
        if self._bar is not None:
            self._bar.initial = self._bar.n = done

    def reach(self, done: int) -> None:
        """`done` units are done in all: for a run that tells where it stands, and may have begun half-way."""
        self.advance(done - self.done)

    def note(self, **notes: object) -> None:
        """Show these beside the count (`failed=2`, `loss="0.31"`)."""
        self._notes.update(notes)
        if self._bar is not None:
            self._bar.set_postfix(self._notes, refresh=False)

    def line(self) -> str:
        """The plain line: done, rate, time left, notes."""
        rate = (self.done - self._first) / max(time.monotonic() - self._began, 1e-9)
        parts = [f"{self.done}{f'/{self.total}' if self.total else ''} {self.unit}", f"{rate:.2g}/s"]
        if self.total and rate:
            minutes, seconds = divmod(round((self.total - self.done) / rate), 60)
            parts.append(f"{minutes}:{seconds:02} left")
        return ", ".join(parts + [f"{name} {value}" for name, value in self._notes.items()])

    def close(self) -> None:
        """Wipe the bar, so that what is said next stands on a clean line."""
        if self._bar is not None:
            self._bar.close()


@contextmanager
def progress(total: int | None, unit: str) -> Iterator[Progress]:
    """Progress over `total` things called `unit` ("images"); None where the total is not known."""
    shown = Progress(total, unit)
    try:
        yield shown
    finally:
        shown.close()


def quiet_libraries() -> None:
    """Keep what libraries print by themselves off the user's terminal (they look when first imported)."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")
