"""Data sets of the Hugging Face hub: downloads of parquet files, and what the library `datasets` loads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import InputError, check
from ..core.importing import import_extra, one_line

COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT = 10.0  # seconds until the hub counts as out of reach


def fetch(name: str) -> Path:
    """Download the parquet files of the hub's data set `owner/name` or `owner/name/folder` and return their folder.

    InputError if that fails, or if the data set has no parquet files.
    """
    snapshot_download = import_extra("huggingface_hub", "hub", "a download").snapshot_download
    owner, repository, *subfolders = name.split("/")
    pattern = "/".join([*subfolders, "*.parquet"])
    try:
        root = snapshot_download(f"{owner}/{repository}", repo_type="dataset", allow_patterns=[pattern])
    except Exception as error:  # of the hub, the network library or the operating system
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise InputError(f"cannot download {owner}/{repository} from the Hugging Face hub: {reason}") from None
    folder = Path(root, *subfolders)
    if next(folder.rglob("*.parquet"), None) is None:
        raise InputError(f"the Hugging Face hub has no parquet files in {name}: get the data another way")
    return folder


def load(name: str, config: str | None, revision: str | None) -> Mapping[str, Any]:
    """Return the parts of the hub's data set `owner/name` by name, each a `datasets.Dataset`.

    Where the hub is out of reach, of what was downloaded before. InputError if there is neither, and for a data set, a
    revision or a configuration that the hub does not have.
    """
    datasets = import_extra("datasets", "hf", "it")
    given, reason = [name, *filter(None, [config])], _out_of_reach(name, revision)
    offline = datasets.config.HF_HUB_OFFLINE
    try:
        datasets.config.HF_HUB_OFFLINE = offline or bool(reason)  # else each file is asked for again, for half a minute
        with one_line_errors(name, ConnectionError):
            parts: Mapping[str, Any] = datasets.load_dataset(*given, revision=revision, keep_in_memory=False)
    except ConnectionError:
        saved = f"datasets.load_dataset({', '.join(map(repr, given))}).save_to_disk('FOLDER')"
        there = f'where it can be reached, python -c "import datasets; {saved}" writes a folder that hf:FOLDER reads'
        neither = f"cannot reach the Hugging Face hub ({reason}), and {name} was not downloaded before"
        raise InputError(f"{neither}: {there}") from None
    finally:
        datasets.config.HF_HUB_OFFLINE = offline
    read = commit(Path(file["filename"]) for part in parts.values() for file in part.cache_files)
    if revision is not None and read != revision:  # a branch and a tag are names of commits that only the hub knows
        unlike = f"revision={revision} of {name} cannot be had, and {read or 'another one'} was downloaded before"
        check(not reason, f"{unlike}: {reason}")
        check(not (read and COMMIT.fullmatch(revision)), unlike)
    return parts


def commit(files: Iterable[Path]) -> str:
    """Return the commit of the hub that Arrow files of `datasets` hold, by the name of their folder; "" for another."""
    names = {path.parent.name for path in files}
    return "".join(names) if len(names) == 1 and all(map(COMMIT.fullmatch, names)) else ""


def _out_of_reach(name: str, revision: str | None) -> str:
    """Return why the hub cannot be reached, "" if it can; InputError if it has no such data set or revision."""
    import huggingface_hub
    from huggingface_hub import errors

    try:
        huggingface_hub.HfApi().dataset_info(name, revision=revision, timeout=TIMEOUT)
    except errors.RevisionNotFoundError:
        raise InputError(f"{name} has no revision {revision!r} on the Hugging Face hub") from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        shown = f"the Hugging Face hub has no data set {name!r} that it shows you"
        raise InputError(f"{shown}: hf:OWNER/NAME, and `hf auth login` for one that is private") from None
    except Exception as error:  # of the network library, whichever it is
        return one_line(error)
    return ""


@contextmanager
def one_line_errors(name: str, *others: type[Exception]) -> Iterator[None]:
    """Raise what `datasets` raises in the block as an InputError, but errors of the types `others` as they are."""
    try:
        yield
    except others:
        raise
    except Exception as error:  # of any type
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        named = " (config=NAME names a configuration)" if "onfig" in reason else ""
        raise InputError(f"cannot load {name}: {reason}{named}") from None
