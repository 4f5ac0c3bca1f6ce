"""What a walled-in process may ask of the kernel: a filter of system calls, for x86_64 and aarch64.

`make_filter(machine, threads=…, room=…)` is the program that seccomp runs at each call. What is not listed is
refused: sockets, other processes, signals to them, mounts, tracing, rights and owners of files.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Mapping, Sequence

# (x86_64, aarch64); None where a machine has no such call.
_PLAIN: Mapping[str, tuple[int | None, int | None]] = {
    "access": (21, None), "alarm": (37, None), "arch_prctl": (158, None), "brk": (12, 214),
    "chdir": (80, 49), "clock_getres": (229, 114), "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115), "close": (3, 57), "close_range": (436, 436),
    "copy_file_range": (326, 285), "creat": (85, None), "dup": (32, 23), "dup2": (33, None),
    "dup3": (292, 24), "epoll_create": (213, None), "epoll_create1": (291, 20), "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22), "epoll_pwait2": (441, 441), "epoll_wait": (232, None), "eventfd2": (290, 19),
    "exit": (60, 93), "exit_group": (231, 94), "faccessat": (269, 48), "faccessat2": (439, 439),
    "fchdir": (81, 50), "fdatasync": (75, 83), "flock": (73, 32), "fstat": (5, 80), "fsync": (74, 82),
    "ftruncate": (77, 46), "futex": (202, 98), "getcpu": (309, 168), "getcwd": (79, 17),
    "getdents": (78, None), "getdents64": (217, 61), "getegid": (108, 177), "geteuid": (107, 175),
    "getgid": (104, 176), "getgroups": (115, 158), "getitimer": (36, 102), "getpgid": (121, 155),
    "getpgrp": (111, None), "getpid": (39, 172), "getppid": (110, 173), "getpriority": (140, 141),
    "getrandom": (318, 278), "getresgid": (120, 150), "getresuid": (118, 148), "getrlimit": (97, 163),
    "getrusage": (98, 165), "getsid": (124, 156), "getsockname": (51, 204), "getsockopt": (55, 209),
    "gettid": (186, 178), "gettimeofday": (96, 169), "getuid": (102, 174), "lseek": (8, 62),
    "lstat": (6, None), "madvise": (28, 233), "membarrier": (324, 283), "mkdir": (83, None),
    "mkdirat": (258, 34), "mmap": (9, 222), "mprotect": (10, 226), "mremap": (25, 216),
    "msync": (26, 227), "munmap": (11, 215), "nanosleep": (35, 101), "newfstatat": (262, 79),
    "open": (2, None), "openat": (257, 56), "pause": (34, None), "pipe": (22, None), "pipe2": (293, 59),
    "poll": (7, None), "ppoll": (271, 73), "pread64": (17, 67), "preadv": (295, 69),
    "pselect6": (270, 72), "pwrite64": (18, 68), "pwritev": (296, 70), "read": (0, 63),
    "readlink": (89, None), "readlinkat": (267, 78), "readv": (19, 65), "recvfrom": (45, 207),
    "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "restart_syscall": (219, 128),
    "rmdir": (84, None), "rseq": (334, 293), "rt_sigaction": (13, 134), "rt_sigpending": (127, 136),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137), "sched_getaffinity": (204, 123), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "sched_yield": (24, 124), "select": (23, None),
    "sendfile": (40, 71), "set_robust_list": (273, 99), "set_tid_address": (218, 96),
    "setitimer": (38, 103), "shutdown": (48, 210), "sigaltstack": (131, 132), "stat": (4, None),
    "statx": (332, 291), "symlink": (88, None), "symlinkat": (266, 36), "sysinfo": (99, 179),
    "time": (201, None), "times": (100, 153), "umask": (95, 166), "uname": (63, 160),
    "unlink": (87, None), "unlinkat": (263, 35), "wait4": (61, 260), "waitid": (247, 95),
    "write": (1, 64), "writev": (20, 66),
}  # fmt: skip
# Rights, times and lengths of files: for who has none but its own in reach.
_OF_FILES: Mapping[str, tuple[int | None, int | None]] = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "truncate": (76, 45),
    "utime": (132, None), "utimensat": (280, 88), "utimes": (235, None),
}  # fmt: skip
_SPECIAL: Mapping[str, tuple[int, int]] = {
    "clone": (56, 220), "clone3": (435, 435), "fcntl": (72, 25), "ioctl": (16, 29), "prctl": (157, 167),
    "listxattr": (194, 11), "llistxattr": (195, 12), "prlimit64": (302, 261), "sendto": (44, 206),
    "socketpair": (53, 199),
}  # fmt: skip
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

# Neither owners of descriptors, which are sent signals, nor the sizes of pipes.
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX.
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# The name of a thread, and of a piece of memory.
_PRCTL = (15, 16, 0x53564D41)
_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020080
_AF_UNIX, _SOCK_STREAM, _SOCK_KINDS = 1, 1, 0xF
_LAST_KNOWN = 470
"""Calls after it are of newer kernels: whoever tries them knows that they may be missing."""

_LOAD, _AND = 0x20, 0x54
_EQUAL, _ABOVE, _ANY_BIT = 0x15, 0x25, 0x45
_RETURN = 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000

_Step = tuple[int, int, int, int]


def knows(machine: str) -> bool:
    """Whether there is a filter for a machine."""
    return machine in _MACHINES


def number_of(call: str, machine: str) -> int | None:
    """The number of a call that may be allowed, on a machine."""
    return {**_PLAIN, **_OF_FILES, **_SPECIAL}[call][_MACHINES[machine][1]]


def calls() -> list[str]:
    """The calls that are allowed, or some uses of them."""
    return sorted({**_PLAIN, **_OF_FILES, **_SPECIAL})


def make_filter(machine: str, *, threads: bool, room: bool) -> bytes:
    """The filter as seccomp takes it: with threads or not, for who has room of its own to write to or not."""
    return b"".join(struct.pack("HBBI", *step) for step in _steps(machine, threads=threads, room=room))


def _steps(machine: str, *, threads: bool, room: bool) -> Iterator[_Step]:
    audit, column = _MACHINES[machine]
    special = {name: numbers[column] for name, numbers in _SPECIAL.items()}
    yield (_LOAD, 0, 0, _MACHINE)
    yield (_EQUAL, 1, 0, audit)
    yield _end(_KILL)
    yield (_LOAD, 0, 0, _NUMBER)
    if machine == "x86_64":
        # The same calls by other numbers, for pointers of 32 bits.
        yield (_ANY_BIT, 0, 1, _X32)
        yield _end(_KILL)
    for numbers in [*_PLAIN.values(), *(_OF_FILES.values() if room else ())]:
        number = numbers[column]
        if number is not None:
            yield from _case(number, [_end(_ALLOW)])
    yield from _case(special["fcntl"], _one_of(1, _FCNTL))
    yield from _case(special["ioctl"], _one_of(1, _IOCTL))
    yield from _case(special["prctl"], _one_of(0, _PRCTL))
    # Who copies a file with all that belongs to it goes on without.
    yield from _case(special["listxattr"], [_end(_ERROR | errno.ENOTSUP)])
    yield from _case(special["llistxattr"], [_end(_ERROR | errno.ENOTSUP)])
    # Of this process alone.
    yield from _case(special["prlimit64"], _one_of(0, (0,)))
    # To the other end of a pair alone: no address is given.
    yield from _case(special["sendto"], _null(4))
    yield from _case(special["socketpair"], _pair_of_streams())
    # The C library tells what it wants in memory, which no filter sees; refused so, it uses clone.
    yield from _case(special["clone3"], [_end(_ERROR | errno.ENOSYS)])
    yield from _case(special["clone"], _thread(_ALLOW if threads else _ERROR | errno.EAGAIN))
    yield (_ABOVE, 0, 1, _LAST_KNOWN)
    yield _end(_ERROR | errno.ENOSYS)
    yield _end(_ERROR | errno.EPERM)


def _end(verdict: int) -> _Step:
    return (_RETURN, 0, 0, verdict)


def _case(number: int, steps: Sequence[_Step]) -> list[_Step]:
    """Steps for one call, which all end in a verdict."""
    return [(_EQUAL, 0, len(steps), number), *steps]


def _argument(place: int, *, high: bool = False) -> _Step:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * place + (4 if high else 0))


def _one_of(place: int, values: Sequence[int]) -> list[_Step]:
    found = [step for value in values for step in ((_EQUAL, 0, 1, value), _end(_ALLOW))]
    return [_argument(place), *found, _end(_ERROR | errno.EPERM)]


def _null(place: int) -> list[_Step]:
    return [
        _argument(place), (_EQUAL, 0, 3, 0),
        _argument(place, high=True), (_EQUAL, 0, 1, 0), _end(_ALLOW),
        _end(_ERROR | errno.EPERM),
    ]  # fmt: skip


def _pair_of_streams() -> list[_Step]:
    return [
        _argument(0), (_EQUAL, 0, 4, _AF_UNIX),
        _argument(1), (_AND, 0, 0, _SOCK_KINDS), (_EQUAL, 0, 1, _SOCK_STREAM), _end(_ALLOW),
        _end(_ERROR | errno.EPERM),
    ]  # fmt: skip


def _thread(verdict: int) -> list[_Step]:
    return [
        _argument(0), (_ANY_BIT, 0, 2, _CLONE_THREAD),
        (_ANY_BIT, 1, 0, _CLONE_NAMESPACES), _end(verdict),
        _end(_ERROR | errno.EPERM),
    ]  # fmt: skip
