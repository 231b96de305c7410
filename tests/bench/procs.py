# SPDX-License-Identifier: ISC
"""Processes of `make bench`: started, watched and ended by us, by their pid.

Every child gets a process group of its own and dies with us (parent death
signal); what a child leaves in its group is ended with it. Nothing here ever
signals a process that this program did not start.
"""
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import time

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


class BenchError(Exception):
    """The measurement cannot go on; the text says why."""


def _die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A running program, the leader of its own process group."""

    def __init__(self, argv, *, stdin=None, stdout=None, stderr=None, pass_fds=()):
        self.name = os.path.basename(argv[0])
        self.popen = subprocess.Popen(
            argv, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=pass_fds, start_new_session=True,
            preexec_fn=_die_with_parent)
        self.pid = self.popen.pid

    def running(self):
        # without reaping: until wait() the group's number cannot go to anybody else
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def wait(self, seconds):
        deadline = time.monotonic() + seconds
        while self.running():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def stop(self, seconds=10):
        """TERM to the leader, then an end to the whole group."""
        if self.popen.returncode is not None:
            return
        if self.running():
            os.kill(self.pid, signal.SIGTERM)
            self.wait(seconds)
        self._end_group()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe:
                pipe.close()

    def _end_group(self):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                return
            if not members(self.pid) - {self.pid}:
                return
            time.sleep(0.01)

    def family(self):
        """Our pid and those of all its descendants."""
        parent = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                    parent[int(pid)] = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
        found = {self.pid}
        while more := {p for p, up in parent.items() if up in found} - found:
            found |= more
        return found


def members(group):
    """Living processes of a process group."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            found.add(int(pid))
    return found


class Talker(Child):
    """One of our small programs: told things on standard input, answers with lines of JSON."""

    def __init__(self, argv, pass_fds=()):
        super().__init__(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=pass_fds)
        self._rest = b""

    def tell(self, text):
        self.popen.stdin.write(f"{text}\n".encode())
        self.popen.stdin.flush()

    def answer(self, seconds):
        deadline = time.monotonic() + seconds
        out = self.popen.stdout.fileno()
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                raise BenchError(f"{self.name} said nothing for {seconds:.0f} s")
            part = os.read(out, 65536)
            if not part:
                raise BenchError(f"{self.name} ended before its time")
            self._rest += part
        line, self._rest = self._rest.split(b"\n", 1)
        return json.loads(line)

    def finish(self, seconds=10):
        """Closes its standard input, which is how it is asked to end."""
        self.popen.stdin.close()
        self.wait(seconds)
        self.stop()


class ClosedPort:
    """A port of ours at which nothing answers yet: bound, not listening."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.socket.close()


class SilentPort(ClosedPort):
    """An upstream that takes connections and never says a word."""

    def __init__(self):
        super().__init__()
        self.socket.listen(1024)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(question, seconds, what):
    """Asks until the answer is true; BenchError after that time."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.01)
    return answer


def greets(port):
    """Does an SMTP server greet there?"""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as s:
            if not s.recv(4).startswith(b"220"):
                return False
            s.sendall(b"QUIT\r\n")
            while s.recv(4096):
                pass
            return True
    except OSError:
        return False
