"""Data sets from the Hugging Face hub, where there is a network."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import InputError


def fetch(name: str) -> Path:
    """The folder with the parquet files of the hub's data set `owner/name` or `owner/name/folder`."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise InputError("a download needs the package huggingface_hub: pip install 'gradskew[hub]'") from None
    owner, repository, *inside = name.split("/")
    pattern = "/".join([*inside, "*.parquet"])
    try:
        folder = snapshot_download(f"{owner}/{repository}", repo_type="dataset", allow_patterns=[pattern])
    except Exception as error:  # the hub's own, the network library's, the system's
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise InputError(f"cannot download {owner}/{repository} from the Hugging Face hub: {reason}") from None
    found = Path(folder, *inside)
    if next(found.rglob("*.parquet"), None) is None:
        raise InputError(f"the Hugging Face hub has no parquet files in {name}: get the data another way")
    return found
