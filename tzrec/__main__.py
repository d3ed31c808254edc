"""`python -m tzrec <verb>` is `tzrec <verb>`."""

from tzrec.cli import console

if __name__ == "__main__":
    console()
