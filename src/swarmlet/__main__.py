"""`python -m swarmlet` is the `swarmlet` command."""

import sys

from swarmlet.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
