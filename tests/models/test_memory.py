"""A container's limit of memory counts, not the machine's memory, wherever control groups tell it."""

import os

import pytest

import voxtral_kernels as vk
from voxtral_kernels.models import machines, memory
from voxtral_kernels.models.machines import Machine

NONE = "9223372036854771712"  # version 1's word for it


def tree(tmp_path, membership, files):
    """A process's groups: the text of /proc/self/cgroup, and what lies under /sys/fs/cgroup."""
    (tmp_path / "membership").write_text(membership)
    groups = tmp_path / "groups"
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text + "\n")
    return tmp_path / "membership", groups


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"memory.max": "1000"}, 1000),
        ("0::/\n", {"memory.max": "max"}, 0),
        ("0::/a/b\n", {"memory.max": "max", "a/memory.max": "500", "a/b/memory.max": "900"}, 500),
        ("0::/a/b\n", {"a/memory.max": "max", "a/b/memory.max": "900"}, 900),
        ("0::/a:b/c\n", {"a:b/c/memory.max": "7"}, 7),
        ("4:memory:/a\n0::/\n", {"memory/memory.limit_in_bytes": NONE, "memory/a/memory.limit_in_bytes": "300"}, 300),
        (
            "4:cpu,memory:/docker/1\n",
            {"memory/memory.limit_in_bytes": "400"},
            400,
        ),  # the mount is the container's group
        ("4:memory:/a\n0::/a\n", {"memory/a/memory.limit_in_bytes": "300", "a/memory.max": "200"}, 200),
        ("4:cpu:/a\n", {"cpu/a/memory.limit_in_bytes": "300", "memory/memory.limit_in_bytes": "300"}, 0),
        ("0::/../b\n", {"memory.max": "600"}, 600),  # a group outside of the container's
        ("0::/\n", {"memory.max": "not a number"}, 0),
        ("0::/\n", {"memory.max": "0"}, 0),
        ("nonsense\n\n", {"memory.max": "5"}, 0),
        ("", {"memory.max": "5"}, 0),
    ],
)
def test_limits(tmp_path, membership, files, expected):
    assert memory.container_memory(*tree(tmp_path, membership, files)) == expected


def test_nothing_outside_of_the_groups_is_read(tmp_path):
    membership, groups = tree(tmp_path, "0::/../..\n", {"memory.max": "600"})
    (tmp_path / "memory.max").write_text("1")
    assert memory.container_memory(membership, groups) == 600


def test_a_system_without_groups(tmp_path):
    assert memory.container_memory(tmp_path / "none", tmp_path) == 0


def test_the_less_of_machine_and_container_counts(monkeypatch):
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit, expected in ((0, physical), (physical + 1, physical), (physical // 2, physical // 2)):
        monkeypatch.setattr(memory, "container_memory", lambda limit=limit: limit)
        assert memory.total_memory() == expected


@pytest.mark.fault("models: slots were counted by the machine's memory, in a container that may have less")
def test_slots_are_refused_by_the_containers_limit(tiny, monkeypatch):
    if machines.mx.metal.is_available():
        pytest.skip("a GPU tells its memory by itself")
    vk.Batch(tiny, 8).close()
    monkeypatch.setattr(memory, "container_memory", lambda: machines.WORKING_BYTES + (1 << 26))
    assert Machine.this().memory == machines.WORKING_BYTES + (1 << 26)
    with pytest.raises(
        ValueError, match=r"^\[batch\] slots: expected at most \d+: a stream takes up to .* that there are"
    ):
        vk.Batch(tiny, 1024)
