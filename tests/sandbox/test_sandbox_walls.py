"""Where there are fewer walls, or none; and what becomes of programs whose owner goes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steelyard.errors import UsageError
from steelyard.sandbox import syscalls
from steelyard.sandbox.programs import examine_walls, run_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux alone")

# As a container does it: some calls are refused to all that is started from here.
REFUSING = """
import platform, struct
from steelyard.sandbox import kernel
column = ("x86_64", "aarch64").index(platform.machine())
steps = [(0x20, 0, 0, 0)]
for numbers in {calls}:
    steps += [(0x15, 0, 1, numbers[column]), (0x06, 0, 0, 0x50001)]
steps += [(0x06, 0, 0, 0x7FFF0000)]
kernel.forbid_new_privileges()
kernel.install_filter(b"".join(struct.pack("HBBI", *step) for step in steps))
"""
UNSHARE, LANDLOCK = (272, 97), (444, 444)
ASKING = """
import asyncio
from steelyard.sandbox.programs import examine_walls, run_program
def ask(source, tests="pass"):
    return asyncio.run(run_program(source, tests=tests, timeout=1)).kind
"""


def run_apart(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_namespaces_files_are_shut_by_landlock() -> None:
    asked = """
walls = examine_walls()
assert (walls["namespaces"], walls["threads"], walls["writes"]) == (False, False, False), walls
assert "unshare" in walls["why_not"]
assert ask("def f(): return 2", "assert f() == 2") == "passed"
assert ask("import colorsys, sqlite3, ssl") == "passed"
for source in (
    "open('/etc/passwd')", "open('/proc/self/environ')", "open(f'/proc/{os.getppid()}/environ')",
    "open('here', 'w')", "open('/tmp/there', 'w')", "os.listdir('/')", "os.fork()",
    "os.kill(os.getppid(), 9)", "__import__('socket').socket()", "os.truncate(os.__file__, 0)",
    "os.unlink(os.__file__)", "os.open(os.__file__, os.O_TRUNC)", "os.chmod('/', 0)",
):
    assert ask("import os\\n" + source) == "forbidden", source
assert ask("import threading; threading.Thread(target=int).start()") == "exception"
"""
    done = run_apart(REFUSING.format(calls=[UNSHARE]) + ASKING + asked)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can lose what root may")
@pytest.mark.parametrize("lost", ["-setuid", "-sys_admin", "-all"])
def test_root_that_may_less(lost: str) -> None:
    asked = """
assert ask("def f(): return 2", "assert f() == 2") == "passed"
assert ask("open('/dev/null', 'w').write('x')") == "passed"
assert ask("open('/etc/shadow')") in ("forbidden", "exception")
"""
    command = ["setpriv", f"--bounding-set={lost}", "--inh-caps=-all", sys.executable, "-c", ASKING + asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "failed to apply" in done.stderr or done.returncode == 127:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr


def test_what_a_process_said_before_it_broke_is_told(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no such library >&2\nexit 1\n")
    python.chmod(0o755)
    done = run_apart(f"import sys\nsys.executable = {str(python)!r}\n" + ASKING + "examine_walls()")
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith("the process that runs programs does not start: it ended (no such library)")


def test_without_any_walls_nothing_is_run(tmp_path: Path) -> None:
    (tmp_path / "HumanEval.jsonl").write_text('{"prompt": "def f():", "entry_point": "f", "test": "1"}\n')
    asked = (
        f"path = {str(tmp_path / 'HumanEval.jsonl')!r}"
        + """
from steelyard import open_task
from steelyard.errors import UsageError
for act in (examine_walls, lambda: ask("print(1)"), lambda: open_task("humaneval", data=path)):
    try:
        act()
    except UsageError as error:
        print(error)
    else:
        raise SystemExit("it was run")
