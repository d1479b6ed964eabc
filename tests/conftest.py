"""What holds for all tests. Hypothesis: no deadlines (machines differ), the same examples in every run.

`--hypothesis-profile thorough` draws more of them: `make test-all`.
"""

import os
import shutil
import signal
from collections.abc import Iterator
from typing import BinaryIO

import pytest
from command import Outcome
from hypothesis import HealthCheck, settings
from matplotlib.figure import Figure
from matplotlib.text import Text

from gradskew.cli import main

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run beside each other: further threads would wait in loops
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script: what tests start inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)
for profile, examples in {"brief": 10, "thorough": 15}.items():
    settings.register_profile(
        profile, max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
settings.load_profile("brief")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the user's cache of data sets; processes that a test starts inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADSKEW_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Chromium, without a network."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'gradskew[dev]'")
    if not CHROMIUM:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def pictures_as_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A saved figure is its texts: for tests of commands that write pictures beside what is tested.

    Drawing them, and the fonts of a PDF, take most of the time of such a command.
    """

    def save(figure: Figure, file: BinaryIO, **options: object) -> None:
        file.write("\n".join(text.get_text() for text in figure.findobj(Text)).encode())

    monkeypatch.setattr(Figure, "savefig", save)


@pytest.fixture
def identity() -> None:
    """Flower makes messages only in a process that belongs to a run."""
    try:
        from flwr.supercore.task_identity import TaskIdentity
    except ImportError:  # an older one asks for none
        return
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1


@pytest.fixture
def call(capsys):
    """Run a command line in this process."""

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Outcome(caught.value.code, out, err)

    return run
