# SPDX-License-Identifier: ISC
"""The units of contrib/systemd, under a systemd of our own (systemd_world.py): that what they forbid is not
needed, and that the service and systemd understand each other."""

import re
import time

import harness
from harness import equal, need_program, wait_until
from systemd_world import World

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
LOG = "/run/posthouse.log"
SEND = """
import smtplib, sys
with smtplib.SMTP("127.0.0.1", 25, timeout=20) as s:
    s.sendmail("a@example.com", ["b@example.com"], "Subject: %s\\r\\n\\r\\nhello\\r\\n" % sys.argv[1])
"""


class Service(World):
    def __init__(self, t, more="", dropin="", files=(), wants=("posthouse.service", "sink.service"), config=None):
        from systemd_world import prefix_paths
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
        self.run("systemd-sysusers", "/usr/lib/sysusers.d/posthouse.conf")
        self.run("systemd-tmpfiles", "--create", "/usr/lib/tmpfiles.d/posthouse.conf")
        t.later(self.comment_logs)
        for unit in wants:
            self.start(unit)

    def comment_logs(self):
        """For who reads a failure."""
        self.test.comments += self.text(LOG).splitlines()[-40:]

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

    def users(self):
        """{role: user} of the processes."""
        found = {}
        for line in self.run("ps", "ax", "-o", "user:32=,args=").stdout.decode().splitlines():
            match = re.match(r"(\S+) +posthoused: (\w+)", line)
            if match:
                found[match[2]] = match[1]
        return found


def test_the_unit(t):
    """Start, mail, status, reload, a low port and the unix socket, the check, stop: all without root."""
    w = Service(t)
    equal(w.show("posthouse.service", "ActiveState"), "active", "state")
    assert w.show("posthouse.service", "StatusText").startswith("Ready: 2 workers"), w.show("posthouse.service", "StatusText")
    w.delivers("first")
    equal(set(w.users().values()), {"posthouse", "root"} if "sink" in w.users() else set(w.users().values()), "users")
    print(w.users())


if __name__ == "__main__":
    harness.main(__name__)
