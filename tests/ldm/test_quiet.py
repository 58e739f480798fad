"""What libraries print by themselves does not reach the user, and is audible again afterwards."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from pathlib import Path

from ldznet_cli.ldm.quiet import quiet_libraries

SCRIPT = """
import sys
from ldznet_cli import FrozenLDM
ldm = FrozenLDM.load(sys.argv[1], blocks=None)
ldm.encode_text(["lamp"])
"""


def test_loading_a_model_prints_nothing(tiny_ldm: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tiny_ldm)], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_libraries_speak_again_afterwards() -> None:
    import transformers

    transformers.logging.set_verbosity_info()
    logger = logging.getLogger("transformers")
    with quiet_libraries():
        assert not logger.isEnabledFor(logging.ERROR)
        warnings.warn("not heard", stacklevel=1)
    assert logger.level == logging.INFO
    transformers.logging.set_verbosity_warning()
