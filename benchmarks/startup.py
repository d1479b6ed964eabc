"""Time how long one waits before anything happens: imports and quick commands, each in a process of its own.

    python benchmarks/startup.py [--repeats 9]

Prints a Markdown table: seconds on the clock and seconds of processor time, medians of alternating repeats with their
range; and, pair by pair, what the public names cost beyond `import torch`, and a run as a multiple of it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys

from timing import alternate, spread

PUBLIC = "import gradskew; [getattr(gradskew, name) for name in gradskew.__all__]"
COMMAND = "from gradskew.cli import main; main({})"
COMPLETION = {
    "_GRADSKEW_COMPLETE": "bash_complete",
    "COMP_WORDS": "gradskew bench --rules mean,nnm+",
    "COMP_CWORD": "3",
}
# what, the code, the environment beside the usual
WORKS: list[tuple[str, str, dict[str, str]]] = [
    ("python", "pass", {}),
    ("import torch", "import torch", {}),
    ("import torch, then every public name of gradskew", f"import torch; {PUBLIC}", {}),
    ("a run of one round, with its pictures", "import gradskew; gradskew.simulate(gradskew.Run(rounds=1))", {}),
    ("import gradskew", "import gradskew", {}),
    ("gradskew --help", COMMAND.format(["--help"]), {}),
    ("gradskew --version", COMMAND.format(["--version"]), {}),
    ("completion of a rule's name", COMMAND.format([]), COMPLETION),
    ("gradskew list", COMMAND.format(["list"]), {}),
    ("gradskew doctor", COMMAND.format(["doctor"]), {}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    used: list[list[float]] = [[] for _ in WORKS]

    def work(number: int) -> None:
        _, code, environment = WORKS[number]
        before = processor_seconds()
        command = [sys.executable, "-c", code]
        subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=True)
        used[number].append(processor_seconds() - before)

    clock = alternate([lambda number=number: work(number) for number in range(len(WORKS))], repeats)
    print("| what | seconds (range) | of the processor |\n|---|---|---|")
    for (what, _, _), seconds, busy in zip(WORKS, clock, used, strict=True):
        print(f"| {what} | {spread(seconds)} | {spread(busy[1:])} |")
    beyond = [[ours - torch for torch, ours in zip(kind[1], kind[2], strict=True)] for kind in (clock, used)]
    print(f"| the public names, beyond torch | {spread(beyond[0])} | {spread(beyond[1][1:])} |")
    times = [[run / torch for torch, run in zip(kind[1], kind[3], strict=True)] for kind in (clock, used)]
    print(f"| a run of one round, as a multiple of torch | {spread(times[0])} | {spread(times[1][1:])} |")


def processor_seconds() -> float:
    """Of all processes that have ended, started here or by them."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
