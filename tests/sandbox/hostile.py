# ruff: noqa: E501 - a program stands in one piece
"""Programs that nobody would want to run, each with what it tries and how it may end.

A program that succeeds in what it must not says so by `got(…)`, which its tests look at.
"""

from __future__ import annotations

from typing import NamedTuple


class Hostile(NamedTuple):
    """A program, the kinds of outcome that it may have, and whether it must be told about its time."""

    source: str
    kinds: tuple[str, ...]
    tests: str = "pass"


def tries(body: str) -> Hostile:
    """A program that tries things and keeps what it got; it passes if it got nothing."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    source = f"import os\ngot = []\ntry:\n{lines}except (OSError, ImportError, ValueError):\n    pass\n"
    return Hostile(source, ("passed",), "assert not got, got")


FORGED: dict[str, Hostile] = {
    "leaves": Hostile("import os\nos._exit(0)", ("exit",)),
    "exits": Hostile("import sys\nsys.exit(0)", ("exit",)),
    "exits in a test": Hostile("def f(x):\n    raise SystemExit(0)", ("exit",), "assert f(1) == 2"),
    "leaves in a test": Hostile("import os\ndef f(x):\n    os._exit(0)", ("exit",), "assert f(1) == 2"),
    "leaves at exit": Hostile(
        "import atexit, os\natexit.register(os._exit, 0)\ndef f(x):\n    return 1",
        ("assertion",),
        "assert f(1) == 2",
    ),
    "defines check": Hostile(
        "def f(x):\n    return 1\ndef check(candidate):\n    pass",
        ("assertion",),
        "def check(candidate):\n    assert candidate(1) == 2\ncheck(f)",
    ),
    "shadows names of Python": Hostile(
        "def f(x):\n    return 1\ndef isinstance(*_):\n    return True\nall = any = isinstance",
        ("assertion",),
        "assert isinstance(f(1), str) and all([f(1) == 2])",
    ),
    "patches builtins": Hostile(
        "import builtins\ndef f(x):\n    return 1\nbuiltins.all = builtins.isinstance = lambda *_: True\n"
        "builtins.AssertionError = KeyError\nbuiltins.exec = builtins.compile = lambda *_, **__: None",
        ("assertion",),
        "assert isinstance(f(1), str) and all([f(1) == 2])",
    ),
    "writes to all that is open": Hostile(
        "import os\nfor fd in range(64):\n    try:\n        os.write(fd, b'passed\\n')\n"
        "    except OSError:\n        pass\nos._exit(0)",
        ("exit",),
    ),
    "traces": Hostile(
        "import sys\nsys.settrace(lambda *_: None)\ndef f(x):\n    return 1",
        ("forbidden",),
        "assert f(1) == 2",
    ),
    "looks for objects": Hostile("import gc\ngc.get_objects()", ("forbidden",)),
    "rewrites the code of its caller": Hostile(
        "import sys\nframe = sys._getframe()\nwhile frame:\n"
        "    for one in [*frame.f_locals.values(), *frame.f_globals.values()]:\n"
        "        if hasattr(one, '__code__'):\n            one.__code__ = (lambda *_, **__: 0).__code__\n"
        "    frame = frame.f_back\ndef f(x):\n    return 1",
        ("assertion", "exit", "exception"),
        "assert f(1) == 2",
    ),
    "changes the names of its callers": Hostile(
        "import sys\nframe = sys._getframe()\nwhile frame:\n"
        "    for name in [*frame.f_globals]:\n"
        "        if name.startswith('_') or name in ('step', 'try_out', 'os', 'builtins'):\n"
        "            frame.f_globals[name] = lambda *_, **__: 0\n"
        "    for name in [*frame.f_locals]:\n"
        "        if callable(frame.f_locals[name]):\n            frame.f_locals[name] = lambda *_, **__: 0\n"
        "    frame = frame.f_back\ndef f(x):\n    return 1",
        ("assertion", "exit", "exception"),
        "assert f(1) == 2",
    ),
    "looks about where it has failed": Hostile(
        "import os, sys\nwrite, leave = os.write, os._exit\ndef look(*_):\n"
        "    frame, trace, seen = sys._getframe(1), sys.exc_info()[2], []\n"
        "    while frame:\n        seen += frame.f_locals.values()\n        frame = frame.f_back\n"
        "    while trace:\n        seen += trace.tb_frame.f_locals.values()\n        trace = trace.tb_next\n"
        "    held = [part for one in seen if type(one) is list for part in one]\n"
        "    for one in [*held, *(part for one in held for part in getattr(one, 'args', ()))]:\n"
        "        if type(one) is bytes:\n            for fd in range(3, 64):\n"
        "                try:\n                    write(fd, one)\n                    leave(0)\n"
        "                except OSError:\n                    pass\n"
        "os._exit = look\nos.write = lambda *_: 0\nclass Odd:\n    __del__ = look\nodd = Odd()\nraise KeyError",
        ("exit", "exception"),
    ),
    "listens": Hostile(
        "import sys\nheard = []\nsys.addaudithook(lambda *one: heard.append(one))\n__import__('colorsys')",
        ("passed",),
        "assert not heard",
    ),
    "reads its tests": Hostile(
        "import sys\nframe, seen = sys._getframe(), []\nwhile frame:\n"
        "    seen += [repr(v) for v in [*frame.f_locals.values(), *frame.f_globals.values()]]\n"
        "    frame = frame.f_back\nfound = any('qwertz' in one and 'seen' not in one for one in seen)",
        ("passed",),
        "'qwertz'\nassert not found",
    ),
    "catches all": Hostile(
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
        ("time-out",),
    ),
}

GREEDY: dict[str, Hostile] = {
    "loops for ever": Hostile("while True:\n    pass", ("time-out",)),
    "loops for ever in C": Hostile("sum(iter(int, 1))", ("time-out",)),
    "counts for ever in C": Hostile("import re\nre.match(r'(a+)+b', 'a' * 64)", ("time-out",)),
    "sleeps for ever": Hostile("import time\ntime.sleep(10**6)", ("time-out",)),
    "deaf to signals": Hostile(
        "import signal\nfor n in range(1, 65):\n    try:\n        signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError):\n        pass\nwhile True:\n    pass",
        ("time-out",),
    ),
    "takes memory": Hostile("x = []\nwhile True:\n    x.append(bytearray(1 << 24))", ("memory", "time-out")),
    "takes memory at once": Hostile("x = ' ' * (1 << 40)", ("memory",)),
    "takes memory outside": Hostile(
        "import mmap\nx = [mmap.mmap(-1, 1 << 26) for _ in range(100)]", ("memory",)
    ),
    "counts high": Hostile("x = 10 ** 10 ** 9", ("time-out", "memory")),
    "writes for ever": Hostile("while True:\n    print('x' * 1000)", ("output",)),
    "complains for ever": Hostile("import os\nwhile True:\n    os.write(2, b'x' * 65536)", ("output",)),
    "reports for ever": Hostile(
        "import os\nfor fd in range(3, 64):\n    try:\n        while True:\n            os.write(fd, b'x' * 999)\n"
        "    except OSError:\n        pass",
        ("output", "time-out"),
    ),
    "fills its folder": Hostile(
        "n = 0\nwhile True:\n    n += 1\n    with open(str(n), 'wb') as file:\n        file.write(bytes(1 << 20))",
        ("exception",),
    ),
    "makes files": Hostile("n = 0\nwhile True:\n    n += 1\n    open(str(n), 'w').close()", ("exception",)),
    "writes a long file": Hostile(
        "with open('x', 'wb') as file:\n    while True:\n        file.write(bytes(1 << 20))", ("exception", "crash")
    ),
    "opens files": Hostile("x = []\nwhile True:\n    x.append(open('x', 'w'))", ("exception",)),
    "forks for ever": Hostile(
        "import os\nwhile True:\n    try:\n        os.fork()\n    except BlockingIOError:\n        pass", ("forbidden",)
    ),
    "starts threads": Hostile(
        "import threading, time\nthreading.stack_size(32768)\nwhile True:\n"
        "    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
        ("exception", "memory"),
    ),
    "recurs for ever": Hostile("def f():\n    f()\nf()", ("exception",)),
    "recurs for ever in C": Hostile(
        "import sys\nsys.setrecursionlimit(10**9)\ndef f():\n    f()\nf()",
        ("crash", "memory", "exception", "time-out"),
    ),
    "breaks the interpreter": Hostile("import ctypes\nctypes.string_at(0)", ("crash",)),
    "raises a long text": Hostile("raise ValueError('x' * 50_000_000)", ("exception",)),
    "raises what has no words": Hostile(
        "class Odd(BaseException):\n    def __str__(self):\n        raise self\nraise Odd", ("exception",)
    ),
    "raises what never ends": Hostile(
        "class Odd(Exception):\n    def __str__(self):\n        while True:\n            pass\nraise Odd",
        ("time-out",),
    ),
    "holds a null": Hostile("x = 1\x00\n", ("syntax",)),
    "holds half a character": Hostile("x = '\ud800'\n", ("syntax",)),
    "nests brackets": Hostile("(" * 100_000 + ")" * 100_000, ("syntax",)),
    "nests signs": Hostile("x = " + "-" * 200_000 + "1", ("syntax", "crash")),
    "nests points": Hostile("x = a" + ".b" * 100_000, ("syntax", "crash", "exception")),
    "is no program": Hostile("Certainly! Here is the function:", ("syntax",)),
}  # fmt: skip

NOSY: dict[str, Hostile] = {
    "reads the users": tries("got.append(open('/etc/passwd').read())"),
    "reads the passwords": tries("got.append(open('/etc/shadow').read())"),
    "reads keys": tries("got += os.listdir(os.path.expanduser('~root/.ssh'))"),
    "reads homes": tries("got += os.listdir('/root') + os.listdir('/home')"),
    "reads the root": tries("got += [name for name in os.listdir('/') if name in ('root', 'home', 'proc', 'sys')]"),
    "reads the environment": tries("got += [name for name in os.environ if name not in ('HOME', 'TMPDIR', 'LANG')]"),
    "reads its parent's environment": tries("got.append(open(f'/proc/{os.getppid()}/environ').read())"),
    "reads its parent's memory": tries("got.append(open(f'/proc/{os.getppid()}/mem', 'rb').read(1))"),
    "reads others' environments": tries("got.append(open('/proc/1/environ').read())"),
    "reads its own": tries("got.append(open('/proc/self/environ').read())"),
    "reads devices": tries("got.append(open('/dev/mem', 'rb').read(1))"),
    "finds other libraries": tries("import pytest\ngot.append(pytest)"),
    "writes outside": tries("open('/etc/x', 'w')\ngot.append(1)"),
    "writes to the library": tries("open(os.__file__, 'a')\ngot.append(1)"),
    "writes below temporary folders": tries("open('/var/tmp/steelyard-was-here', 'w')\ngot.append(1)"),
    "removes files": tries("os.unlink(os.__file__)\ngot.append(1)"),
    "renames files": tries("os.rename(os.__file__, 'x')\ngot.append(1)"),
    "changes rights of what can be written": tries("os.chmod('/dev/null', 0o600)\ngot.append(1)"),
    "changes times": tries("os.utime('/dev/null')\ngot.append(1)"),
    "changes rights": tries("os.chmod(os.path.dirname(os.__file__), 0o777)\ngot.append(1)"),
    "follows links": tries("os.symlink('/etc/passwd', 'x')\ngot.append(open('x').read())"),
    "follows links to folders": tries("os.symlink('/proc/1', 'x')\ngot += os.listdir('x/fd')"),
    "climbs": tries("got.append(open('../' * 40 + 'etc/passwd').read())"),
    "takes a hard link": tries("os.link(os.__file__, 'x')\ngot.append(1)"),
    "makes devices": tries("os.mknod('x', 0o060600, os.makedev(8, 0))\ngot.append(1)"),
    "changes the root": tries("os.mkdir('x')\nos.chroot('x')\ngot.append(1)"),
    "opens TCP": tries("import socket\ngot.append(socket.create_connection(('127.0.0.1', 22), 1))"),
    "opens TCP of six": tries("import socket\ngot.append(socket.socket(socket.AF_INET6))"),
    "opens UDP": tries("import socket\ngot.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))"),
    "opens a unix socket": tries("import socket\ngot.append(socket.socket(socket.AF_UNIX))"),
    "opens netlink": tries("import socket\ngot.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))"),
    "opens packets": tries("import socket\ngot.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))"),
    "opens a pair of datagrams": tries(
        "import socket\ngot.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))"
    ),
    "looks up a name": tries("import socket\ngot.append(socket.getaddrinfo('localhost', 80))"),
    "runs a command": tries("import subprocess\ngot.append(subprocess.run(['/bin/true']))"),
    "runs a shell": tries("got += [1] if os.system('true') == 0 else []"),
    "becomes another program": tries("os.execv('/bin/true', ['true'])\ngot.append(1)"),
    "starts a process": tries(
        "import multiprocessing\ngot.append(multiprocessing.get_context('fork').Process(target=int).start())"
    ),
    "kills its parent": tries("os.kill(os.getppid(), 9)\ngot.append(1)"),
    "kills all": tries("os.kill(-1, 9)\ngot.append(1)"),
    "signals its group": tries("os.killpg(0, 9)\ngot.append(1)"),
    "becomes root": tries("os.setuid(0)\ngot.append(1)"),
    "is root": tries("got += [1] if os.geteuid() == 0 and open('/etc/shadow') else []"),
    "raises its limits": tries(
        "import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (9999, 9999))\ngot.append(1)"
    ),
    "limits others": tries("import resource\ngot.append(resource.prlimit(os.getppid(), resource.RLIMIT_CPU))"),
    "is nice to others": tries("os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)\ngot.append(1)"),
    "keeps memory in a file": tries("got.append(os.memfd_create('x'))"),
    "sends signals by a pipe": tries(
        "import fcntl\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())\ngot.append(1)"
    ),
}  # fmt: skip

CALLS = {
    "ptrace": (101, 117), "mount": (165, 40), "umount2": (166, 39), "bpf": (321, 280), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "io_uring_setup": (425, 425), "userfaultfd": (323, 282),
    "unshare": (272, 97), "setns": (308, 268), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "perf_event_open": (298, 241),
    "init_module": (175, 105), "kexec_load": (246, 104), "reboot": (169, 142), "swapon": (167, 224),
    "personality": (135, 92), "execve": (59, 221), "execveat": (322, 281), "socket": (41, 198),
    "connect": (42, 203), "bind": (49, 200), "sendmsg": (46, 211), "kill": (62, 129), "tkill": (200, 130),
    "tgkill": (234, 131), "setuid": (105, 146), "chown": (260, 54), "linkat": (265, 37),
    "setxattr": (188, 5), "quotactl": (179, 60), "sethostname": (170, 161),
    "open_by_handle_at": (304, 265), "fanotify_init": (300, 262), "inotify_init1": (294, 26),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "seccomp": (317, 277), "syslog": (103, 116),
    "acct": (163, 89), "mlock": (149, 228), "sched_setaffinity": (203, 122), "move_pages": (279, 239),
    "landlock_restrict_self": (446, 446), "clone to a process": (56, 220), "timer_create": (222, 107),
}  # fmt: skip
"""System calls that no program may make, by their numbers on x86_64 and aarch64."""
