"""Call the command line in this process."""

import sys

TINY = (
    "--clients 6 --byzantine 1 --rounds 2 --epochs 1 --model linear --workers 1 --attacks none,lie --aggregators mean"
)


COMMAND = [sys.executable, "-c", "from gradskew.cli import main; main()"]


class Outcome:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def error(self):
        """Return the one line on stderr; fail if anything else was printed."""
        assert self.code == 2, self.err
        assert self.out == ""
        assert len(self.err.splitlines()) == 1, self.err
        assert self.err.startswith("gradskew: ")
        return self.err

    def late_error(self):
        """Return the one error line on stderr; fail unless it is the last line."""
        assert self.code == 2, self.err
        assert "Traceback" not in self.err
        errors = [line for line in self.err.splitlines() if line.startswith("gradskew: ")]
        assert errors == self.err.splitlines()[-1:]
        return errors[0]


def records(folder):
    return {path.parent.name: path.read_bytes() for path in folder.glob("runs/*/record.json")}
