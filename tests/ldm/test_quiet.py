"""What libraries print by themselves does not reach the user, and is audible again afterwards."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings

import pytest

from ldznet_cli.ldm.quiet import quiet_libraries
from ldznet_cli.miniature.bundle import ldm_folder

SCRIPT = """
import sys
from ldznet_cli import FrozenLDM
ldm = FrozenLDM.load(sys.argv[1], blocks=None)
ldm.encode_text(["lamp"])
"""

PIPELINE = """
import sys
from pathlib import Path
from ldznet_cli.ldm.quiet import quiet_libraries
with quiet_libraries():
    from ldznet_cli.miniature.pipeline import load_pipeline
load_pipeline(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("script", [SCRIPT, PIPELINE])
def test_loading_a_model_prints_nothing(script: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", script, str(ldm_folder())], capture_output=True, text=True, check=False
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
