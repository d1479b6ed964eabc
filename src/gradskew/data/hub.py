"""Downloads of data sets from the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import InputError
from ..core.importing import pip_install


def fetch(name: str) -> Path:
    """Download the parquet files of the hub's data set `owner/name` or `owner/name/folder` and return their folder.

    InputError if that fails, or if the data set has no parquet files.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise InputError(f"a download needs the package huggingface_hub: {pip_install('gradskew[hub]')}") from None
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
