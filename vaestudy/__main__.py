"""`python -m vaestudy`."""

from vaestudy.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
