"""Flag beats environment beats `ldznet.toml` beats the built-in default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.core import TyperGroup

import ldznet_cli.cli
from ldznet_cli.cli import settings
from ldznet_cli.errors import UsageError

SEEN: dict[str, Any] = {}


def toy_app(file: dict[str, Any]) -> typer.Typer:
    """Two verbs and a nested one over the settings `file`; what a verb is called with goes to SEEN."""
    app, nested = typer.Typer(rich_markup_mode=None), typer.Typer()

    @app.callback()
    def root(ctx: typer.Context) -> None:
        ctx.default_map = settings.default_map(typer.main.get_command(app), file, os.environ)

    @app.command()
    def segment(
        images: Annotated[list[Path] | None, typer.Argument()] = None,
        prompt: Annotated[list[str] | None, typer.Option("--prompt")] = None,
        dry_run: Annotated[bool, typer.Option("--dry-run/--wet-run")] = False,
        chance: Annotated[int, typer.Option("--seed", "-s")] = 0,
    ) -> None:
        SEEN.update(images=images, prompt=prompt, dry_run=dry_run, seed=chance)

    @app.command()
    def train(seed: Annotated[int, typer.Option("--seed")] = 0) -> None:
        SEEN.update(seed=seed)

    @app.command()
    def evaluate(seed: Annotated[int, typer.Option("--seed", help="Another thing.")] = 0) -> None:
        SEEN.update(seed=seed)

    @nested.command()
    def render(
        count: Annotated[int, typer.Option("--count")] = 1,
        out: Annotated[str, typer.Option("--out", help="A folder.")] = "",
    ) -> None:
        SEEN.update(count=count)

    @nested.command()
    def card(out: Annotated[str, typer.Option("--out", help="A file.")] = "") -> None: ...

    app.add_typer(nested, name="miniature")
    return app


def run(file: dict[str, Any], *arguments: str) -> dict[str, Any]:
    SEEN.clear()
    toy_app(file)(args=list(arguments), prog_name="toy", standalone_mode=False)
    return dict(SEEN)


def test_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    file = {"seed": 1, "train": {"seed": 2}}
    assert run({}, "segment")["seed"] == 0
    assert run(file, "segment")["seed"] == 1
    assert run(file, "train")["seed"] == 2
    monkeypatch.setenv("LDZNET_SEED", "3")
    assert run(file, "train")["seed"] == 3
    assert run(file, "train", "--seed", "4")["seed"] == 4


def test_positional_arguments_lists_and_flags_come_from_the_file_too() -> None:
    seen = run({"segment": {"images": ["a", "b"], "prompt": "red lamp", "dry-run": True}}, "segment")
    assert seen["images"] == [Path("a"), Path("b")]
    assert seen["prompt"] == ["red lamp"]
    assert seen["dry_run"] is True


def test_a_flag_can_take_back_what_the_file_says() -> None:
    assert run({"segment": {"dry_run": True}}, "segment", "--wet-run")["dry_run"] is False
    assert run({"segment": {"images": ["a"]}}, "segment", "b")["images"] == [Path("b")]


def test_several_values_in_the_environment_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDZNET_PROMPT", "red lamp\ngrass")
    monkeypatch.setenv("LDZNET_DRY_RUN", "1")
    assert run({}, "segment")["prompt"] == ["red lamp", "grass"]
    assert run({}, "segment")["dry_run"] is True


def test_a_key_at_the_top_is_for_the_verbs_to_which_it_means_the_same() -> None:
    assert run({"seed": 1}, "evaluate")["seed"] == 0
    assert run({"evaluate": {"seed": 1}}, "evaluate")["seed"] == 1


def test_a_command_within_a_group_has_its_own_table() -> None:
    assert run({"miniature": {"render": {"count": 7}}}, "miniature", "render")["count"] == 7
    assert run({"miniature": {"count": 6}}, "miniature", "render")["count"] == 6
    assert run({"count": 5}, "miniature", "render")["count"] == 5


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ({"sed": 1}, "ldznet.toml: unknown key 'sed'; did you mean 'seed'?"),
        ({"train": {"prompt": "x"}}, "[train] of ldznet.toml: unknown key 'prompt'; `ldznet init`"),
        ({"segmnt": {"seed": 1}}, "ldznet.toml: unknown key 'segmnt'; did you mean 'segment'?"),
        ({"out": "x"}, "ldznet.toml: 'out' is another thing to each of [miniature.render], [miniature.card]"),
        ({"segment": {"seed": {"a": 1}}}, "[segment] of ldznet.toml: 'seed' is an option, not a table"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(file: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(file, "train")
    assert message in str(caught.value)


def test_what_two_commands_of_a_group_share_does_not_decide_for_the_verbs() -> None:
    """`weights import` and `import-ldm` take the same --out; to each plain verb it is another thing."""
    verbs = typer.main.get_command(ldznet_cli.cli.app)
    assert isinstance(verbs, TyperGroup)
    with pytest.raises(UsageError, match="'out' is another thing to each of .*\\[segment\\]"):
        settings.default_map(verbs, {"out": "masks"}, {})
