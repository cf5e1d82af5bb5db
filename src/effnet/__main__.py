"""`python -m effnet` is `effnet`."""

import sys

from effnet.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
