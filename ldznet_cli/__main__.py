"""`python -m ldznet_cli` is `ldznet`."""

import sys

from ldznet_cli.cli import main

if __name__ == "__main__":
    sys.exit(main())
