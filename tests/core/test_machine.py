"""Cores and memory, as control groups leave them; every file below is written by hand."""

import os
import platform
import subprocess
import sys

import pytest

from gradskew.core.machine import Memory, cores, memory

MEMINFO = "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 600 kB\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A root folder with these files, on a machine of 8 cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def make(**files):
        for name, text in {"proc/meminfo": MEMINFO, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


def test_without_control_groups(machine):
    assert cores(machine()) == 8
    assert memory(machine()) == Memory(1_024_000, 614_400)


def test_a_system_that_does_not_tell(tmp_path):
    assert memory(tmp_path) is None
    assert cores(tmp_path) >= 1


@pytest.mark.parametrize("text", ["", "MemTotal:\n", "MemTotal: many kB\n", "\0"])
def test_a_system_that_talks_nonsense(machine, text):
    assert memory(machine(**{"proc/meminfo": text})) is None


@pytest.mark.parametrize(
    ("quota", "wanted"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("9900000 100000", 8),
        ("x", 8),
    ],
)
def test_quota_of_version_2(machine, quota, wanted):
    root = machine(**{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": quota})
    assert cores(root) == wanted


def test_the_least_of_the_groups_around_counts(machine):
    group = "sys/fs/cgroup/user/job"
    root = machine(
        **{
            "proc/self/cgroup": "0::/user/job\n",
            "sys/fs/cgroup/user/cpu.max": "300000 100000",
            f"{group}/cpu.max": "max 100000",
            f"{group}/memory.max": "max\n",
            f"{group}/memory.current": "7\n",
            "sys/fs/cgroup/user/memory.max": "500000\n",
            "sys/fs/cgroup/user/memory.current": "450000\n",
            "sys/fs/cgroup/user/memory.stat": "anon 1\ninactive_file 20000\n",
        }
    )
    assert cores(root) == 3
    assert memory(root) == Memory(500_000, 70_000)  # 500,000 - 450,000 + 20,000


def test_version_1_named_from_outside_the_container(machine):
    root = machine(
        **{
            "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "400000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "500000\n",
            "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 0\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        }
    )
    assert cores(root) == 4
    assert memory(root) == Memory(400_000, 0)


def test_version_1_without_a_limit(machine):
    root = machine(
        **{
            "proc/self/cgroup": "5:memory:/\n4:cpu:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1\n",
            "sys/fs/cgroup/memory/memory.stat": "",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        }
    )
    assert cores(root) == 8
    assert memory(root) == Memory(1_024_000, 614_400)


FREED = """
import torch
from gradskew.core.machine import peak, reset_peak, resident
blocks = [torch.ones(20_000) for _ in range(2500)]  # 200 MB
last = blocks.pop()  # above them in memory
held = resident()
del blocks
reset_peak()
print(held - resident(), held - peak())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others give it back themselves, or never")
@pytest.mark.processes
def test_what_was_freed_goes_back_before_a_peak_is_counted():
    done = subprocess.run([sys.executable, "-c", FREED], stdout=subprocess.PIPE, text=True, check=True)
    assert all(int(word) > 150e6 for word in done.stdout.split())
