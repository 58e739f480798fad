"""The public names, exactly; and none of them costs an import of torch before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ldznet_cli

HEAVY = {"accelerate", "diffusers", "matplotlib", "pycocotools", "ray", "scipy", "torch", "transformers"}


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded once it has run `code`."""
    script = f"import sys\n{code}\nprint('MODULES', *{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.rpartition("MODULES ")[2].split())


def test_the_public_names() -> None:
    assert ldznet_cli.__all__ == ["FrozenLDM", "Segmenter", "__version__", "evaluate", "load_net"]
    assert dir(ldznet_cli) == ldznet_cli.__all__


@pytest.mark.parametrize("name", ldznet_cli.__all__)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(ldznet_cli, name) is not None


def test_any_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'LDZNet'"):
        _ = ldznet_cli.LDZNet


@pytest.mark.parametrize(
    "code",
    [
        "import ldznet_cli",
        "import ldznet_cli.config, ldznet_cli.errors",
        "import ldznet_cli.cli",
        "from ldznet_cli.cli import main; main(['--help'])",
        "from ldznet_cli.cli import main; main(['segment', '--help'])",
        "from ldznet_cli.cli import main; main(['miniature', 'render', '--help'])",
    ],
)
def test_help_imports_nothing_heavy(code: str) -> None:
    assert not modules_after(code) & HEAVY
