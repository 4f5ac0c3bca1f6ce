"""Calls of the Linux kernel that Python has no names for, and what is passed to them."""

from __future__ import annotations

import ctypes
import os
import re
import stat
import struct
from pathlib import Path

NEW_MOUNTS, NEW_HOST, NEW_IPC, NEW_USER, NEW_NET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x40000000
NO_SETUID, NO_DEVICES, NO_EXECUTION = 2, 4, 8
READ_ONLY = 1
PRIVATE = 1 << 18

_BIND, _RECURSIVE, _DETACH = 4096, 16384, 2
_BY_DESCRIPTOR, _BELOW = 0x1000, 0x8000
_DEATH_SIGNAL, _DUMPABLE, _KEEP_CAPABILITIES, _SECCOMP, _NO_NEW_PRIVILEGES = 1, 4, 8, 22, 38
_FILTER = 2
_CAPABILITIES_3 = 0x20080522
# DAC_READ_SEARCH, and DAC_OVERRIDE, which containers have.
_READING = (1 << 2, 1 << 1)
# SETGID and SETUID.
_CHANGING = 1 << 6 | 1 << 7
_MOUNT_SETATTR, _MAKE_RULES, _ADD_RULE, _RESTRICT = 442, 444, 445, 446
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CAPSET = {"x86_64": 126, "aarch64": 91}

# Rights of Landlock: to read files and folders; to run files, make devices, sockets, pipes, control devices.
_READ = 1 << 2 | 1 << 3
_ODD = 1 << 0 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 15
_OF_A_FILE = 1 << 1 | 1 << 2 | 1 << 14

_library = ctypes.CDLL(None, use_errno=True)
_library.syscall.restype = ctypes.c_long


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def unshare(what: int) -> None:
    """Leave namespaces for fresh ones."""
    _check(_library.unshare(what), "unshare")


def mount(source: str, target: str, *, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount a file system of a kind, or change a mount."""
    given = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(_library.mount(*given), f"mount {kind or source} at {target}")


def bind(descriptor: int, target: str, *, flags: int) -> None:
    """Show what is open under a descriptor at another path, with all that is mounted below."""
    mount(f"/proc/self/fd/{descriptor}", target, flags=_BIND | _RECURSIVE)
    restrict_mount(target, flags=flags, below=True)


def restrict_mount(target: str, *, flags: int, below: bool = False) -> None:
    """Make a mount read-only and the like; those below it too."""
    wanted = struct.pack("QQQQ", flags, 0, 0, 0)
    opened = os.open(target, os.O_PATH)
    try:
        deep = _BY_DESCRIPTOR | (_BELOW if below else 0)
        _call(_MOUNT_SETATTR, opened, b"", deep, wanted, len(wanted), what=f"restrict {target}")
    finally:
        os.close(opened)


def make_private() -> None:
    """Keep mounts from being seen outside."""
    mount("none", "/", flags=PRIVATE | _RECURSIVE)


def enter_root(folder: str, machine: str) -> None:
    """Make a mounted folder all that there is."""
    os.chdir(folder)
    _call(_PIVOT_ROOT[machine], b".", b".", what="pivot_root")
    _check(_library.umount2(b".", _DETACH), "umount")
    os.chdir("/")


def may_change_users() -> bool:
    """Whether this process may be another user; root in a container may have lost that."""
    status = Path("/proc/self/status").read_text()
    held = int(re.findall(r"^CapEff:\s*(\w+)", status, re.M)[0], 16)
    return held & _CHANGING == _CHANGING


def become(user: int) -> None:
    """Be a user alone, who still may what is not taken from him by `drop_capabilities`."""
    _check(_library.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0), "prctl")
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def drop_capabilities(machine: str, *, but_reading: bool) -> None:
    """Give up all that only a superuser may; but to read what is not shut in other ways, as far as it may."""
    header = struct.pack("Ii", _CAPABILITIES_3, 0)
    for kept in (*_READING, 0) if but_reading else (0,):
        try:
            _call(_CAPSET[machine], header, struct.pack("6I", kept, kept, 0, 0, 0, 0), what="capset")
        except PermissionError:
            if not kept:
                raise
        else:
            return


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends, of which the number is known."""
    _check(_library.prctl(_DEATH_SIGNAL, 9, 0, 0, 0), "prctl")
    if os.getppid() != parent:
        os._exit(1)


def forbid_new_privileges() -> None:
    """Never gain rights by running a file; a filter demands it."""
    _check(_library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")
    _check(_library.prctl(_DUMPABLE, 0, 0, 0, 0), "prctl")


def install_filter(steps: bytes) -> None:
    """Have each system call judged from here on."""
    program = _Program(len(steps) // 8, steps)
    _check(_library.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0), "seccomp")


def has_filters() -> bool:
    """Whether this kernel judges system calls."""
    # Without a program there is nothing to install: EFAULT where filters are known, EINVAL where not.
    found: int = _library.prctl(_SECCOMP, _FILTER, None, 0, 0)
    return found == 0 or ctypes.get_errno() == 14


def landlock_version() -> int:
    """The version of Landlock that this kernel has; 0 for none."""
    found: int = _library.syscall(_MAKE_RULES, None, ctypes.c_size_t(0), ctypes.c_long(1))
    return max(found, 0)


def restrict_files(version: int, *, read: list[int], write: list[int]) -> None:
    """Let only what lies under some open folders be read, and written; no ports, no signals to others."""
    files = (1 << (13 if version < 2 else 14 if version < 3 else 15 if version < 5 else 16)) - 1
    rights = struct.pack("QQQ", files, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = _call(_MAKE_RULES, rights, size, 0, what="Landlock")
    # A rule is about the folder that is open, wherever it lies.
    for opened in read:
        _allow(rules, opened, _READ)
    for opened in write:
        _allow(rules, opened, files & ~_ODD)
    _call(_RESTRICT, rules, 0, what="Landlock")
    os.close(rules)


def _allow(rules: int, opened: int, rights: int) -> None:
    if not stat.S_ISDIR(os.fstat(opened).st_mode):
        rights &= _OF_A_FILE
    _call(_ADD_RULE, rules, 1, struct.pack("=Qi", rights, opened), 0, what="Landlock")


def _call(number: int, *arguments: object, what: str) -> int:
    # As long as a register, or its upper half would be what happened to be there.
    whole = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    found: int = _library.syscall(ctypes.c_long(number), *whole)
    return _check(found, what)


def _check(found: int, what: str) -> int:
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return found
