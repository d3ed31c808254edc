"""`python -m tzrec <verb>`: the same as `tzrec <verb>`."""

from tzrec.cli import console

if __name__ == "__main__":
    console()
