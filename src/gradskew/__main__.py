"""Run the command line as `python -m gradskew`."""

from .cli import main

if __name__ == "__main__":
    main()
