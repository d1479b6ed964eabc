"""Write tiny files in the layout of LEAF's FEMNIST."""

import json


def rows(writer, count, *, first=0):
    """Return LEAF's entry of a writer: image k has the constant (7 * writer + k) / 255 and the label first + k."""
    return {"x": [[(7 * writer + k) / 255] * 784 for k in range(count)], "y": [first + k for k in range(count)]}


def write_leaf(path, writers):
    path.parent.mkdir(parents=True, exist_ok=True)
    counts = [len(data["y"]) for data in writers.values()]
    path.write_text(json.dumps({"users": list(writers), "num_samples": counts, "user_data": writers}))
    return path
