"""`python -m tzrec <verb>` is `tzrec <verb>`."""

import sys

from tzrec.cli import main

if __name__ == "__main__":
    sys.exit(main())
