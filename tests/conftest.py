"""What holds for all tests. Hypothesis: no deadlines (machines differ), the same examples in every run."""

import signal
from collections.abc import Iterator

import pytest
from command import Outcome
from hypothesis import HealthCheck, settings

from gradskew.cli import main

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script: what tests start inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile(
    "stable", max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile("stable")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the user's cache of data sets; processes that a test starts inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADSKEW_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


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
