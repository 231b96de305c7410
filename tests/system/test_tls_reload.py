# SPDX-License-Identifier: ISC
"""New certificates without a restart: at HUP and when the files change, with no connection lost."""

import os
import re
import shutil
import signal
import threading
import time

import harness
from certificates import Pki, TlsClient
from harness import equal, wait_until
from smtp_peers import Client, Upstream

CONTENT = b"Subject: reload\r\n\r\nbody\r\n"


class World:
    """A daemon with one certificate, in files that can be replaced."""

    def __init__(self, t, mode="implicit", more=""):
        self.t, self.pki, self.upstream = t, Pki(t), Upstream(t)
        self.cert, self.key = t.tmp / "live.pem", t.tmp / "live.key"
        self.names = 0
        self.put(self.new("first"))
        self.relay = t.daemon(self.upstream, config=f'tls = {mode}\ntls_cert = "{self.cert}"\ntls_key = "{self.key}"\n' + more)
        self.relay.ready()

    def new(self, name, **more):
        return self.pki.pair(name=name, **more)

    def put(self, pair, cert=True, key=True):
        """As certbot and friends do it: a new file in the place of the old, with its time and mode."""
        for wanted, source, target in ((key, pair.key, self.key), (cert, pair.cert, self.cert)):
            if wanted:
                shutil.copy2(source, f"{target}.new")
                os.rename(f"{target}.new", target)

    def hup(self):
        os.kill(self.relay.pid, signal.SIGHUP)

    def shown(self):
        """The name in the certificate that a new client sees."""
        with TlsClient(self.relay, self.pki.context(), implicit=True) as client:
            client.cmd("QUIT", 221)
            return client.common_name()

    def wait_shown(self, name):
        wait_until(lambda: self.shown() == name, f"certificate {name}")


def test_hup(t):
    w = World(t)
    with TlsClient(w.relay, w.pki.context(), implicit=True) as old:
        workers = set(w.relay.children("worker"))
        w.put(w.new("second"))
        w.hup()
        w.relay.wait_for("reloaded", what="certificates")
        w.wait_shown("second")
        wait_until(lambda: len(workers & set(w.relay.children("worker"))) == 1, "idle workers to be replaced")
        old.message(CONTENT)  # what is under way ends with the old
        equal(old.common_name(), "first", "certificate of the old session")
        old.cmd("QUIT", 221)
    wait_until(lambda: not workers & set(w.relay.children("worker")), "the last old worker to leave")
    equal([e for e in w.relay.events("child_exited") if e["status"] != "done"], [], "disorderly ends")


def test_hup_under_load(t):
    """Certificates change and change again while clients come as fast as they can: each is served."""
    w = World(t, more="min_spare = 2\nmax_spare = 4\nmax_workers = 20\n")
    trouble, served, sessions, stop = [], [0], [0], threading.Event()
    seen = set()

    def client(sends):
        context = w.pki.context()
        while not stop.is_set():
            try:
                with TlsClient(w.relay, context, implicit=True) as c:
                    if sends:
                        c.message(CONTENT)
                        served[0] += 1
                    c.cmd("QUIT", 221)
                    seen.add(c.common_name())
                    sessions[0] += 1
            except Exception as e:
                trouble.append(repr(e))
                return

    threads = [threading.Thread(target=client, args=(n < 2,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for number in range(6):
        w.put(w.new(f"turn{number}"))
        w.hup()
        w.relay.wait_for("reloaded", count=number + 1, what="certificates")
        wait_until(lambda n=number: f"turn{n}" in seen or trouble, "the new certificate to be seen")
    stop.set()
    for thread in threads:
        thread.join(harness.DEADLINE)
    equal(trouble, [], "failed sessions")
    equal(w.relay.events("tls_failed"), [], "failed handshakes")
    t.comment(f"{sessions[0]} sessions over 6 changes of the certificate")
    w.upstream.wait_received(served[0])


def test_files_are_watched(t):
    """One after the other, with time between, as by hand: nothing half is ever in use."""
    w = World(t)
    second = w.new("second")
    w.put(second, cert=False)
    w.relay.wait_for("reload_refused", what="certificates", msg=re.compile("live.key does not belong to .*live.pem"))
    equal(w.shown(), "first", "certificate while the pair does not match")
    w.put(second, key=False)
    w.relay.wait_for("reloaded", what="certificates")
    w.wait_shown("second")


def test_symbolic_links_are_followed(t):
    """The link stays, what it points to is another: live/ of certbot; or ..data of Kubernetes."""
    w = World(t)
    pairs = {name: w.new(name) for name in ("a", "b")}
    for name, pair in pairs.items():
        (t.tmp / f"dir-{name}").mkdir()
        shutil.copy2(pair.cert, t.tmp / f"dir-{name}/cert")
        shutil.copy2(pair.key, t.tmp / f"dir-{name}/key")
    (t.tmp / "data").symlink_to("dir-a")
    for file, inner in ((w.cert, "cert"), (w.key, "key")):
        file.unlink()
        file.symlink_to(f"data/{inner}")
    w.wait_shown("a")
    (t.tmp / "data.new").symlink_to("dir-b")
    os.rename(t.tmp / "data.new", t.tmp / "data")
    w.wait_shown("b")
    # in place, too
    third = w.new("third")
    shutil.copyfile(third.key, t.tmp / "dir-b/key")
    shutil.copyfile(third.cert, t.tmp / "dir-b/cert")
    w.wait_shown("third")


def test_bad_pairs_are_refused(t):
    """Each is told once, and the old stays; what is good again is taken."""
    w = World(t)
    second = w.new("second")
    expired = w.new("expired", begins=-9, ends=-1)

    def gone():
        w.cert.unlink()

    def spoil(data):
        w.put(second)
        w.cert.write_bytes(data)

    def readable():
        w.put(second)
        w.key.chmod(0o644)

    for number, (change, reason) in enumerate(((lambda: w.put(expired), "expired at"), (gone, "No such file"),
                                               (lambda: spoil(b"\xff\n\x1b[31m"), "no certificate in PEM form"),
                                               (lambda: spoil(b""), "is empty"),
                                               (readable, "can be read by everyone .mode 0644.: chmod o-rwx"))):
        change()
        w.relay.wait_for("reload_refused", msg=re.compile(reason), kept="the old")
        w.hup()  # asked again, it says so again
        refused = w.relay.wait_for("reload_refused", count=2 * number + 2)
        assert re.search(reason, refused[-1]["msg"]), refused
        equal(w.shown(), "first", f"certificate ({reason})")
    before = len(w.relay.events("reload_refused"))
    end = time.monotonic() + 5
    while time.monotonic() < end:  # looks come every two seconds
        assert len(w.relay.events("reload_refused")) == before, "told again without a change"
        time.sleep(0.1)
    w.key.chmod(0o600)
    w.wait_shown("second")
    equal(w.relay.events("child_exited", status="failed"), [], "lost workers")


def test_hup_without_tls(t):
    """And one that comes while the service stops."""
    relay = t.daemon(Upstream(t)).ready()
    os.kill(relay.pid, signal.SIGHUP)
    relay.wait_for("reload")
    client = Client(relay)
    client.cmd("MAIL FROM:<a@b.test>", 250)
    relay.signal(signal.SIGTERM)
    relay.wait_for("stopping")
    os.kill(relay.pid, signal.SIGHUP)
    client.cmd("RCPT TO:<c@d.test>", 250)
    client.cmd("RSET", 250)
    client.close()
    relay.stop()
    equal(len(relay.events("reload")), 1, "reloads")


if __name__ == "__main__":
    harness.main(__name__)
