# SPDX-License-Identifier: ISC
"""
A day's life in fast motion: start, load, reload, upstream outage, full disk, certificate renewal, upgrade, log rotation,
stop. All the while clients send over STARTTLS; every session must end in order, and at the end what was accepted has
been delivered, once, or is to be seen in the queue.
"""

import collections
import os
import re
import shutil
import signal
import subprocess
import threading

import harness
from certificates import Pki, TlsClient
from harness import Skip, equal, need_root, wait_until
from smtp_peers import DROP, Upstream, without_received
from test_log import FileLog

CLIENTS = 5
FOR_NOW = (421, 450, 451, 452)


def number_of(address):
    return int(re.match(r"[a-z]+(\d+)@", address)[1])


def recipients(number):
    """Of the message with that number: one, or two."""
    return [f"m{number}@example.test", f"later{number}@example.test"][:1 + (number % 3 == 0)]


class Clients:
    """Threads that send all day. Refusals for now are counted, anything else that is out of order is trouble.

    Who is refused for now ends the session and comes again, as mail programs do: a session keeps the configuration
    that it began with.
    """

    def __init__(self, port, context, rough=False):
        self.port, self.context, self.rough = port, context, rough
        self.lock = threading.Lock()
        self.number = 0
        self.sent = {}  # number: content, to its end
        self.accepted = set()  # of these
        self.broken = 0  # sessions, where that is no trouble
        self.refused = collections.Counter()  # by code
        self.sessions = 0
        self.trouble = []
        self.night = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.night.is_set():
            try:
                with TlsClient(self.port, self.context) as client:
                    while not self.night.is_set() and self.one(client):
                        pass
                    client.quit()
                with self.lock:
                    self.sessions += 1
            except Exception as e:  # whatever it is, the day is spoilt, and the test says so
                if self.rough:
                    self.broken += 1
                else:
                    self.trouble.append(f"{type(e).__name__}: {e}")
                self.night.wait(0.05)

    def one(self, client):
        """One message. False: the session ends here, as some do."""
        with self.lock:
            self.number += 1
            number = self.number
        content = b"Subject: %d\r\n\r\n" % number + b"x" * 70 * (number % 40) + b"\r\n"
        for line in (f"MAIL FROM:<day@client.test> SIZE={len(content)}",
                     *(f"RCPT TO:<{address}>" for address in recipients(number)), "DATA"):
            reply = client.cmd(line)
            if reply.code in FOR_NOW:
                return self.refusal(reply)
            assert reply.code in (250, 354), f"{line}: {reply}"
        with self.lock:
            self.sent[number] = content
        client.send(content + b".\r\n")
        reply = client.reply()
        if reply.code in FOR_NOW:
            return self.refusal(reply)
        assert reply.code == 250, f"end of data: {reply}"
        with self.lock:
            self.accepted.add(number)
        return number % 7 != 0

    def refusal(self, reply):
        with self.lock:
            self.refused[reply.code] += 1
        self.night.wait(0.02)
        return False

    def more(self, count=30):
        """Waits until that many more are accepted."""
        enough = len(self.accepted) + count
        wait_until(lambda: len(self.accepted) >= enough or self.trouble, f"{count} more messages")
        equal(self.trouble, [], "trouble of clients")

    def refusals(self, count=10):
        """Waits until that many more were refused for now."""
        enough = sum(self.refused.values()) + count
        wait_until(lambda: sum(self.refused.values()) >= enough or self.trouble, f"{count} refusals")
        equal(self.trouble, [], "trouble of clients")

    def end(self):
        self.night.set()
        for thread in self.threads:
            thread.join(harness.DEADLINE)
            assert not thread.is_alive(), "a client hangs"
        equal(self.trouble, [], "trouble of clients")


class Disk:
    """A small file system of its own for the spool, where one can be mounted."""

    def __init__(self, t):
        self.folder, image = t.tmp / "disk", t.tmp / "disk.img"
        self.folder.mkdir()
        with open(image, "wb") as f:
            f.truncate(48 << 20)
        for command in (["mkfs.ext4", "-q", "-F", str(image)], ["mount", "-o", "loop", str(image), str(self.folder)]):
            if not shutil.which(command[0]):
                raise Skip(f"{command[0]} is missing")
            done = subprocess.run(command, capture_output=True, check=False)
            if done.returncode != 0:
                raise Skip(f"{' '.join(command)}: {done.stderr.decode().strip()}")
        t.later(lambda: subprocess.run(["umount", str(self.folder)], check=True))

    def fill(self):
        with open(self.folder / "ballast", "wb", buffering=0) as f:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        f.write(b"\0" * size)
                except OSError:
                    pass

    def free(self):
        (self.folder / "ballast").unlink()


