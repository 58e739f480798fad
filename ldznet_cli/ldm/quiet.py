"""Keeps what transformers, diffusers and the hub's client print by themselves away from the user's stderr."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = ("accelerate", "diffusers", "huggingface_hub", "transformers")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within the block only the libraries' exceptions are heard; afterwards their settings are as they were.

    The libraries set their loggers' levels when they are first imported, so they are imported here.
    """
    from diffusers.utils import logging as diffusers_logging
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.get_logger(library.__name__)
    levels = {name: logging.getLogger(name).level for name in _LIBRARIES}
    had_bars = not are_progress_bars_disabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        disable_progress_bars()
        for library in (diffusers_logging, transformers_logging):
            library.disable_progress_bar()
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            if had_bars:  # diffusers cannot be asked for its own
                enable_progress_bars()
                for library in (diffusers_logging, transformers_logging):
                    library.enable_progress_bar()
