"""The walls around a program: namespaces, Landlock, limits and the filter of system calls.

`raise_outer()` is for the process that starts programs: a root of its own with Python's library alone, no
network, no devices. `raise_inner()` is for each program: a folder of its own, a user of its own, limits,
and the filter. Without namespaces Landlock alone keeps files from being opened; then a program can write
nowhere, and has no threads, as nothing would count them.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import resource
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steelyard.sandbox import kernel, syscalls

WORKPLACE = "/program"
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo")
_NOWHERE = "/dev/null"
_MOUNT_POINTS = ("/tmp", "/var/tmp", "/mnt", "/srv")  # noqa: S108 - hidden, not written
_LEAST_LANDLOCK = 3
"""From this version on truncating a file is judged too."""
_FIRST_USER = 2_000_000_000
_NOBODY = 65534
_SPARE_BYTES = 32 << 20
_MOST_PROCESSES, _MOST_FILES = 64, 64
_FILE_BYTES, _FOLDER_BYTES, _MOST_NODES = 16 << 20, 64 << 20, 4096


class NoWalls(Exception):
    """What is missing here for programs to be run."""


@dataclass
class Walls:
    """What stands around the programs of one process."""

    machine: str
    namespaces: bool
    why_not: str
    landlock: int
    threads: bool
    user: int | None
    readable: list[int]
    filter: bytes

    def about(self) -> dict[str, Any]:
        """What `steelyard doctor` shows."""
        return {
            "namespaces": self.namespaces,
            "why_not": self.why_not,
            "landlock": self.landlock,
            "filter": True,
            "threads": self.threads,
            "writes": self.namespaces,
        }

    def raise_inner(self, *, memory_bytes: int, seconds: float, parent: int) -> None:
        """Shut this process in for good."""
        if self.namespaces:
            kernel.unshare(kernel.NEW_MOUNTS)
            owner = f",uid={self.user},gid={self.user}" if self.user is not None else ""
            options = f"size={_FOLDER_BYTES},nr_inodes={_MOST_NODES},mode=0700{owner}"
            flags = kernel.NO_SETUID | kernel.NO_DEVICES | kernel.NO_EXECUTION
            kernel.mount("tmpfs", WORKPLACE, kind="tmpfs", flags=flags, options=options)
        places = (WORKPLACE, _NOWHERE) if self.namespaces else (_NOWHERE,)
        written = [os.open(path, os.O_PATH) for path in places]
        if self.user is not None:
            kernel.become(self.user)
        os.chdir(WORKPLACE if self.namespaces else "/")
        kernel.die_with_parent(parent)
        # Python may well lie in the superuser's home.
        kernel.drop_capabilities(self.machine, but_reading=self.user is not None)
        kernel.forbid_new_privileges()
        if self.landlock:
            kernel.restrict_files(self.landlock, read=self.readable, write=written)
        for opened in [*self.readable, *written]:
            os.close(opened)
        _limit(memory_bytes, seconds)
        kernel.install_filter(self.filter)


def raise_outer(folders: list[str]) -> Walls:
    """Leave all behind but Python's library and some folders; NoWalls where too little keeps files shut."""
    machine = platform.machine()
    if not syscalls.knows(machine) or not kernel.has_filters():
        raise NoWalls(f"this kernel cannot filter system calls, or not on {machine}")
    landlock = kernel.landlock_version()
    user = _free_user()
    with contextlib.suppress(OSError):
        # Where memory runs out, programs go first.
        Path("/proc/self/oom_score_adj").write_text("1000")
    paths = _paths(folders)
    why_not = ""
    try:
        _leave(root=user is not None)
        _build_root(paths, machine)
    except OSError as error:
        if landlock < _LEAST_LANDLOCK:
            has = f"version {landlock} of Landlock, not {_LEAST_LANDLOCK}" if landlock else "no Landlock"
            raise NoWalls(f"this kernel gives no namespaces ({error}) and has {has}") from error
        why_not = str(error)
    readable = [os.open(path, os.O_PATH) for path in paths]
    # Only in a namespace of their own are threads counted for this user alone, and root's never are.
    threads = not why_not and (user is not None or os.getuid() != 0)
    steps = syscalls.make_filter(machine, threads=threads, room=not why_not)
    return Walls(machine, not why_not, why_not, landlock, threads, user, readable, steps)


