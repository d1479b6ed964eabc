"""Write tiny CIFAR-10 batches, binary and pickled."""

import struct

from data_files import pixels

NAMES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


IMAGES = pixels(12, 3, 32, 32)


LABELS = [0, 9, 1, 8, 2, 7, 3, 6, 4, 5, 5, 0]  # two a batch


def write_binary(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for batch, name in enumerate(NAMES):
        rows = [bytes([LABELS[row]]) + IMAGES[row].tobytes() for row in (2 * batch, 2 * batch + 1)]
        (folder / f"{name}.bin").write_bytes(b"".join(rows))
    return folder


def text(value):
    """Return a Python 2 string in a pickle of protocol 2 (opcode BINSTRING)."""
    return b"T" + struct.pack("<i", len(value)) + value


def number(value):
    return b"J" + struct.pack("<i", value)


def python2(data, labels):
    """Return Python 2's pickle: {'batch_label': str, 'labels': list, 'data': array (N, 3072), 'filenames': list}."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n"
        + b"(cnumpy\nndarray\n" + number(0) + b"\x85" + text(b"b") + b"tR"
        + b"(" + number(1) + number(data.shape[0]) + number(data.shape[1]) + b"\x86"
        + b"cnumpy\ndtype\n(" + text(b"u1") + number(0) + number(1) + b"tR"
        + b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
        + b"\x89" + text(data.tobytes()) + b"tb"
    )  # fmt: skip
    listed = b"](" + b"".join(map(number, labels)) + b"e"
    items = text(b"batch_label") + text(b"batch 1 of 5") + text(b"labels") + listed + text(b"data") + array
    return b"\x80\x02}(" + items + text(b"filenames") + b"](" + text(b"a.png") + b"eu."


def write_python(folder, write=python2):
    folder.mkdir(parents=True, exist_ok=True)
    for batch, name in enumerate(NAMES):
        rows = slice(2 * batch, 2 * batch + 2)
        (folder / name).write_bytes(write(IMAGES[rows].reshape(2, 3072), LABELS[rows]))
    return folder
