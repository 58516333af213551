"""`python -m tinyslm` is the command `tinyslm`."""

from .cli import main

if __name__ == "__main__":
    main()
