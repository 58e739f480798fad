"""The exceptions a user may meet, each with its exit code; one base class to catch.

    LdznetError              1   something went wrong, in one line
    ├── UsageError           2   the command or its arguments make no sense
    │   └── PromptError          an empty prompt, or one longer than the text encoder takes
    ├── SomeItemsFailed      3   the run finished, but some items failed
    ├── NothingToDo          4   nothing to work on was found
    ├── WeightsUnavailable   5   weights are missing, gated, or out of reach
    ├── Interrupted        130   stopped by Ctrl-C; what was done stays whole
    ├── PipeClosed         141   the reader of our output went away
    ├── ImageError           1   one image cannot be read
    ├── AnnotationError      1   an annotation file or record is wrong
    ├── CacheError           1   an object of the feature cache is missing or damaged
    │   ├── CacheMismatch        a cache was made with other settings; says which field differs
    │   ├── CacheUnreachable     nobody can say how it is: no network, no permission, a share that has gone
    │   └── NotFinite            a value that cannot be stored: too large for its type, or not a number
    ├── ModelError           1   a model folder that does not fit
    ├── EngineError          1   no cluster, no room in it, or its workers are lost again and again
    └── DiskFull             1   no space left to write to

A message says what, where, what was expected and found, and what to do next. Only `ldznet_cli.cli` prints.
"""

import errno
import re

LONGEST = 1000
"""Characters of a message: who quotes a file's value does not know how long it is."""


class LdznetError(Exception):
    """Base class of every error that is the user's to see. `exit_code` is the process's."""

    exit_code = 1

    def __str__(self) -> str:
        return shortened(super().__str__())


def shortened(message: str) -> str:
    """The message with its middle left out where it is too long: what went wrong stands at its beginning, what to do
    at its end."""
    if len(message) <= LONGEST:
        return message
    return f"{message[: 2 * LONGEST // 3]} […] {message[-LONGEST // 4 :]}"


class UsageError(LdznetError):
    """The command, an argument or a setting makes no sense."""

    exit_code = 2


class PromptError(UsageError):
    """A prompt that is empty, or longer than the text encoder takes."""


class SomeItemsFailed(LdznetError):
    """The run went through to its end, but some of its items failed."""

    exit_code = 3


class NothingToDo(LdznetError):
    """Nothing to work on was found: an empty folder, a glob without a match."""

    exit_code = 4


class WeightsUnavailable(LdznetError):
    """Weights that are missing, gated, or on a hub that cannot be reached."""

    exit_code = 5


class Interrupted(LdznetError):
    """Stopped by Ctrl-C between two items. The message says how to go on."""

    exit_code = 130


class PipeClosed(LdznetError):
    """The program that read our standard output went away. Ends the run without a word."""

    exit_code = 141


class ImageError(LdznetError):
    """One image that cannot be read: an item's failure, not the run's."""


class AnnotationError(LdznetError):
    """An annotation file, or a record in a pipe, that is wrong."""


class CacheError(LdznetError):
    """An object of the feature cache that is missing or damaged."""


class CacheMismatch(CacheError):
    """A cache made with other settings than those asked for.

    `field` names the setting, `expected` what was asked for, `found` what the cache holds.
    """

    def __init__(
        self, field: str, expected: object, found: object, advice: str = "use another --cache"
    ) -> None:
        super().__init__(f"the cache differs in {field}: expected {expected}, found {found}; {advice}")
        self.field, self.expected, self.found = field, expected, found


class CacheUnreachable(CacheError):
    """A cache, or one of its objects, that cannot be reached now: it may be sound, so nothing of it may go."""


class NotFinite(CacheError):
    """A value to be cached that is infinite or not a number, as it is stored."""


class ModelError(LdznetError):
    """A model folder (a net or an LDM) that does not fit what is asked of it."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def no_room(error: Exception) -> bool:
    """Whether a disk, or the user's share of it, is full; safetensors tells the system's number in its text only."""
    told = re.search(r"os error (\d+)", str(error))
    return (int(told[1]) if told else getattr(error, "errno", None)) in _FULL


class DiskFull(LdznetError):
    """No space left on the device that is written to."""


class EngineError(LdznetError):
    """Workers that cannot be had, or that are lost again and again. What they did stays."""