class Day:
    """The service, its clients, and what is done to it."""

    def __init__(self, t, disk=None, rough=False):
        self.t, self.disk = t, disk
        self.pki, self.upstream = Pki(t), Upstream(t)
        self.cert, self.key = t.tmp / "live.pem", t.tmp / "live.key"
        self.program = t.tmp / "posthoused"
        self.log = FileLog(t.tmp / "posthouse.log")
        self.spool = (disk.folder if disk else t.tmp) / "spool"
        self.settings = {"hostname": "morning.test", "min_free": '"1M"'}
        self.uncertain = 0  # what an outage made so
        self.port = harness.ReservedPort(t).port
        self.install()
        self.renew("morning")
        self.daemon = t.daemon(config=self.configuration(), spool=self.spool, listen=f"127.0.0.1:{self.port}",
                               program=self.program)
        self.log.wait_for("ready")
        self.clients = Clients(self.port, self.pki.context(), rough)
        self.clients.more()

    def configuration(self):
        return "\n".join([
            *(f"{key} = {value}" for key, value in self.settings.items()),
            f'tls = "starttls"\ntls_cert = "{self.cert}"\ntls_key = "{self.key}"\nlog = "{self.log.path}"',
            'min_spare = 2\nmax_spare = 4\nmax_workers = 20\nretry_min = "50ms"\nretry_max = "200ms"',
            f'upstream "main" {{\n remoteaddr = "{harness.address(self.upstream)}"\n tls = none\n probe_min = "50ms"\n'
            ' probe_max = "200ms"\n}'])

    # what people and their programs do: another file takes the place of the old one at once

    def install(self):
        harness.put_program(self.program, (harness.BUILDDIR / "posthoused").read_bytes())

    def renew(self, name):
        pair = self.pki.pair(name=name)
        for source, target in ((pair.key, self.key), (pair.cert, self.cert)):
            shutil.copy2(source, f"{target}.new")
            os.rename(f"{target}.new", target)

    def order(self, number, event, **fields):
        """A signal, and what the log says of it."""
        before = len(self.log.events(event, **fields))
        self.daemon.signal(number)
        self.log.wait_for(event, count=before + 1, **fields)

    def change(self, key, value):
        self.settings[key] = value
        self.t.config(self.configuration(), spool=self.spool, listen=f"127.0.0.1:{self.port}")
        self.order(signal.SIGHUP, "ready")

    def is_shown(self, name):
        """Whether a new client sees that certificate."""
        with TlsClient(self.port, self.pki.context()) as client:
            seen = client.common_name()
            client.quit()
            return seen == name


# ---- the hours ------------------------------------------------------------------------------------------


def a_key_changes(day):
    day.change("hostname", "noon.test")

    def is_greeted():
        with TlsClient(day.port) as client:
            client.quit()
            return client.greeting.text.startswith("noon.test ")

    wait_until(is_greeted, "the new name")  # a worker of before may still take one
    day.clients.more()


def the_upstream_is_away(day):
    """In the midst of deliveries: whether it has what it was sent, and did not answer, nobody can know."""
    uncertain = len(day.log.events("uncertain"))
    down, up = len(day.log.events("upstream_down")), len(day.log.events("upstream_up"))
    away = day.upstream.on("connect", DROP)
    day.upstream.disconnect()
    day.log.wait_for("upstream_down", count=down + 1)
    day.clients.more()
    assert day.daemon.queue(), "an empty queue while the upstream is away"
    day.upstream.rules.remove(away)
    day.log.wait_for("upstream_up", count=up + 1)
    day.uncertain += len(day.log.events("uncertain")) - uncertain
    day.clients.more()


