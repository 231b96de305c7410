# SPDX-License-Identifier: ISC
"""The scripts of contrib/sysv and contrib/openrc: start, status, reload, restart, stop, and what they say of a
service that is dead or that cannot start."""

import os
import re
import signal

import harness
from harness import BUILDDIR, Skip, equal, need_program, need_root, wait_until
from smtp_peers import Client, Upstream

SYSV = BUILDDIR / "contrib/sysv/posthouse"
OPENRC = BUILDDIR / "contrib/openrc/posthouse"


class Script:
    """A script with its paths in the test's folder. .run(verb) gives exit status and output."""

    def __init__(self, t, source, more=""):
        self.t = t
        self.upstream = Upstream(t)
        with harness.socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = t.tmp / "log"
        self.conf = t.config(f'localaddr = "127.0.0.1:{self.port}"\nmin_spare = 1\nmax_spare = 2\nmax_workers = 3\nlog = stderr\n'
                             f'stop_timeout = 5s\n{more}', self.upstream, spool=t.tmp / "spool")
        self.pid_file = t.tmp / "run" / "posthouse.pid"
        text = source.read_text()
        for key, value in (("posthoused", BUILDDIR / "posthoused"), ("posthouse\\.conf", self.conf),
                           ("posthouse\\.pid", self.pid_file)):
            text, count = re.subn(rf"(?<![\w/])/\S*/{key}(?=[\s}}\"])", str(value), text)
            assert count > 0, f"{source}: no {key}"
        text = text.replace("/etc/default/posthouse", str(t.tmp / "defaults"))
        self.path = harness.put_program(t.tmp / "posthouse", text)
        t.later(self.kill)

    def words(self, verb):
        return [self.path, verb]

    def run(self, verb, status=0):
        done = self.t.run(["sh", "-c", 'exec "$@" 2>>"$0"', str(self.log), *self.words(verb)])
        said = done.stdout.decode() + self.text()
        equal(done.returncode, done.returncode if status is None else status, f"exit status of {verb} ({said[-300:]})")
        return said

    def text(self):
        return self.log.read_text() if self.log.exists() else ""

    def pid(self):
        return int(self.pid_file.read_text())

    def kill(self):
        """A service that a failed test leaves behind: the process of our pid file and no other."""
        pid = self.pid() if self.pid_file.exists() else 0
        if pid and harness.process_title(pid).startswith("posthoused"):
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not harness.process_alive(pid), "the service to be gone")

    def delivers(self):
        before = len(self.upstream.messages)
        with Client(self.port) as client:
            client.message()
            client.quit()
        self.upstream.wait_messages(before + 1)


def a_life(s):
    s.run("start")
    pid = s.pid()
    s.delivers()
    s.run("status")
    s.run("start")  # it is there already
    equal(s.pid(), pid, "process after a second start")
    s.run("reload")
    wait_until(lambda: "event=reload" in s.text(), "the reload")
    wait_until(lambda: "event=reloaded" in s.text(), "the end of the reload")
    equal(s.pid(), pid, "process after a reload")
    s.run("restart")
    assert s.pid() != pid, "a restart makes another process"
    s.delivers()
    pid = s.pid()
    s.run("stop")
    assert not harness.process_alive(pid) and not s.pid_file.exists()


def test_sysv(t):
    s = Script(t, SYSV)
    s.run("status", 3)
    s.run("reload", 7)
    s.run("stop")
    s.run("try-restart")
    assert not s.pid_file.exists()
    a_life(s)
    s.run("dance", 2)


def test_sysv_dead(t):
    """It was killed: its file is there, and perhaps somebody else has its number by now."""
    s = Script(t, SYSV)
    s.run("start")
    session = os.getsid(s.pid())
    os.kill(s.pid(), signal.SIGKILL)
    wait_until(lambda: not harness.process_alive(s.pid()), "the master to be gone")
    s.run("status", 1)
    wait_until(lambda: not harness.processes_of_session(session), "its children to leave the spool")
    s.pid_file.write_text(f"{os.getpid()}\n")
    s.run("status", 1)
    s.run("reload", 7)
    s.run("stop")  # not us
    s.pid_file.write_text("rubbish; exit 0\n")
    s.run("status", 1)
    s.run("start")
    s.delivers()
    s.run("stop")


def test_sysv_bad_configuration(t):
    """It is told, and a running service is left alone."""
    s = Script(t, SYSV, more="")
    s.run("start")
    pid = s.pid()
    good = s.conf.read_text()
    s.conf.write_text(good + "min_spares = 1\n")
    for verb in ("reload", "restart", "try-restart"):
        assert "min_spares" in s.run(verb, 6)
    equal(s.pid(), pid, "process")
    s.delivers()
    s.conf.write_text(good)
    s.run("stop")
    s.conf.write_text(good + "min_spares = 1\n")
    s.run("start", 1)
    assert not s.pid_file.exists()


def test_sysv_defaults(t):
    s = Script(t, SYSV)
    other = t.tmp / "other.pid"
    (t.tmp / "defaults").write_text(f"PIDFILE={other}\nOPTIONS=-d\n")
    s.pid_file = other
    s.run("start")
    s.delivers()
    wait_until(lambda: "event=dialogue" in s.text(), "what -d logs")
    s.run("stop")


class OpenRc(Script):
    """In namespaces of its own: OpenRC keeps its state in /run, and believes in no system that it has not booted."""
    ENTER = 'mount -t tmpfs tmpfs /run && mkdir -p "$0" /run/openrc && mount --bind "$0" /run/openrc && exec "$@"'

    def __init__(self, t, **options):
        need_root()
        if not os.path.exists("/sbin/openrc-run"):
            raise Skip("openrc-run is missing (Debian package openrc)")
        need_program("unshare", "util-linux")
        super().__init__(t, OPENRC, **options)
        state = t.tmp / "openrc"
        for folder in ("daemons", "exclusive", "failed", "hotplugged", "inactive", "options", "scheduled", "started",
                       "starting", "stopping", "tmp", "wasinactive", "init.d"):
            (state / folder).mkdir(parents=True)
        (state / "softlevel").write_text("default\n")
        self.state = state

    def words(self, verb):
        return ["unshare", "--mount", "sh", "-c", self.ENTER, str(self.state), self.path, "--nodeps", verb]


def test_openrc(t):
    a_life(OpenRc(t))


def test_openrc_bad_configuration(t):
    s = OpenRc(t)
    s.run("start")
    pid = s.pid()
    good = s.conf.read_text()
    s.conf.write_text(good + "min_spares = 1\n")
    s.run("reload", 1)
    s.run("restart", None)  # OpenRC sees that it has been started already
    equal(s.pid(), pid, "process")
    s.conf.write_text(good)
    s.delivers()
    s.run("stop")


def test_shellcheck(t):
    t.run([need_program("shellcheck"), SYSV, OPENRC], check=0)


if __name__ == "__main__":
    harness.main(__name__)
