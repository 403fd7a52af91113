"""What a process does to itself before it touches a hostile text; run as ``python -I -S confine.py SPEC COMMAND...``.

Standard library only, and nothing of this package: the process that runs it has no path to one. ``SPEC`` is JSON:
``cpu`` seconds, ``memory`` and ``file`` bytes, ``read`` and ``write`` folders.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import struct
import sys

_X86 = platform.machine().lower() in ("x86_64", "amd64")
_ARCHITECTURE = 0xC000003E if _X86 else 0xC00000B7
# Numbers of system calls: x86-64 and the table that arm64 shares with newer processors.
_CALLS = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "madvise": (28, 233), "mremap": (25, 216),
    "nanosleep": (35, 101), "getpid": (39, 172), "exit": (60, 93), "sigaltstack": (131, 132), "gettid": (186, 178),
    "futex": (202, 98), "clock_gettime": (228, 113), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "set_robust_list": (273, 99), "clone": (56, 220), "clone3": (435, 435), "rseq": (334, 293),
    "getrandom": (318, 278), "sched_yield": (24, 124), "restart_syscall": (219, 128), "tgkill": (234, 131),
    "rt_tgsigqueueinfo": (297, 240), "prctl": (157, 167), "sched_getaffinity": (204, 123), "membarrier": (324, 283),
    "gettimeofday": (96, 169), "writev": (20, 66), "readv": (19, 65),
}  # fmt: skip
_OPEN = {"openat": (257, 56), "newfstatat": (262, 79), "pread64": (17, 67)}
_SOCKETS = {
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "sendto": (44, 206),
    "io_uring_setup": (425, 425), "ptrace": (101, 117), "process_vm_writev": (311, 271), "bpf": (321, 280),
    "keyctl": (250, 219), "userfaultfd": (323, 282), "perf_event_open": (298, 241), "mount": (165, 40),
    "unshare": (272, 97), "setns": (308, 268),
}  # fmt: skip
_ALLOW, _DENY, _KILL = 0x7FFF0000, 0x00050001, 0x80000000  # DENY: the call fails with EPERM


class ConfinementError(OSError):
    """The kernel of this machine does not give what was asked of it."""


def within(limits: tuple[int, int], value: int) -> tuple[int, int]:
    """The limits that ``value`` asks for where ``limits`` are in force, which a process may only lower."""
    now = limits[0]
    least = value if now == resource.RLIM_INFINITY else min(value, now)
    return least, least


def limits(cpu: int = 0, memory: int = 0, file: int = 0) -> None:
    """Processor seconds, bytes of memory, bytes of a file; no core dump. Lower ones that are in force stay."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, value in ((resource.RLIMIT_CPU, cpu), (resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, file)):
        if value:
            resource.setrlimit(kind, within(resource.getrlimit(kind), value))


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG: ends with its parent
    if libc.prctl(38, 1, 0, 0, 0) != 0:  # PR_SET_NO_NEW_PRIVS
        raise ConfinementError(ctypes.get_errno(), "no_new_privs is not given")
    return libc


def landlock(read: list[str], write: list[str]) -> bool:
    """Files: only those in these folders. False where the kernel has no Landlock."""
    libc = _libc()
    version = libc.syscall(444, None, 0, 1)
    if version < 1:
        return False
    every = (1 << {1: 13, 2: 14}.get(version, 15)) - 1
    execute_and_read = 1 | 4 | 8  # a file run, a file read, a folder listed
    rules = ctypes.create_string_buffer(struct.pack("<Q", every))
    ruleset = libc.syscall(444, rules, 8, 0)
    if ruleset < 0:
        return False
    for folders, access in ((read, execute_and_read), (write, every)):
        for folder in folders:
            fd = os.open(folder, os.O_PATH | os.O_CLOEXEC)
            allowed = access if os.path.isdir(folder) else access & (1 | 2 | 4)
            rule = ctypes.create_string_buffer(struct.pack("<Qi", allowed, fd))
            failed = libc.syscall(445, ruleset, 1, rule, 0)
            os.close(fd)
            if failed:
                raise ConfinementError(ctypes.get_errno(), f"Landlock takes no rule for {folder}")
    if libc.syscall(446, ruleset, 0):
        return False
    os.close(ruleset)
    return True


