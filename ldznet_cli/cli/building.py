"""The events of a long job of the miniature's, as bars and lines."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from ldznet_cli.cli import console
from ldznet_cli.miniature.events import BuildEvent


def show(events: Iterable[BuildEvent]) -> None:
    """A bar for each stage, a line for each note. A stage that comes again with another total gets a bar of its own."""
    with ExitStack() as bars:
        stage, shown = None, None
        for event in events:
            if (event.stage, event.total) != stage or shown is None:
                bars.close()
                stage = event.stage, event.total
                shown = bars.enter_context(console.progress(event.total, event.stage))
            shown.reach(event.done)
            if event.note:
                console.say(f"{event.stage}: {event.note}")
