"""Where an option's default comes from: `ldznet.toml`, and over it the environment; flags beat both.

`ldznet.toml` holds options by name: in `[segment]` (or `[miniature.render]`) for one verb, at its top for every verb
to which they mean the same. LDZNET_DRY_RUN=1 is --dry-run, of any verb; several values of one option are lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from typer.core import TyperGroup

from ldznet_cli.config import ENVIRONMENT_PREFIX, SETTINGS_FILE
from ldznet_cli.errors import UsageError

Meaning = tuple[str, str]


def options_of(command: Any) -> dict[str, Any]:
    """The settable parameters of a command, by the name that `ldznet.toml` gives them ("dry-run")."""
    return {key_of(param): param for param in command.params if param.expose_value}


def key_of(param: Any) -> str:
    """ "dry-run" for --dry-run, whatever the Python parameter is called; an argument's own name."""
    if param.param_type_name == "argument":
        return _spelt(param.name)
    return str(max(param.opts, key=len)).removeprefix("--")


def variable_of(param: Any) -> str:
    """The environment variable of an option: LDZNET_DRY_RUN for --dry-run."""
    return ENVIRONMENT_PREFIX + key_of(param).replace("-", "_").upper()


def leaves(group: TyperGroup) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its name in full ("miniature render")."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from ((f"{name} {below}", leaf) for below, leaf in leaves(command))
        else:
            yield name, command


def default_map(
    group: TyperGroup, settings: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, Any]:
    """The defaults of every command below `group`, nested as the commands are.

    Raises UsageError for a key that no command has, naming the nearest that one has.
    """
    return _defaults(group, settings, {}, environment, where=SETTINGS_FILE)


def _defaults(
    command: Any,
    table: Mapping[str, Any],
    above: Mapping[Meaning, Any],
    environment: Mapping[str, str],
    where: str,
) -> dict[str, Any]:
    """`above` are the values of the tables around this one, by meaning."""
    own = {_spelt(key): value for key, value in table.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    if not isinstance(command, TyperGroup):
        options = options_of(command)
        for key in tables:
            if key in options:
                raise UsageError(f"{where}: '{key}' is an option, not a table")
        _refuse_unknown([*own, *tables], options, where)
        outer = {
            key: above[meaning_of(param)] for key, param in options.items() if meaning_of(param) in above
        }
        return _values(options, {**outer, **own}, environment)
    _refuse_unknown(own, {key for _, leaf in leaves(command) for key in options_of(leaf)}, where)
    _refuse_unknown(tables, command.commands, where)
    above = {**above, **{_common_meaning(command, key, where): value for key, value in own.items()}}
    return {
        name: _defaults(below, tables.get(name, {}), above, environment, f"[{name}] of {where}")
        for name, below in command.commands.items()
    }


def meaning_of(param: Any) -> Meaning:
    """Two options are one and the same when name and help are."""
    return key_of(param), param.help or ""


def _common_meaning(group: TyperGroup, key: str, where: str) -> Meaning:
    """What `key` means to most commands: to those of the group itself, where these have it, else to those below them.

    Raises UsageError where each takes it in another way.
    """
    having = [(name, options[key]) for name, leaf in leaves(group) if key in (options := options_of(leaf))]
    having = [(name, param) for name, param in having if name in group.commands] or having
    found = Counter(meaning_of(param) for _, param in having).most_common()
    if len(found) > 1 and found[0][1] == 1:
        tables = [f"[{name.replace(chr(32), chr(46))}]" for name, _ in having]
        raise UsageError(
            f"{where}: '{key}' is another thing to each of {', '.join(tables)}: put it in one of them"
        )
    return found[0][0]


def _values(
    options: Mapping[str, Any], settings: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, Any]:
    values = {}
    for key, param in options.items():
        several = param.nargs != 1 or getattr(param, "multiple", False)
        typed = environment.get(variable_of(param))
        if typed:
            values[param.name] = typed.splitlines() if several else typed
        elif key in settings:
            value = settings[key]
            values[param.name] = [value] if several and not isinstance(value, list) else value
    return values


def origin_of(ctx: Any, param: Any, environment: Mapping[str, str]) -> str | None:
    """Where a value that was not typed on the command line came from, for an error message."""
    source = ctx.get_parameter_source(param.name)
    if source is None or source.name != "DEFAULT_MAP":
        return None
    return variable_of(param) if environment.get(variable_of(param)) else SETTINGS_FILE


def _spelt(key: str) -> str:
    return key.replace("_", "-")


def _refuse_unknown(keys: Any, known: Any, where: str) -> None:
    for key in keys:
        if key not in known:
            nearest = get_close_matches(key, list(known), n=1)
            hint = (
                f"did you mean '{nearest[0]}'?" if nearest else "`ldznet init` writes a file with all of them"
            )
            raise UsageError(f"{where}: unknown key '{key}'; {hint}")
