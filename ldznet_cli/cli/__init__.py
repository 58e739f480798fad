"""The command line: one thin file a verb; the only place that catches errors, draws bars and prints."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer
from typer.core import TyperGroup

from ldznet_cli import __version__
from ldznet_cli.cli import console, settings
from ldznet_cli.cli.cache import app as cache_app
from ldznet_cli.cli.cache_features import cache_features
from ldznet_cli.cli.data import app as data_app
from ldznet_cli.cli.doctor import doctor
from ldznet_cli.cli.evaluate import evaluate
from ldznet_cli.cli.gallery import gallery
from ldznet_cli.cli.init import init
from ldznet_cli.cli.miniature import app as miniature_app
from ldznet_cli.cli.plot import plot
from ldznet_cli.cli.segment import segment
from ldznet_cli.cli.train import train
from ldznet_cli.cli.weights import app as weights_app
from ldznet_cli.config import read_settings
from ldznet_cli.errors import Interrupted, LdznetError, PipeClosed, UsageError

EPILOG = """\b
Examples:
  ldznet segment ./images --prompt "lamp" --prompt "red mushroom" --out masks
  ldznet segment ./images --prompt "lamp" | ldznet evaluate --gt annotations.json
  ldznet cache-features ./images --gt annotations.json --negatives 2 --cache features
  ldznet train --gt annotations.json --cache features --net ldznet --out run

\b
Defaults come from ldznet.toml in the working folder (`ldznet init` writes one);
LDZNET_<OPTION> in the environment beats the file, a flag beats both.

\b
Exit codes: 0 ok, 1 error, 2 usage, 3 some items failed, 4 nothing to do was
found, 5 weights not to be had, 130 interrupted, 141 the output's reader left.
"""

app = typer.Typer(
    name="ldznet",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 100},
    epilog=EPILOG,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.emit(f"ldznet {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def ldznet(
    ctx: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Text to masks with latent diffusion features: RGBNet, ZNet and LD-ZNet (ICCV 2023)."""
    if ctx.invoked_subcommand is None:
        console.emit(ctx.get_help())
    elif ctx.invoked_subcommand == "doctor":  # who tells what is wrong with the file
        with suppress(UsageError):
            ctx.default_map = settings.default_map(_group(), read_settings(), os.environ)
    elif ctx.invoked_subcommand != "init":  # which must be able to write a good file over a bad one
        ctx.default_map = settings.default_map(_group(), read_settings(), os.environ)


app.command("cache-features")(cache_features)
app.command("train")(train)
app.command("segment")(segment)
app.command("evaluate")(evaluate)
app.command("plot")(plot)
app.command("gallery")(gallery)
app.command("init")(init)
app.command("doctor")(doctor)
app.add_typer(cache_app, name="cache")
app.add_typer(data_app, name="data")
app.add_typer(weights_app, name="weights")
app.add_typer(miniature_app, name="miniature")


def _group() -> TyperGroup:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script: run `ldznet` with `arguments` (the process's own where None), return its exit code."""
    console.set_quiet(False)
    console.require_streams()
    console.quiet_libraries()
    try:
        code = app(args=arguments, prog_name="ldznet", standalone_mode=False)
    except PipeClosed as error:
        return error.exit_code
    except LdznetError as error:
        return _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        return _fail_usage(error)
    except OSError as error:
        return _fail(_spoken(error), 1)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        return _fail(
            f"out of memory ({reason}): end other programs, ask for less at once (--batch), or try --device cpu",
            1,
        )
    except (KeyboardInterrupt, typer.Abort):
        code = Interrupted.exit_code
    if code == Interrupted.exit_code:
        return _fail("interrupted; what was done stays, the same command goes on", Interrupted.exit_code)
    return code or 0


def _fail(message: str, code: int) -> int:
    console.error(message)
    return code


def _fail_usage(error: typer.TyperException) -> int:
    """Typer's own complaints (an unknown option, a value of the wrong type), in our one line."""
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    ctx, param = getattr(error, "ctx", None), getattr(error, "param", None)
    origin = settings.origin_of(ctx, param, os.environ) if ctx and param else None
    path = ctx.command_path if ctx else "ldznet"
    return _fail(
        f"{message}{f', from {origin}' if origin else ''} (try '{path} --help')", UsageError.exit_code
    )


def _out_of_memory(error: Exception) -> bool:
    """Torch, which takes seconds to import, is not there to be asked where nobody has computed anything."""
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from ldznet_cli.ldm.memory import out_of_memory

    return out_of_memory(error)


def _spoken(error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"no space left on the device{where}; make room and run the same command again"
    return f"{error.strerror or error}{where}"


__all__ = ["app", "main"]
