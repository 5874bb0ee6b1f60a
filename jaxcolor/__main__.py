"""`python -m jaxcolor` is the command `jaxcolor`."""

from jaxcolor.cli import main

if __name__ == "__main__":
    main()
