# SPDX-License-Identifier: ISC
"""The units of contrib/systemd, under a systemd of our own (systemd_world.py): that what they forbid is not
needed, and that the service and systemd understand each other."""

import re
import time

import harness
from harness import equal, wait_until
from smtp_peers import Client
from systemd_world import World, prefix_paths

CONFIG = """
hostname = "relay.test"
localaddr = {{ "127.0.0.1:25", "unix:{run}/posthouse/submit" }}
remoteaddr = "127.0.0.1:2525"
min_spare = 2
max_spare = 4
log = "stderr"
{more}
"""
SINK = """
[Unit]
DefaultDependencies=no
[Service]
ExecStart={sbin}/posthoused -F -n -c DebuggingServer 127.0.0.1:2525
StandardOutput=file:/run/sink.out
StandardError=file:/run/sink.log
"""
# DefaultDependencies would have it wait for a whole machine
LOOSE = "[Unit]\nDefaultDependencies=no\n"
LOG = "/run/shared/posthouse.log"
SEND = """
import smtplib, sys
with smtplib.SMTP("127.0.0.1", 25, timeout=20) as s:
    s.sendmail("a@example.com", ["b@example.com"], "Subject: %s\\r\\n\\r\\nhello\\r\\n" % sys.argv[1])
"""


class Service(World):
    def __init__(self, t, more="", dropin="", files=(), wants=("posthouse.service", "sink.service"), config=None):
        self.where = prefix_paths()
        config = (config or CONFIG).format(run=self.where["runstatedir"], more=more)
        loose = LOOSE + f"[Service]\nStandardError=append:{LOG}\n"
        super().__init__(t, {
            self.where["sysconfdir"] + "/posthouse/posthouse.conf": config,
            "/etc/systemd/system/posthouse.service.d/test.conf": loose + dropin,
            "/etc/systemd/system/posthouse.socket.d/test.conf": LOOSE,
            "/etc/systemd/system/posthouse-check.service.d/test.conf": LOOSE,
            "/etc/systemd/system/sink.service": SINK.format(sbin=self.where["sbindir"]),
            **dict(files)}, [])
        self.run("systemd-sysusers", "posthouse.conf")
        for path, _ in files:
            if "sysusers.d" in path:
                self.run("systemd-sysusers", path)
        self.run("systemd-tmpfiles", "--create", "/usr/lib/tmpfiles.d/posthouse.conf")
        t.later(self.comment_logs)
        for unit in wants:
            self.start(unit)

    def comment_logs(self):
        """For who reads a failure."""
        log = self.shared / "posthouse.log"
        self.process.lines += log.read_text().splitlines()[-60:] if log.exists() else []

    def start(self, unit, check=0):
        return self.run("systemctl", "start", unit, check=check)

    def text(self, path):
        try:
            return self.path(path).read_text()
        except OSError:
            return ""

    def send(self, subject):
        self.run("python3", "-c", SEND, subject)

    def arrives(self, subject):
        wait_until(lambda: f"Subject: {subject}'" in self.text("/run/sink.out"), f"the message {subject!r}")

    def delivers(self, subject):
        self.send(subject)
        self.arrives(subject)

    def master(self):
        return int(self.show("posthouse.service", "MainPID"))


def processes(w):
    """[(role, pid in there, lines of /proc/PID/status)] of the service."""
    group = w.show("posthouse.service", "ControlGroup")
    found = []
    for pid in w.run("cat", f"/sys/fs/cgroup{group}/cgroup.procs").stdout.split():
        title = w.run("cat", f"/proc/{int(pid)}/cmdline").stdout.replace(b"\0", b" ").decode()
        status = w.run("cat", f"/proc/{int(pid)}/status").stdout.decode()
        found.append((re.match(r"posthoused: (\w+)", title)[1], int(pid),
                      dict(line.split(":\t", 1) for line in status.splitlines())))
    return found


def test_the_unit(t):
    """Start, mail by a low port and by the unix socket, status, reload, stop: without any process of root."""
    w = Service(t)
    equal(w.show("posthouse.service", "ActiveState"), "active", "state")
    status = w.show("posthouse.service", "StatusText")
    assert re.match(r"Ready: \d+ workers, 0 with a client; 0 messages", status), status
    w.delivers("first")
    with Client(str(w.path(f"{w.where['runstatedir']}/posthouse/submit"))) as client:
        client.message(b"Subject: second\r\n\r\nby the unix socket\r\n")
        client.quit()
    w.arrives("second")
    seen = processes(w)
    assert {role for role, _, _ in seen} >= {"master", "worker", "relay"}, seen
    uid = w.run("id", "-u", "posthouse").stdout.decode().strip()
    for role, _, facts in seen:
        equal(set(facts["Uid"].split()), {uid}, f"users of {role}")
        equal(facts["NoNewPrivs"], "1", f"no new privileges of {role}")
        equal(facts["Seccomp"], "2", f"filter of {role}")
        equal(int(facts["CapBnd"], 16), 1 << 10, f"capabilities {role} could have")  # NET_BIND_SERVICE
        equal(int(facts["CapAmb"], 16), 1 << 10 if role == "master" else 0, f"what programs of {role} would have")
    master = w.master()
    w.run("systemctl", "reload", "posthouse.service")
    wait_until(lambda: w.show("posthouse.service", "ActiveState") == "active", "the end of the reload")
    equal(w.master(), master, "the master's process")
    w.delivers("third")
    w.run("systemctl", "stop", "posthouse.service")
    equal(w.show("posthouse.service", "Result"), "success", "result")