def _paths(folders: list[str]) -> list[Path]:
    """What Python needs to be read, and what was asked for."""
    library = Path(os.__file__).resolve().parent
    wanted = {Path(path) for path in (*_LIBRARIES, *sys.path, *folders)} | {library, library.parent}
    # Folders before what lies in them, which then is there already.
    return sorted((path for path in wanted if path.exists()), key=lambda path: (len(path.parts), path))


def _leave(*, root: bool) -> None:
    """Be alone: no network, no mounts that others see."""
    apart = kernel.NEW_MOUNTS | kernel.NEW_NET | kernel.NEW_IPC | kernel.NEW_HOST
    if root:
        kernel.unshare(apart)
    else:
        user, group = os.geteuid(), os.getegid()
        kernel.unshare(apart | kernel.NEW_USER)
        for name, text in (
            ("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")
        ):  # fmt: skip
            Path(f"/proc/self/{name}").write_text(text)
    kernel.make_private()


def _build_root(paths: list[Path], machine: str) -> None:
    """A root with some paths of the old one, none of which can be written."""
    top = next(path for path in map(Path, _MOUNT_POINTS) if path.is_dir())
    # Opened before, as one may lie where the root is built.
    opened = {path: os.open(path, os.O_PATH) for path in [*paths, Path(_NOWHERE)]}
    kernel.mount("tmpfs", str(top), kind="tmpfs", options="mode=0755,size=1m,nr_inodes=4096")
    for path, source in opened.items():
        inside = top / path.relative_to("/")
        if inside.exists():
            continue
        inside.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if stat.S_ISDIR(os.fstat(source).st_mode):
            inside.mkdir(mode=0o755)
        else:
            inside.touch(mode=0o644)
        # What is written to a device is not written to where it lies.
        shut = kernel.READ_ONLY | kernel.NO_SETUID | (kernel.NO_DEVICES if path != Path(_NOWHERE) else 0)
        kernel.bind(source, str(inside), flags=shut)
    for source in opened.values():
        os.close(source)
    (top / WORKPLACE.strip("/")).mkdir()
    if not (top / "tmp").exists():
        # Where programs look for room without asking.
        (top / "tmp").symlink_to(WORKPLACE)
    kernel.enter_root(str(top), machine)
    kernel.restrict_mount("/", flags=kernel.READ_ONLY | kernel.NO_SETUID | kernel.NO_DEVICES)


def _free_user() -> int | None:
    """A user that nobody is, so that what it starts is counted for it alone; None for who cannot choose."""
    if os.geteuid() != 0 or not kernel.may_change_users():
        return None
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    known = [tuple(map(int, line.split())) for line in lines]
    wanted = (_FIRST_USER + os.getpid() % 1_000_000, _NOBODY)
    there = [user for user in wanted if any(first <= user < first + count for first, _, count in known)]
    return there[0] if there else None


def _limit(memory_bytes: int, seconds: float) -> None:
    """What a program may use."""
    whole = math.ceil(seconds) + 1
    limits = {
        resource.RLIMIT_AS: (memory_bytes, memory_bytes + _SPARE_BYTES),
        resource.RLIMIT_CPU: (whole, whole + 1),
        resource.RLIMIT_FSIZE: (_FILE_BYTES, _FILE_BYTES),
        resource.RLIMIT_NOFILE: (_MOST_FILES, _MOST_FILES),
        resource.RLIMIT_NPROC: (_MOST_PROCESSES, _MOST_PROCESSES),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
        resource.RLIMIT_STACK: (8 << 20, 8 << 20),
    }
    for which, wanted in limits.items():
        most = resource.getrlimit(which)[1]
        soft, hard = (one if most == resource.RLIM_INFINITY else min(one, most) for one in wanted)
        resource.setrlimit(which, (soft, hard))
