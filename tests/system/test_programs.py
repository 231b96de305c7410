# SPDX-License-Identifier: ISC
"""The programs as the compiler and linker made them."""

import os
import pathlib
import re
import signal
import subprocess

import harness
from harness import BUILDDIR, DEADLINE, Skip, equal, need_program
from smtp_peers import Upstream


def test_hardening(t):
    """configure's flags took effect: position independent, and the tables of the linker read-only from the start."""
    need_program("readelf")
    configured = t.run([BUILDDIR / "config.status", "--config"], check=0).stdout.decode()
    if re.search(r"--(disable-hardening|enable-hardening=no)", configured):
        raise Skip("configured without hardening")
    for program in ("posthoused", "posthouse"):
        seen = t.run(["readelf", "-dlW", BUILDDIR / program], check=0).stdout.decode()
        for what in (r"\bGNU_RELRO\b", r"FLAGS_1.*\bNOW\b", r"FLAGS_1.*\bPIE\b", r"GNU_STACK +.* RW "):
            assert re.search(what, seen), f"{program}: no {what} in\n{seen}"


def test_libraries(t):
    """What brings a message from a local program loads no modules for passwords."""
    need_program("readelf")
    for program in ("posthouse-sendmail", "posthouse"):
        needed = t.run(["readelf", "-dW", BUILDDIR / program], check=0).stdout.decode()
        assert "[libpam.so" not in needed, f"{program}: {needed}"


def without_standard_files(argv):
    return ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *map(str, argv)]


def standard_files(pid):
    return {os.readlink(f"/proc/{pid}/fd/{n}") for n in range(3)}


def test_daemon_without_standard_files(t):
    """No pipe between its processes becomes the standard error that they log to."""
    upstream, ready = Upstream(t), t.tmp / "ready"
    spool = t.tmp / "spool"
    config = t.config(f'localaddr = "unix:{ready}"', upstream, spool=spool, listen=f"unix:{ready}")
    daemon = t.start(without_standard_files([BUILDDIR / "posthoused", "-F", "-n", "-f", config]), name="daemon")
    harness.wait_until(ready.exists, "the socket")
    harness.wait_until(lambda: (spool / "view").exists(), "the relay")
    pids = [daemon.pid, *(int(p) for p in open(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read().split())]
    assert len(pids) > 2, pids
    for pid in filter(harness.can_look_into, pids):
        equal(standard_files(pid), {"/dev/null"}, f"descriptors 0 to 2 of {harness.process_title(pid)}")
    message = b"Subject: x\r\n\r\nx\r\n"
    done = subprocess.run([BUILDDIR / "posthouse-sendmail", "-C", config, "b@b.test"], input=message,
                          timeout=DEADLINE, check=False, stderr=subprocess.PIPE)
    equal((done.returncode, done.stderr), (0, b""), "sendmail")
    upstream.wait_messages(1)


def test_command_without_standard_files(t):
    """What it says does not go into the socket on which it asks the relay."""
    relay = t.daemon(Upstream(t)).ready()
    watch = t.start(without_standard_files([BUILDDIR / "posthouse", "--spool", relay.spool, "watch"]), name="watch")

    def watches():
        for fd in pathlib.Path(f"/proc/{watch.pid}/fd").iterdir():
            try:
                if os.readlink(fd).startswith("socket:"):
                    return True
            except FileNotFoundError:  # it was closed meanwhile
                pass
        return False

    harness.wait_until(watches, "its connection")
    equal(standard_files(watch.pid), {"/dev/null"}, "descriptors 0 to 2")
    watch.signal(signal.SIGTERM)
    watch.wait()
    done = t.run(["/bin/sh", "-c", f"exec {BUILDDIR}/posthouse --spool {relay.spool} queue >&-"], check=3)
    assert b"Bad file descriptor" in done.stderr, done.stderr


if __name__ == "__main__":
    harness.main(__name__)
