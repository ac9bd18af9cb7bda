"""Run the command line by `python -m vaestudy`."""

from vaestudy.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
