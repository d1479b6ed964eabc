"""The place in a user's code that messages end with."""

import re


def without_places(text: str) -> str:
    """Return a text without places such as ` (rules.py, line 7)`."""
    return re.sub(r" \(\w+\.py, line \d+\)", "", text)
