# SPDX-License-Identifier: ISC
"""posthouse health: one line, an exit status and JSON, from outside: of a service that is well, hangs, is full, or is not there."""

import json
import os
import re
import signal

import harness
from harness import BUILDDIR, as_user, equal, need_root, wait_until
from smtp_peers import Client, Upstream

HEALTHY, NOT_HEALTHY, USAGE, UNKNOWN = 0, 1, 2, 3


class Service:
    """A daemon with a unix socket and no monitor, and what posthouse health says of it."""

    def __init__(self, t, more=""):
        self.t = t
        self.upstream = Upstream(t)
        folder = t.tmp / "door"
        folder.mkdir()
        self.socket = folder / "smtp"
        self.config = f'localaddr = {{"127.0.0.1:0", "unix:{self.socket}"}}\n' + more
        self.daemon = t.daemon(self.upstream, config=self.config).ready()

    def health(self, status, pattern, *options, prefix=()):
        run = self.t.run([*prefix, BUILDDIR / "posthouse", "--config", self.t.tmp / "posthoused.conf", "health", *options])
        text = run.stdout.decode()
        equal((run.returncode, run.stderr), (status, b""), text)
        assert text.count("\n") == 1 and re.search(pattern, text), text
        return text


def test_one_that_is_well(t):
    service = Service(t)
    assert service.daemon.children("monitor") == []
    service.health(HEALTHY, rf"^ok: relay: it answers; worker: one answers at unix:{service.socket}; spool: \d+ MB are free$")
    o = json.loads(service.health(HEALTHY, "", "--json"))
    equal(o["healthy"], True, "healthy")
    equal([(c["check"], c["state"]) for c in o["checks"]], [("relay", "ok"), ("worker", "ok"), ("spool", "ok")], "checks")
    equal(service.daemon.queue(), [], "it leaves nothing in the queue")
    equal(service.daemon.events("rejected"), [], "nor in the log")


def test_nobody_is_there(t):
    service = Service(t)
    service.daemon.stop()
    service.health(NOT_HEALTHY, r"^failed: relay: .*; worker: none answers at unix:")
    o = json.loads(service.health(NOT_HEALTHY, "", "--json"))
    equal((o["healthy"], [c["state"] for c in o["checks"]]), (False, ["failed", "failed", "ok"]), "what it says")


def test_a_relay_that_hangs(t):
    service = Service(t)
    pid = service.daemon.child("relay")
    os.kill(pid, signal.SIGSTOP)
    service.health(NOT_HEALTHY, "^failed: relay: (?!.*worker)", "--timeout", "500ms")
    os.kill(pid, signal.SIGCONT)
    service.health(HEALTHY, "^ok: ")


def test_workers_that_hang(t):
    service = Service(t, "min_spare = 2\nmax_spare = 2\nmax_workers = 2\n")
    pids = service.daemon.children("worker")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    service.health(NOT_HEALTHY, "^failed: worker: none answers at unix:(?!.*relay)", "--timeout", "500ms")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    service.health(HEALTHY, "^ok: ")


def test_no_room(t):
    service = Service(t, "min_free = 900000G\n")
    text = service.health(NOT_HEALTHY, "^failed: spool: a worker answers MAIL with 452 4.3.1 ")
    assert "relay" not in text, text


def test_without_a_spool(t):
    service = Service(t, 'handler = "proxy"\n')
    service.health(HEALTHY, "^ok: relay: handler proxy has none; worker: one answers at unix:.*; spool: handler proxy has none$")


def test_who_may_not_ask(t):
    """What an ordinary user may not know is no failure; what he may is looked at."""
    need_root()
    import pwd
    service = Service(t)
    other = as_user(pwd.getpwnam(harness.system_users()[3]))
    service.health(HEALTHY, r"^ok: relay: not known: .*; worker: one answers", prefix=other)
    service.daemon.stop()
    service.health(NOT_HEALTHY, "^failed: .*worker: none answers", prefix=other)


def test_a_rule_against_this_machine_is_an_answer(t):
    table = t.tmp / "clients"
    table.write_text("unix REJECT not from here\n")
    service = Service(t, f'client_access = "{table}"\n')
    service.health(HEALTHY, r"worker: one answers at unix:\S+ with 55\d;")


def test_too_many_is_no_health(t):
    """A client is told to come back: then mail is not taken."""
    service = Service(t, "client_connections = 1\nlimits_exempt = {}\n")
    config = t.tmp / "tcp.conf"
    config.write_text((t.tmp / "posthoused.conf").read_text().replace(f', "unix:{service.socket}"', "")
                      .replace("127.0.0.1:0", f"127.0.0.1:{service.daemon.port}"))
    run = t.run([BUILDDIR / "posthouse", "--config", config, "health"])
    equal(run.returncode, HEALTHY, run.stdout)
    with Client(service.daemon) as client:
        client.cmd("NOOP", 250)
        run = t.run([BUILDDIR / "posthouse", "--config", config, "health"])
        assert run.returncode == NOT_HEALTHY and b"with 421 " in run.stdout, run.stdout
        client.quit()
    wait_until(lambda: t.run([BUILDDIR / "posthouse", "--config", config, "health"]).returncode == HEALTHY, "health to be back")


def test_usage(t):
    for words in (["x"], ["--timeout", "soon"], ["--timeout", "0"]):
        equal(t.run([BUILDDIR / "posthouse", "health", *words]).returncode, USAGE, str(words))
    run = t.run([BUILDDIR / "posthouse", "--config", t.tmp / "none.conf", "health"])
    assert run.returncode == UNKNOWN and b"none.conf" in run.stderr, run.stderr


if __name__ == "__main__":
    harness.main(__name__)