def test_changed_while_it_runs(t):
    """Another configuration by reload, another executable by USR2: the same process, and systemd sees no end of it."""
    w = Service(t)
    master = w.master()
    conf = w.path(w.where["sysconfdir"] + "/posthouse/posthouse.conf")
    conf.write_text(conf.read_text().replace("min_spare = 2", "min_spare = 3"))
    w.run("systemctl", "reload", "posthouse.service")
    wait_until(lambda: re.match("Ready: [3-9]", w.show("posthouse.service", "StatusText")), "three workers")
    program = w.path(w.where["sbindir"] + "/posthoused")
    harness.put_program(program, program.read_bytes())
    w.run("systemctl", "kill", "--kill-whom=main", "--signal=USR2", "posthouse.service")
    wait_until(lambda: w.text(LOG).count("event=ready") == 2, "the upgrade")
    wait_until(lambda: w.show("posthouse.service", "ActiveState") == "active", "the service to be active")
    equal(w.master(), master, "the master's process")
    equal(w.show("posthouse.service", "NRestarts"), "0", "restarts")
    w.delivers("from the new one")


def test_reload_is_refused(t):
    """systemctl reload says so, and the service goes on as it was."""
    w = Service(t)
    conf = w.path(w.where["sysconfdir"] + "/posthouse/posthouse.conf")
    conf.write_text(conf.read_text() + "min_spares = 1\n")
    assert w.run("systemctl", "reload", "posthouse.service", check=None).returncode != 0
    equal(w.show("posthouse.service", "ActiveState"), "active", "state")
    w.delivers("after")


def test_failed_start(t):
    w = Service(t, more="min_spares = 1", wants=(), dropin="Restart=no\n")
    assert w.start("posthouse.service", check=None).returncode != 0
    equal(w.show("posthouse.service", "Result"), "exit-code", "result")
    assert "--check" in w.show("posthouse.service", "StatusText"), w.show("posthouse.service", "StatusText")
    assert "min_spares" in w.text(LOG), w.text(LOG)


def test_it_comes_back(t):
    """A master that is killed; and one that hangs, which the watchdog sees."""
    w = Service(t, dropin="RestartSec=100ms\nWatchdogSec=4s\n")

    def restarted(count):
        return w.show("posthouse.service", "NRestarts") == str(count) and w.show("posthouse.service", "SubState") == "running"

    w.run("kill", "-KILL", str(w.master()))
    wait_until(lambda: restarted(1), "the first restart")
    w.delivers("after a kill")
    w.run("kill", "-STOP", str(w.master()))
    wait_until(lambda: restarted(2), "the second restart", 60)
    w.delivers("after a hang")


def test_stop_takes_its_time(t):
    """stop_timeout counts, though TimeoutStopSec is shorter: the service asks for more."""
    w = Service(t, more="stop_timeout = 20s", dropin="TimeoutStopSec=500ms\n")
    with Client(str(w.path(f"{w.where['runstatedir']}/posthouse/submit"))) as client:
        client.mail()
        client.cmd("DATA", 354)
        w.run("systemctl", "stop", "--no-block", "posthouse.service")
        wait_until(lambda: "event=stopping" in w.text(LOG), "the stop")
        time.sleep(1.5)  # what is tested is that nothing happens
        client.send(b"Subject: patience\r\n\r\nhello\r\n.\r\n")
        client.expect(250)
    wait_until(lambda: w.show("posthouse.service", "ActiveState") == "inactive", "the end")
    equal(w.show("posthouse.service", "Result"), "success", "result")