def _instruction(code: int, yes: int, no: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value & 0xFFFFFFFF)


def _install(program: list[bytes]) -> None:
    code = ctypes.create_string_buffer(b"".join(program))
    header = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(code)))
    if _libc().prctl(22, 2, header, 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        raise ConfinementError(ctypes.get_errno(), "the kernel takes no seccomp filter")


def _head() -> list[bytes]:
    """Kills a process of another architecture (x32 among them); then the call's number is loaded."""
    head = [
        _instruction(0x20, 0, 0, 4),
        _instruction(0x15, 1, 0, _ARCHITECTURE),
        _instruction(0x06, 0, 0, _KILL),
        _instruction(0x20, 0, 0, 0),
    ]
    return [*head, _instruction(0x35, 0, 1, 0x40000000), _instruction(0x06, 0, 0, _KILL)] if _X86 else head


def _number(pair: tuple[int, int]) -> int:
    return pair[0] if _X86 else pair[1]


def no_network() -> None:
    """No sockets, and no calls into other processes; for the compiler."""
    program = _head()
    for pair in _SOCKETS.values():
        program += [_instruction(0x15, 0, 1, _number(pair)), _instruction(0x06, 0, 0, _DENY)]
    _install([*program, _instruction(0x06, 0, 0, _ALLOW)])


def only_computing(may_open: bool) -> None:
    """Memory, time, threads and pipes that are open; with ``may_open`` files may be opened to read. All else fails."""
    program = _head()
    own = os.getpid()
    for name, pair in _CALLS.items():
        number = _number(pair)
        if name in ("tgkill", "rt_tgsigqueueinfo"):  # to itself only
            program += [
                _instruction(0x15, 0, 4, number),
                _instruction(0x20, 0, 0, 16),
                _instruction(0x15, 1, 0, own),
                _instruction(0x06, 0, 0, _DENY),
                _instruction(0x06, 0, 0, _ALLOW),
            ]
        elif name == "clone":  # threads only
            program += [
                _instruction(0x15, 0, 4, number),
                _instruction(0x20, 0, 0, 16),
                _instruction(0x45, 1, 0, 0x10000),
                _instruction(0x06, 0, 0, _DENY),
                _instruction(0x06, 0, 0, _ALLOW),
            ]
        elif name == "clone3":  # its flags are behind a pointer: the C library then falls back to clone
            program += [_instruction(0x15, 0, 1, number), _instruction(0x06, 0, 0, 0x00050026)]
        else:
            program += [_instruction(0x15, 0, 1, number), _instruction(0x06, 0, 0, _ALLOW)]
    if may_open:
        for name, pair in _OPEN.items():
            if name == "openat":  # not to write, nor to create
                program += [
                    _instruction(0x15, 0, 4, _number(pair)),
                    _instruction(0x20, 0, 0, 32),
                    _instruction(0x45, 0, 1, os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | 0o20000000),
                    _instruction(0x06, 0, 0, _DENY),
                    _instruction(0x06, 0, 0, _ALLOW),
                ]
            else:
                program += [_instruction(0x15, 0, 1, _number(pair)), _instruction(0x06, 0, 0, _ALLOW)]
    _install([*program, _instruction(0x06, 0, 0, _DENY)])


def main() -> None:
    """Confines this process and becomes ``COMMAND``, without an environment."""
    spec = json.loads(sys.argv[1])
    landlock(spec["read"], spec["write"])
    no_network()
    limits(spec["cpu"], spec["memory"], spec["file"])
    os.execve(sys.argv[2], sys.argv[2:], {})


if __name__ == "__main__":
    main()
