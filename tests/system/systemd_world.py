# SPDX-License-Identifier: ISC
"""A systemd of our own: process 1 in namespaces for processes, mounts, network
and control groups, on a copy (an overlay) of this machine's files, with
nothing in it but the units of a test. As root only, and where the kernel lets
us; anything that is missing is a Skip.
"""

import os
import pathlib
import re
import shutil
import threading
import time

import harness
from harness import BUILDDIR, SRCDIR, Skip, need_program, need_root, wait_until

SYSTEMD = "/lib/systemd/systemd"
CGROUPS = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")

# $1: a folder of ours; $2: what is laid over this machine's files; $3: systemd; $4: a terminal for what it says;
# $5: a folder that is the same in there, as /run/shared, and out here
BOOT = r"""
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mkdir -p sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount --bind "$4" dev/console
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp -o mode=1777
mount -t tmpfs tmpfs etc/systemd/system
mkdir -p run/lock run/systemd run/shared
mount --bind "$5" run/shared
ip link set lo up
cp -a "$2"/. .
# credentials get to a service through this; elsewhere systemd does it by itself
mount --make-rshared .
exec env -i container=posthouse-test PATH="$PATH" chroot . "$3" --system --unit=posthouse-test.target \
	--log-target=console --log-level=info --show-status=no
"""


def cgroup_top():
    for top in CGROUPS:
        if os.path.exists(f"{top}/cgroup.procs") and os.access(top, os.W_OK):
            return pathlib.Path(top)
    raise Skip("no control groups of version 2 that we could write to")


def prefix_paths():
    """Where the units say that things are, by the names of make's variables."""
    makefile = (BUILDDIR / "Makefile").read_text()
    found = {name: re.search(rf"^{name} = (.*)$", makefile, re.M)[1]
             for name in ("prefix", "exec_prefix", "sysconfdir", "localstatedir", "runstatedir", "sbindir", "bindir")}
    for _ in range(3):
        found = {k: re.sub(r"\$\{(\w+)\}|\$\((\w+)\)", lambda m: found[m[1] or m[2]], v) for k, v in found.items()}
    return found


class World:
    """files: {path: text or (text, mode)}, laid over the machine's. units: names of the target's wants."""

    def __init__(self, test, files, wants):
        need_root()
        for program, package in (("unshare", "util-linux"), ("nsenter", "util-linux"), ("ip", "iproute2"),
                                 ("systemctl", "systemd")):
            need_program(program, package)
        if not os.path.exists(SYSTEMD):
            raise Skip(f"{SYSTEMD} is missing (Debian package systemd)")
        if harness.sanitized():
            raise Skip("a sanitizer's memory and system calls are not those that the unit allows")
        self.test = test
        self.paths = prefix_paths()
        for hidden in ("/tmp", "/var/tmp", "/home", "/root", "/run/user"):  # PrivateTmp, ProtectHome
            if self.paths["sbindir"].startswith(f"{hidden}/"):  # as `make distcheck` does it
                raise Skip(f"the unit sees nothing below {hidden}, where this build is to be installed")
        self.seed = test.tmp / "seed"
        self.mount = test.tmp / "world"
        self.mount.mkdir()
        self.shared = test.tmp / "shared"
        self.shared.mkdir()
        self.put_daemon()
        wants = "".join(f"Wants={name}\n" for name in wants)
        self.put("/etc/systemd/system/posthouse-test.target",
                 f"[Unit]\nRequires=basic.target\nAfter=basic.target\n{wants}AllowIsolate=yes\n")
        # what a machine would do at its start besides is none of this test's business
        for name in ("sysinit.target", "local-fs.target", "sockets.target", "timers.target", "paths.target",
                     "slices.target", "basic.target"):
            self.put(f"/etc/systemd/system/{name}", "[Unit]\nDefaultDependencies=no\n")
        for path, text in files.items():
            self.put(path, *(text if isinstance(text, tuple) else (text,)))
        self.boot()

    def put(self, path, text, mode=0o644):
        """Before the start."""
        target = self.seed / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def put_daemon(self):
        for name, folder in (("posthoused", "sbindir"), ("posthouse", "bindir")):
            target = self.seed / self.paths[folder].lstrip("/") / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(BUILDDIR / name, target)
        for name in ("posthouse.service", "posthouse.socket", "posthouse-check.service"):
            self.put(f"/etc/systemd/system/{name}", (BUILDDIR / "contrib/systemd" / name).read_text())
        self.put("/usr/lib/sysusers.d/posthouse.conf", (SRCDIR / "contrib/systemd/sysusers.conf").read_text())
        self.put("/usr/lib/tmpfiles.d/posthouse.conf", (BUILDDIR / "contrib/systemd/tmpfiles.conf").read_text())

    def boot(self):
        top = cgroup_top()
        group = top / f"posthouse-test-{os.getpid()}-{self.test.name}"
        group.mkdir()
        self.test.later(self.remove_group, group)
        # into the group first: its top is all that the new process 1 sees
        enter = f'echo $$ > "{group}/cgroup.procs" && exec "$@"'
        self.process = self.test.start(
            ["sh", "-c", enter, "sh", "unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork",
             "--kill-child", "sh", "-c", BOOT, "sh", self.mount, self.seed, SYSTEMD, self.console(),
             self.shared], name="systemd")
        self.pid = 0
        self.test.later(self.stop)
        self.pid = wait_until(self.find_pid, "process 1 of the namespace")
        wait_until(self.is_up, f"systemd to be up: {self.process.lines[-5:]}")

    def find_pid(self):
        if self.process.popen.poll() is not None:
            raise Skip("no namespaces or no control groups for a systemd here: "
                       + (self.process.lines or ["it said nothing"])[-1])
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next((int(pid) for pid in children if harness.process_title(pid).startswith(SYSTEMD)), 0)

    def is_up(self):
        if self.process.popen.poll() is not None:
            raise Skip(f"systemd does not run here: {self.process.lines[-3:]}")
        return self.run("systemctl", "is-active", "posthouse-test.target", check=None).stdout.strip() == b"active"

    def run(self, *argv, check=0, data=None):
        """A command in there."""
        return self.test.run(["nsenter", "-t", self.pid, "--mount", "--pid", "--net", "--uts", "--ipc", "--root",
                              "--wd=/", *argv], check=check, data=data)

    def show(self, unit, name):
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.decode().strip()

    def path(self, path):
        """The same file, from out here."""
        return pathlib.Path(f"/proc/{self.pid}/root{path}")

    def console(self):
        """A terminal; what comes there is among the lines of the process, for who reads a failure."""
        ours, theirs = os.openpty()

        def read():
            with open(ours, "rb", buffering=0) as terminal:
                try:
                    while data := terminal.read(4096):
                        self.said += data.decode("utf-8", "replace")
                except OSError:
                    pass
        self.said = ""
        threading.Thread(target=read, daemon=True).start()
        self.test.later(os.close, theirs)
        self.test.later(lambda: self.process.lines.extend(self.said.splitlines()[-40:]))
        return os.ttyname(theirs)

    def stop(self):
        self.process.popen.kill()  # unshare: the kernel ends the namespace with it
        self.process.popen.wait(harness.DEADLINE)
        wait_until(lambda: not self.pid or not harness.process_alive(self.pid), "systemd to be gone")

    @staticmethod
    def remove_group(group):
        end = time.monotonic() + 5
        while group.exists() and time.monotonic() < end:
            for folder, _, _ in os.walk(group, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
            time.sleep(0.02)