def test_the_socket(t):
    """Its client starts the service, which has no right to low ports; a stop leaves the sockets, and no client is refused."""
    w = Service(t, wants=("sink.service", "posthouse.socket"), dropin="CapabilityBoundingSet=\nAmbientCapabilities=\n",
                files=[("/etc/systemd/system/posthouse.socket.d/address.conf", LOOSE)])
    equal(w.show("posthouse.service", "ActiveState"), "inactive", "state before")
    w.delivers("first")
    equal(w.show("posthouse.service", "ActiveState"), "active", "state behind")
    equal(int(processes(w)[0][2]["CapBnd"], 16), 0, "capabilities")
    w.run("systemctl", "stop", "posthouse.service")
    with Client(str(w.path(f"{w.where['runstatedir']}/posthouse/submit"))) as client:
        client.message(b"Subject: second\r\n\r\nit starts again\r\n")
        client.quit()
    w.arrives("second")
    for i in range(3):
        w.run("systemctl", "restart", "--no-block", "posthouse.service")
        w.delivers(f"restart {i}")
    w.run("systemctl", "reload", "posthouse.service")
    wait_until(lambda: "event=reloaded" in w.text(LOG), "the reload")
    w.delivers("reloaded")
    w.run("systemctl", "kill", "--kill-whom=main", "--signal=USR2", "posthouse.service")
    wait_until(lambda: "event=ready" in w.text(LOG).partition("event=upgrade ")[2], "the upgrade")
    w.delivers("upgraded")


def test_credentials(t):
    """The password of the upstream, which the service's user cannot read by itself."""
    password = ("secret\n", 0o400)
    w = Service(t, wants=("sink.service",), dropin="LoadCredential=smarthost:/etc/smarthost\nRestart=no\n",
                files=[("/etc/smarthost", password)],
                config=CONFIG.replace('remoteaddr = "127.0.0.1:2525"',
                                      'upstream "u" {{ remoteaddr = "127.0.0.1:2525"\n tls = none\n user = "me"\n'
                                      ' password_file = "credential:smarthost" }}'))
    w.start("posthouse.service")
    equal(w.show("posthouse.service", "ActiveState"), "active", "state")


def test_the_check(t):
    """Fails when there is too much in the queue."""
    w = Service(t, wants=("posthouse.service",), dropin="", files=[
        ("/etc/systemd/system/posthouse-check.service.d/limits.conf", '[Service]\nEnvironment="LIMITS=--max-count 1"\n')])
    w.start("posthouse-check.service")
    w.send("one")
    w.send("two")
    assert w.start("posthouse-check.service", check=None).returncode != 0
    equal(w.show("posthouse-check.service", "ExecMainStatus"), "1", "exit status")  # WARNING
    w.start("sink.service")


def test_operators(t):
    """Members of control_group reach the relay, in a spool that is one user's."""
    w = Service(t, wants=("posthouse.service",), more='control_group = "ops"', dropin="SupplementaryGroups=ops\nSystemCallFilter=@chown\n",
                files=[("/usr/lib/sysusers.d/ops.conf", "g ops -\nu oper -\nm oper ops\n")])
    w.send("held")
    oper = ["setpriv", "--reuid=oper", "--regid=oper", "--init-groups", w.where["bindir"] + "/posthouse", "--config",
            w.where["sysconfdir"] + "/posthouse/posthouse.conf"]
    w.run(*oper, "hold", "--all")
    w.start("sink.service")
    assert b"held" in w.run(*oper, "queue").stdout
    assert w.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *oper[4:], "release", "--all",
                 check=None).returncode != 0
    w.run(*oper, "release", "--all")
    w.arrives("held")


def test_separate_users(t):
    """The drop-in: a user for each role, and root for the master alone. One can go there and back with mail in the
    queue."""
    text = (harness.BUILDDIR / "contrib/systemd/separate-users.conf").read_text()
    where = re.search(r"ln -s (\S+) ", text)[1]
    w = Service(t, wants=("posthouse.service",), files=[(where, text)])
    w.send("queued by one user")
    commands = "\n".join(re.findall(r"^#   (D=.*|mkdir .*|systemctl .*)", text, re.M))  # as it says itself
    equal(commands.count("\n"), 2, commands)
    w.run("sh", "-ec", commands)
    dropin = w.path("/etc/systemd/system/posthouse.service.d/separate-users.conf")
    names = {}
    for role, _, facts in processes(w):
        names[role] = w.run("id", "-un", facts["Uid"].split()[1]).stdout.decode().strip()
        capabilities = int(facts["CapEff"], 16)
        assert (capabilities != 0) == (role == "master"), (role, facts["CapEff"])
    equal(names["master"], "root", "user of the master")
    equal(names["relay"], "posthouse", "user of the relay")
    equal(names["worker"], "posthouse-smtp", "user of a worker")
    w.send("queued by another")
    w.run("systemctl", "stop", "posthouse.service")
    dropin.unlink()
    w.run("systemctl", "daemon-reload")
    w.start("posthouse.service")
    w.start("sink.service")
    w.arrives("queued by one user")
    w.arrives("queued by another")
    w.delivers("and back")


if __name__ == "__main__":
    harness.main(__name__)
