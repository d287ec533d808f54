"""`python -m mnemata` is the command `mnemata`."""

from mnemata.cli.main import run

if __name__ == "__main__":
    run()
