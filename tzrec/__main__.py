"""`python -m tzrec <command>`: the same as `tzrec <command>`."""

from tzrec.cli import console

if __name__ == "__main__":
    console()
