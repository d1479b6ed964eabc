"""A user's own matrices: every layout, every wrong file in one line, and none of them copied whole or changed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from gradskew.core.errors import InputError
from gradskew.skew.matrices import read_matrix, with_front

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4) / 7


def test_npy_and_safetensors_are_the_same_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", ROWS)
    save_file({"updates": ROWS}, tmp_path / "rows.safetensors")
    for name in ("rows.npy", "rows.safetensors"):
        read = read_matrix(tmp_path / name)
        assert read.dtype == torch.float32
        assert (read.numpy() == ROWS).all()
    np.save(tmp_path / "double.npy", ROWS.astype(np.float64))
    assert read_matrix(tmp_path / "double.npy").dtype == torch.float64


@pytest.mark.parametrize(("old", "new"), [(b"(3, 4)", b"(3, 4 "), (b"<f4", b",f4")], ids=["open bracket", "no type"])
def test_a_header_that_numpy_cannot_parse_is_one_line(old: bytes, new: bytes, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", ROWS)
    content = (tmp_path / "rows.npy").read_bytes()
    (tmp_path / "rows.npy").write_bytes(content.replace(old, new))
    with pytest.raises(InputError, match="is damaged, or not what its name says"):
        read_matrix(tmp_path / "rows.npy")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_16_bit_floats_become_float32(kind: torch.dtype, tmp_path: Path) -> None:
    rows = torch.from_numpy(ROWS).to(kind)
    save_torch({"a": rows}, tmp_path / "rows.safetensors")
    read = read_matrix(tmp_path / "rows.safetensors")
    assert read.dtype == torch.float32
    assert torch.equal(read, rows.float())
    if kind == torch.float16:
        np.save(tmp_path / "rows.npy", rows.numpy())
        assert torch.equal(read_matrix(tmp_path / "rows.npy"), rows.float())


def test_counters_are_left_out(tmp_path: Path) -> None:
    """A model with batch norm: its statistics are floats, its counters and masks no part of an update."""
    (tmp_path / "clients").mkdir()
    for number, row in enumerate(ROWS):
        counters = {"bn.num_batches_tracked": np.array(number), "mask": np.array([True]), "steps": np.uint8([3])}
        save_file({"w": row[:3], "bn.mean": row[3:], **counters}, tmp_path / "clients" / f"{number}.safetensors")
    read = read_matrix(tmp_path / "clients")
    assert read.dtype == torch.float32
    assert np.array_equal(read.numpy(), ROWS[:, [3, 0, 1, 2]]), "in the order of the names: bn.mean, w"
    save_file({"updates": ROWS, "round": np.array(7)}, tmp_path / "rows.safetensors")
    assert np.array_equal(read_matrix(tmp_path / "rows.safetensors").numpy(), ROWS)


def test_fortran_order_and_odd_offsets_are_read_right(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.asfortranarray(ROWS))
    assert (read_matrix(tmp_path / "rows.npy").numpy() == ROWS).all()
    header = b'{"a":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]}}'
    header += b" " * (1 - (8 + len(header)) % 2)  # an offset that is not a multiple of 4
    odd = tmp_path / "odd.safetensors"
    odd.write_bytes(len(header).to_bytes(8, "little") + header + ROWS.tobytes())
    assert (read_matrix(odd).numpy() == ROWS).all()


def test_a_folder_has_a_row_per_file_in_natural_order(tmp_path: Path) -> None:
    for client, row in ((10, 2), (2, 1), (1, 0)):
        np.save(tmp_path / f"client{client}.npy", ROWS[row].reshape(2, 2))
    (tmp_path / ".hidden").write_text("x")
    assert (read_matrix(tmp_path).numpy() == ROWS).all()


def test_tensors_of_a_client_follow_their_names(tmp_path: Path) -> None:
    for client in range(3):
        parts = {"weight": ROWS[client, 1:].reshape(3, 1), "bias": ROWS[client, :1]}
        save_file(
            {key: np.ascontiguousarray(value) for key, value in parts.items()}, tmp_path / f"{client}.safetensors"
        )
    assert (read_matrix(str(tmp_path)).numpy() == ROWS).all()
    save_torch({"bias": torch.ones(1).bfloat16(), "weight": torch.ones(3, 1)}, tmp_path / "3.safetensors")
    with pytest.raises(InputError, match=r"3.safetensors differs from 0.safetensors: bias \(1,\) <u2"):
        read_matrix(tmp_path)


def test_mixed_kinds_within_a_client_become_float32(tmp_path: Path) -> None:
    tensors = {"a": torch.tensor([0.5, 3.0]).bfloat16(), "b": torch.tensor([[1.25]]), "c": torch.zeros(0)}
    save_torch(tensors, tmp_path / "0.safetensors")
    save_torch(tensors, tmp_path / "1.safetensors")
    assert read_matrix(tmp_path).tolist() == [[0.5, 3.0, 1.25]] * 2


def wrong(folder: Path) -> dict[str, str]:
    """Files that cannot be taken, and a word of the reason."""
    np.save(folder / "flat.npy", ROWS[0])
    np.save(folder / "cube.npy", ROWS.reshape(3, 2, 2))
    np.save(folder / "none.npy", ROWS[:0])
    np.save(folder / "thin.npy", ROWS[:, :0])
    np.save(folder / "whole.npy", ROWS.astype(int))
    np.save(folder / "complex.npy", ROWS.astype(complex))
    np.save(folder / "big.npy", ROWS.astype(">f4"))
    np.save(folder / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    (folder / "cut.npy").write_bytes((folder / "whole.npy").read_bytes()[:150])
    (folder / "empty.npy").write_bytes(b"")
    (folder / "text.npy").write_text("1 2 3")
    save_file({"a": ROWS, "b": ROWS}, folder / "two.safetensors")
    save_file({}, folder / "nothing.safetensors")
    save_file({"a": ROWS.astype(int)}, folder / "ints.safetensors")
    (folder / "cut.safetensors").write_bytes((folder / "two.safetensors").read_bytes()[:-8])
    (folder / "huge.safetensors").write_bytes(b"\xff" * 64)
    for suffix in ("pt", "pth", "bin", "ckpt", "pkl", "npz", "csv"):
        (folder / f"rows.{suffix}").write_bytes(b"x")
    (folder / "empty").mkdir()
    (folder / "foreign").mkdir()
    np.save(folder / "foreign" / "0.npy", ROWS[0])
    (folder / "foreign" / "notes.txt").write_text("x")
    return {
        "flat.npy": r"shape \(4,\)",
        "cube.npy": r"shape \(3, 2, 2\)",
        "none.npy": r"shape \(0, 4\)",
        "thin.npy": r"shape \(3, 0\)",
        "whole.npy": "holds <i8",
        "complex.npy": "holds <c16",
        "big.npy": "holds >f4",
        "object.npy": "damaged, or not what",
        "cut.npy": "damaged, or not what",
        "empty.npy": "damaged, or not what",
        "text.npy": "damaged, or not what",
        "two.safetensors": r"holds 2 tensors \('a', 'b'",
        "nothing.safetensors": "no tensor",
        "ints.safetensors": "holds no tensor of floating-point numbers",
        "cut.safetensors": "damaged, or not what",
        "huge.safetensors": "damaged, or not what",
        "rows.pt": "run code",
        "rows.pth": "run code",
        "rows.bin": "run code",
        "rows.ckpt": "run code",
        "rows.pkl": r"numpy.save or safetensors",
        "rows.npz": "cannot be mapped",
        "rows.csv": "neither .npy nor .safetensors",
        "empty": "is empty",
        "foreign": "notes.txt' is neither",
        "missing.npy": "No such file",
        "missing": "neither .npy",
    }


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for name, words in wrong(tmp_path).items():
        with pytest.raises(InputError, match=words) as raised:
            read_matrix(tmp_path / name)
        assert "\n" not in str(raised.value), name


@pytest.mark.parametrize("limit", [1 << 30, 0])
def test_rows_are_put_in_front(limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradskew.skew.matrices.IN_MEMORY", limit)
    monkeypatch.setattr("gradskew.skew.matrices.STRIP", 3)
    np.save(tmp_path / "rows.npy", ROWS)
    before = (tmp_path / "rows.npy").read_bytes()
    rows = read_matrix(tmp_path / "rows.npy")
    front = torch.full((1, 4), 9.0).expand(2, 4)
    both = with_front(front, rows)
    assert torch.equal(both, torch.cat([front, rows]))
    both[:] = 0  # a matrix of its own
    assert (rows.numpy() == ROWS).all()
    assert (tmp_path / "rows.npy").read_bytes() == before
    with pytest.raises(InputError, match="columns"):
        with_front(torch.ones(1, 3), rows)


MEASURED = """
import sys
import torch
import gradskew as gs
from gradskew.skew import read_matrix
from gradskew.skew import measure
rows = read_matrix(sys.argv[1])
def anonymous(name="RssAnon"):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))
small = torch.randn(len(rows), (1 << 24) // len(rows))  # wide enough for the compiled kernels: the compiler is no copy
def work(rows):
    measure(rows)
    gs.attacks.make("strike")(rows[2:], rows[:2])
    for name in ("multikrum", "nnm+rfa", "median"):
        gs.aggregators.make(name)(rows, f=2)
work(small)
import threading
peak, done = [0], threading.Event()
def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], anonymous())
before = anonymous()
watcher = threading.Thread(target=watch)
watcher.start()
work(rows)
done.set()
watcher.join()
print(peak[0] - before)
"""


@pytest.mark.processes
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see the memory of a process")
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_mapped_matrix_is_never_copied_whole(kind: type, tmp_path: Path) -> None:
    """200 MB or more: what is allocated beside the mapping stays below half of it. The aggregates are 1/16 each."""
    n, d = 16, 3_200_000
    path = tmp_path / "rows.npy"
    made = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(n, d))
    rng = np.random.Generator(np.random.PCG64(0))
    for row in made:
        row[:] = rng.standard_normal(d, dtype=kind)
    made.flush()
    size = path.stat().st_size // 1024
    del made
    done = subprocess.run([sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < size / 2