"""
    )
    done = run_apart(REFUSING.format(calls=[UNSHARE, LANDLOCK]) + ASKING + asked)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all("programs cannot be run safely here" in line and "no Landlock" in line for line in lines)


def test_the_numbers_of_calls_are_those_of_the_kernel() -> None:
    headers = {
        "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        "aarch64": Path("/usr/include/asm-generic/unistd.h"),
    }
    if not all(path.exists() for path in headers.values()):
        pytest.skip("the kernel's headers are not installed")
    for machine, path in headers.items():
        known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text()))
        known.setdefault("newfstatat", known.get("fstatat", ""))
        numbers = {call: syscalls.number_of(call, machine) for call in syscalls.calls()}
        assert {call: number for call, number in numbers.items() if number is not None} == {
            call: int(known[call]) for call, number in numbers.items() if number is not None
        }
        assert {call for call, number in numbers.items() if number is None and call in known} == set()


def wardens_of(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for path in children for child in path.read_text().split()]


def test_programs_end_with_the_process_that_wanted_them() -> None:
    code = ASKING + "print('begun', flush=True); asyncio.run(run_program('while True: pass', timeout=500))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        programs: list[int] = []
        wardens: list[int] = []
        until = time.monotonic() + 20
        while not programs and time.monotonic() < until:
            wardens = wardens_of(owner.pid)
            programs = [child for warden in wardens for child in wardens_of(warden)]
            time.sleep(0.05)
        assert programs
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    while any(is_alive(one) for one in wardens + programs) and time.monotonic() < until:
        time.sleep(0.02)
    assert [one for one in wardens + programs if is_alive(one)] == []


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_who_waits_no_longer_ends_the_program() -> None:
    async def give_up() -> None:
        running = asyncio.create_task(run_program("while True: pass", timeout=500))
        while not any(wardens_of(one) for one in wardens_of(os.getpid())):
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(give_up())
    assert asyncio.run(run_program("x = 1")).passed
    assert [child for one in wardens_of(os.getpid()) for child in wardens_of(one)] == []


def test_programs_have_room_threads_and_pairs_of_their_own() -> None:
    assert examine_walls()["writes"]
    source = """
import asyncio, os, shutil, socket, tempfile, threading
from concurrent.futures import ThreadPoolExecutor
with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, "x"), "w") as file:
        file.write("kept")
    os.chmod(file.name, 0o400)
    kept = open(shutil.copy2(file.name, file.name + "y")).read()
left = os.listdir(".")
open("mine", "w").write("1")
begun = threading.Barrier(33)
for _ in range(32):
    threading.Thread(target=begun.wait).start()
begun.wait()
with ThreadPoolExecutor(4) as pool:
    squares = list(pool.map(lambda n: n * n, range(8)))
async def later():
    await asyncio.sleep(0)
    return 1
one = asyncio.run(later())
print("said", open(os.devnull).read())
"""
    tests = "assert kept == 'kept' and left == [] and squares[-1] == 49 and one == 1"
    for _ in range(3):
        outcome = asyncio.run(run_program(source, tests=tests))
        assert (outcome.kind, outcome.output) == ("passed", "said \n"), outcome


def test_a_program_is_a_module_that_is_not_run_by_hand() -> None:
    source = """
from __future__ import annotations
import pickle, typing
class Two:
    both: Other
class Other:
    pass
kept = pickle.loads(pickle.dumps(Two()))
wanted = typing.get_type_hints(Two)
if __name__ == "__main__":
    input()
"""
    outcome = asyncio.run(run_program(source, tests="assert type(kept) is Two and wanted == {'both': Other}"))
    assert outcome.kind == "passed", outcome


def test_an_error_in_any_script() -> None:
    outcome = asyncio.run(run_program("class Größe(Exception): pass\nraise Größe('日本')"))
    assert (outcome.kind, outcome.detail) == ("exception", "Größe: 日本")


def test_an_order_of_names_is_the_same_each_time() -> None:
    source = "names = list({'a', 'b', 'c', 'd', 'e', 'f'})\nprint(names)"
    code = ASKING + f"print(asyncio.run(run_program({source!r})).output)"
    assert len({run_apart(code).stdout for _ in range(3)}) == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [({"timeout": 0}, "timeout"), ({"memory_bytes": 1}, "memory"), ({"output_bytes": -1}, "output")],
)
def test_odd_limits(options: dict[str, int], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        asyncio.run(run_program("x = 1", **options))  # type: ignore[arg-type]