def the_disk_is_full(day):
    if not day.disk:
        day.change("min_free", '"1000000G"')
        day.clients.refusals()
        day.change("min_free", '"1M"')
        day.clients.more()
        return
    # who has a message already cannot be written down, and the next relay and the next executable know it all the same
    busy = day.upstream.on("RCPT", "450 4.2.0 busy", match="<later")
    day.clients.more()
    day.disk.fill()
    day.clients.refusals()
    day.log.wait_for("unsaved")
    day.change("hostname", "afternoon.test")
    day.order(signal.SIGUSR2, "ready")
    day.upstream.rules.remove(busy)
    day.clients.refusals()
    day.disk.free()
    day.clients.more()


def a_certificate_is_renewed(day):
    day.renew("evening")
    wait_until(lambda: day.is_shown("evening"), "the new certificate")
    day.clients.more()


def an_upgrade(day):
    day.install()
    day.order(signal.SIGUSR2, "ready")
    assert harness.executable(day.daemon.pid) in (day.program.stat().st_ino, None), "the file that runs"
    day.clients.more()


def logs_are_rotated(day):
    old = day.log.path.with_name("posthouse.log.1")
    day.log.path.rename(old)
    day.daemon.signal(signal.SIGUSR1)
    day.log.wait_for("log_reopened", files=[day.log.path])
    size = old.stat().st_size
    day.clients.more(100)
    equal(old.stat().st_size, size, "size of the rotated file, later")


def who_is_killed(day):
    """While all is being replaced. A relay may have sent what it could not note: it is not among them."""
    def is_greeted(name):
        try:
            with TlsClient(day.port) as client:
                client.quit()
                return client.greeting.text.startswith(name)
        except (AssertionError, EOFError, OSError):
            return False

    for role in ("worker", "keys", "logger"):
        for number in (signal.SIGHUP, signal.SIGUSR2):
            day.settings["hostname"] = f"{role}.{signal.Signals(number).name.lower()}.test"
            day.t.config(day.configuration(), spool=day.spool, listen=f"127.0.0.1:{day.port}")
            day.install()
            day.daemon.signal(number)
            for pid in day.daemon.children(role)[:3]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            day.clients.more(80)
            if not is_greeted(day.settings["hostname"]):  # it may have been too early for another change, or gone back
                day.daemon.signal(signal.SIGHUP)
            wait_until(lambda: is_greeted(day.settings["hostname"]), "the new name")
    day.clients.end()
    day.daemon.wait_empty()


def the_night(day):
    day.clients.end()
    day.daemon.stop()
    accepted, delivered = day.clients.accepted, collections.Counter()
    for message in day.upstream.messages:
        number = number_of(message.rcpts[0])
        delivered.update(message.rcpts)
        equal(without_received(message.content), day.clients.sent.get(number), f"content of {number}")
    listed = day.t.posthouse("--config", day.t.tmp / "posthoused.conf", "queue", "--ids").split()
    day.t.comment(f"{day.clients.sessions} sessions, {day.clients.broken} broken, {len(accepted)} accepted, {len(delivered)} deliveries, "
                  f"{len(listed)} in the queue; refused for now: {dict(day.clients.refused)}")
    uncertain = collections.Counter(event["to"] for event in day.log.events("uncertain"))
    equal({to: count for to, count in delivered.items() if count > 1 + uncertain[to]}, {}, "delivered more than once")
    equal(sum(uncertain.values()), day.uncertain, "uncertain deliveries, and those of the outages")
    equal(len({n for n in accepted for to in recipients(n) if not delivered[to]}), len(listed),
          "not delivered, and to be seen in the queue")
    if not day.clients.rough:
        equal([e for e in day.log.events("child_exited") if e["status"] != "done"], [], "disorderly ends")
    equal(day.log.events("sandbox_violation"), [], "violations of the sandbox")
    assert len(accepted) > 300, "hardly any load"


def live_through(day):
    for hour in (a_key_changes, the_upstream_is_away, the_disk_is_full, a_certificate_is_renewed, an_upgrade,
                 logs_are_rotated, the_upstream_is_away, the_night):
        hour(day)


def test_a_day(t):
    """The disk is full because the configuration says so."""
    live_through(Day(t))


def test_a_day_with_a_small_disk(t):
    need_root()
    live_through(Day(t, Disk(t)))


def test_a_bad_day(t):
    day = Day(t, rough=True)
    who_is_killed(day)
    the_night(day)


if __name__ == "__main__":
    harness.main(__name__)
