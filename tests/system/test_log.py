# SPDX-License-Identifier: ISC
"""Where the log goes: files that are rotated under load, full disks and receivers that hang, the journal, syslog,
JSON lines, levels by part. And reading it again: posthouse log."""

import gzip
import json
import lzma
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time

import harness
from harness import BUILDDIR, SRCDIR, Skip, equal, need_program, need_root, wait_until
from smtp_peers import Client, Upstream

CONTENT = b"Subject: log\r\n\r\nbody\r\n"
POOL = "min_spare = 2\nmax_spare = 3\nmax_workers = 12\nmax_commands = 0\n"


def parse(line):
    """An event of one line, in either format."""
    if not line.startswith("{"):
        event = harness.parse_event(line)
    else:
        value = json.loads(line)
        event = harness.Event({k: v for k, v in value.items() if not k.startswith("_") and k != "time_ms"})
        event.pid, event.when = value["_pid"], value["time_ms"] / 1000
    assert event is not None, f"not a whole line: {line!r}"
    return event


class FileLog:
    """The log file of a daemon, and those that were rotated from it."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def files(self):
        return sorted(self.path.parent.glob(self.path.name + "*"), key=lambda p: p.stat().st_mtime)

    def events(self, name=None, files=None, **fields):
        found = []
        for path in files or self.files():
            try:
                text = path.read_text("ascii")
            except FileNotFoundError:  # it is being rotated
                continue
            found += [parse(line) for line in text[:text.rfind("\n") + 1].splitlines()]
        return [e for e in found if (name is None or e["event"] == name) and harness._matches(e, fields)]

    def wait_for(self, name, count=1, files=None, **fields):
        found = wait_until(lambda: (e := self.events(name, files, **fields)) and len(e) >= count and e,
                           f"event={name} {fields or ''} x{count} in {self.path}")
        return found[0] if count == 1 else found


class Logged:
    """A daemon whose log is a file; .port as clients want it."""

    def __init__(self, t, remote, config="", path=None, **options):
        self.log = FileLog(path or t.tmp / "log")
        earlier = len(self.log.events("ready"))
        self.daemon = t.daemon(remote, config=f'log = "{self.log.path}"\n{POOL}{config}', **options)
        wait_until(lambda: len(self.log.events("ready")) > earlier, "ready")
        self.port = int(self.log.events("listening")[-1]["localaddr"].rpartition(":")[2])

    @property
    def pid(self):
        return self.daemon.pid

    def writer(self):
        return self.daemon.child("logger")

    def rotate(self, number, by_signal=True):
        """Moves the file away and waits for the next; the size the old one must keep."""
        old = self.log.path.with_name(f"{self.log.path.name}.{number}")
        self.log.path.rename(old)
        if by_signal:
            os.kill(self.pid, signal.SIGUSR1)
        wait_until(self.log.path.exists, "another file")
        self.log.wait_for("log_reopened", files=[self.log.path])
        return old, old.stat().st_size


def submit(relay, sender="sender@client.test", content=CONTENT):
    with Client(relay) as client:
        client.message(content, sender=sender)
        client.quit()


# ---- files -----------------------------------------------------------------------

def test_file(t):
    upstream = Upstream(t)
    relay = Logged(t, upstream)
    mode = relay.log.path.stat()
    equal((stat.S_IMODE(mode.st_mode), mode.st_uid), (0o640, os.geteuid()), "mode and owner of the file")
    submit(relay)
    accepted = relay.log.wait_for("accepted")
    relay.log.wait_for("completed", id=accepted["id"])
    equal(relay.daemon.lines, [], "standard error")
    if os.geteuid() == 0:
        status = pathlib.Path(f"/proc/{relay.writer()}/status").read_text()
        assert not re.search(r"^Uid:\s+0", status, re.M), "the writer is root"
    relay.daemon.stop()
    equal(relay.log.events()[-1]["event"], "stopped", "last line")
    # the next one goes on behind it
    before = relay.log.path.read_text()
    again = Logged(t, upstream, name="again")
    again.daemon.stop()
    assert relay.log.path.read_text().startswith(before), "the file was begun anew"


def test_no_descriptor_too_many(t):
    """The reading end of the pipe is the master's and the writer's: a worker could read what others say."""
    relay = Logged(t, Upstream(t))

    def ends(pid):
        found = []
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            try:
                found.append((os.readlink(fd), int(re.search(r"flags:\s+(\d+)", pathlib.Path(str(fd).replace("/fd/", "/fdinfo/")).read_text())[1], 8) & 3))
            except OSError:
                pass
        return found

    writer = relay.writer()
    if not harness.can_look_into(relay.daemon.child("worker")):
        raise harness.Skip("what other processes have open is for root to see")
    pipe = [link for link, access in ends(writer) if link.startswith("pipe:") and access == os.O_RDONLY]
    equal(len(pipe), 1, "pipes that the writer reads")
    assert (pipe[0], os.O_WRONLY) not in ends(writer), "the writer holds its own pipe open"
    for pid in relay.daemon.children():
        if pid == writer:
            continue
        mine = ends(pid)
        assert (pipe[0], os.O_WRONLY) in mine, f"{harness.process_title(pid)} has no log"
        assert (pipe[0], os.O_RDONLY) not in mine, f"{harness.process_title(pid)} can read the log"
        assert str(relay.log.path) not in [link for link, _ in mine], f"{harness.process_title(pid)} has the file"


def test_what_is_no_file(t):
    """A symbolic link, a folder, a folder that is not there: told by -t, and at the start on standard error."""
    (t.tmp / "target").write_text("")
    (t.tmp / "link").symlink_to(t.tmp / "target")
    for path, why in ((t.tmp / "link", "no ordinary file|symbolic link"), (t.tmp, "no ordinary file"),
                      (t.tmp / "none" / "log", "there is no folder")):
        config = t.config(f'log = "{path}"\nremoteaddr = "127.0.0.1:9"\n', spool=t.tmp / "spool")
        for args in (["-t"], ["-F"]):
            run = t.run([BUILDDIR / "posthoused", *args, "-f", config], check=1)
            assert re.search(f"{path}: .*({why})", run.stderr.decode()), (args, run.stderr)
    equal((t.tmp / "target").read_text(), "", "what the link leads to")
    for value, why in (("somewhere", "auto, stderr, syslog or journal, and no absolute path"),):
        config = t.config(f'log = "{value}"\nremoteaddr = "127.0.0.1:9"\n', spool=t.tmp / "spool")
        run = t.run([BUILDDIR / "posthoused", "-t", "-f", config], check=1)
        assert why in run.stderr.decode(), run.stderr


def test_a_start_that_fails_is_told_on_standard_error_too(t):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = t.config(f'log = "{t.tmp}/log"\nlocaladdr = "127.0.0.1:{taken.getsockname()[1]}"\n'
                          'remoteaddr = "127.0.0.1:9"\n', spool=t.tmp / "spool")
        run = t.run([BUILDDIR / "posthoused", "-F", "-f", config], check=1)
        assert b"in use" in run.stderr, run.stderr
    FileLog(t.tmp / "log").wait_for("start_failed")


# ---- rotation ----------------------------------------------------------------------

def test_rotation_under_load(t):
    """No line is lost or torn, each is in one file, and a file that was moved away does not grow any more."""
    upstream = Upstream(t)
    relay = Logged(t, upstream)
    senders, per_sender = 4, 60
    done = threading.Event()

    def send(number):
        with Client(relay) as client:
            for i in range(per_sender):
                client.message(CONTENT, sender=f"s{number}-{i}@client.test")
            client.quit()

    held = Client(relay)  # in a session from the first file to the last
    held.mail(sender="held@client.test")
    threads = [threading.Thread(target=send, args=(n,)) for n in range(senders)]
    for thread in threads:
        thread.start()
    kept, number = [], 0
    while any(thread.is_alive() for thread in threads) or number < 8:
        number += 1
        kept.append(relay.rotate(number))
    done.set()
    for thread in threads:
        thread.join()
    held.data(CONTENT)
    held.quit()
    wait_until(lambda: len(relay.log.events("completed")) == senders * per_sender + 1, "all to be delivered")
    relay.daemon.stop()
    t.comment(f"{number} rotations")
    for path, size in kept:
        equal(path.stat().st_size, size, f"size of {path.name} since the next one was there")
    wanted = sorted([f"s{n}-{i}@client.test" for n in range(senders) for i in range(per_sender)] + ["held@client.test"])
    equal(sorted(e["from"] for e in relay.log.events("accepted")), wanted, "messages accepted by the log")
    assert relay.log.events("accepted", files=[relay.log.path], **{"from": "held@client.test"}), "in the last file"
    equal(relay.log.events("log_lost"), [], "lines lost")


def test_moved_without_a_word(t):
    """Nobody sends a signal: it is noticed; also when it is removed, and while a session is open."""
    relay = Logged(t, Upstream(t))
    with Client(relay) as client:
        client.mail()
        relay.rotate(1, by_signal=False)
        client.data(CONTENT)
        relay.log.wait_for("accepted", files=[relay.log.path])
        relay.log.path.unlink()
        wait_until(relay.log.path.exists, "another file")
        client.message(CONTENT)
        relay.log.wait_for("accepted", files=[relay.log.path])
    equal(len(relay.log.events("log_reopened")), 1, "in the third file; the second is gone")


def test_reload_and_upgrade(t):
    """One file through HUP and USR2, busy sessions of the old ones included; and another path by HUP."""
    upstream = Upstream(t)
    relay = Logged(t, upstream)
    with Client(relay) as client:
        client.mail(sender="old@client.test")
        relay.daemon.signal(signal.SIGUSR2)
        wait_until(lambda: len(relay.log.events("ready")) == 2, "the next executable to be ready")
        equal(len(relay.daemon.children("logger")), 1, "writers")
        relay.rotate(1)
        client.data(CONTENT)
        client.quit()
    relay.log.wait_for("accepted", files=[relay.log.path], **{"from": "old@client.test"})
    config = t.tmp / "posthoused.conf"
    config.write_text(config.read_text().replace(str(relay.log.path), f"{t.tmp}/other") + "log_format = json\n")
    with Client(relay) as client:
        client.mail(sender="before@client.test")
        relay.daemon.signal(signal.SIGHUP)
        other = FileLog(t.tmp / "other")
        wait_until(lambda: other.path.exists() and other.events("ready"), "ready in the other file")
        size = relay.log.path.stat().st_size
        client.data(CONTENT)
        client.quit()
    other.wait_for("accepted", **{"from": "before@client.test"})
    submit(relay, sender="after@client.test")
    other.wait_for("accepted", **{"from": "after@client.test"})
    equal(relay.log.path.stat().st_size, size, "size of the old file")


def test_in_a_folder_that_only_root_sees(t):
    need_root()
    folder = t.tmp / "private"
    folder.mkdir(mode=0o700)
    relay = Logged(t, Upstream(t), path=folder / "log")
    relay.rotate(1, by_signal=False)
    submit(relay)
    relay.log.wait_for("accepted", files=[relay.log.path])


def test_no_new_file_can_be_made(t):
    """The old one goes on, and says so; when it can be made again, it is."""
    folder = t.tmp / "logs"
    folder.mkdir()
    relay = Logged(t, Upstream(t), path=folder / "log")
    relay.log.path.rename(folder / "log.1")
    relay.log.path.mkdir()
    os.kill(relay.pid, signal.SIGUSR1)
    wait_until(lambda: "log_failed" in (folder / "log.1").read_text(), "log_failed in the old file")
    submit(relay)
    wait_until(lambda: "event=accepted" in (folder / "log.1").read_text(), "accepted in the old file")
    relay.log.path.rmdir()
    os.kill(relay.pid, signal.SIGUSR1)
    relay.log.wait_for("log_reopened")


def test_logrotate(t):
    """The example in contrib, as it is but for the path."""
    logrotate = need_program("logrotate")
    relay = Logged(t, Upstream(t))
    config = t.tmp / "logrotate.conf"
    text = (SRCDIR / "contrib/logrotate/posthouse").read_text()
    assert "/var/log/posthouse.log {" in text
    config.write_text(text.replace("/var/log/posthouse.log", str(relay.log.path)))
    config.chmod(0o644)
    for number in (1, 2, 3):
        submit(relay, sender=f"{number}@client.test")
        relay.log.wait_for("accepted", files=[relay.log.path], **{"from": f"{number}@client.test"})
        t.run([logrotate, "--force", "--state", t.tmp / "state", config], check=0)
        wait_until(relay.log.path.exists, "another file")
        relay.log.wait_for("log_reopened", files=[relay.log.path])
    relay.daemon.stop()
    assert (t.tmp / "log.2.gz").exists() and (t.tmp / "log.3.gz").exists(), list(t.tmp.iterdir())
    shown = t.posthouse("log", "--file", relay.log.path, "--event", "accepted")
    equal(re.findall(r"from=(\d)@", shown), ["1", "2", "3"], "what posthouse log shows of all of them")


# ---- what hangs, dies or is full ---------------------------------------------------------

def test_writer_is_killed(t):
    relay = Logged(t, Upstream(t))
    first = relay.writer()
    with Client(relay) as client:
        client.mail()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: relay.daemon.children("logger") not in ([], [first]), "another writer")
        relay.log.wait_for("log_failed")
        client.data(CONTENT)
        relay.log.wait_for("accepted")
    relay.daemon.stop()
    equal(relay.log.events()[-1]["event"], "stopped", "last line")


def flood(client, lines=3000, each=b"x" * 450):
    """More lines of the log than any pipe takes (with log_level = debug), by a client that may say this."""
    for _ in range(lines // 50):
        client.send(b"NOOP %s\r\n" % each * 50)
        for _ in range(50):
            client.expect(250)


def test_writer_hangs(t):
    """A disk that hangs: mail goes on, lines are dropped and counted, and those that are written are whole."""
    upstream = Upstream(t)
    relay = Logged(t, upstream, 'log_level = {"info", "client=debug"}\n')
    writer = relay.writer()
    os.kill(writer, signal.SIGSTOP)
    try:
        with Client(relay) as client:
            flood(client)
            client.message(CONTENT)
            submit(relay)
            upstream.wait_messages(2)
    finally:
        os.kill(writer, signal.SIGCONT)
    lost = relay.log.wait_for("log_lost")
    assert int(lost["lines"]) > 100, lost
    submit(relay)
    relay.log.wait_for("accepted")
    seen = len(relay.log.events("dialogue"))
    assert seen + int(lost["lines"]) >= 6000, (seen, lost)


def test_master_is_killed(t):
    """Sessions that go on to their end without it are logged, too; then the writer ends."""
    relay = Logged(t, Upstream(t), "stop_timeout = 20s\n")
    with Client(relay) as client:
        client.mail()
        relay.daemon.kill9()
        client.data(CONTENT)
        relay.log.wait_for("accepted")
    wait_until(lambda: not relay.daemon.leftovers(), "the writer and all others to end")


def test_disk_full(t):
    """Of the log alone: what was half written is completed when there is room again."""
    need_root()
    folder = t.tmp / "small"
    folder.mkdir()
    mounted = [need_program("unshare", "util-linux"), "--mount", "/bin/sh", "-c",
               'mount -t tmpfs -o size=512k,mode=755 tmpfs "$0" && exec "$@"', folder]
    upstream = Upstream(t)
    config = f'log = "{folder}/log"\nlog_level = {{"info", "client=debug"}}\n{POOL}'
    daemon = t.daemon(upstream, config=config, prefix=mounted)
    inside = pathlib.Path(f"/proc/{daemon.pid}/root{folder}")
    log = FileLog(inside / "log")
    wait_until(lambda: log.path.exists() and log.events("ready"), "ready")
    port = int(log.events("listening")[0]["localaddr"].rpartition(":")[2])
    filler = inside / "filler"
    filler.write_bytes(b"x" * (450 << 10))
    with Client(port) as client:
        flood(client, 200)
        wait_until(lambda: os.statvfs(inside).f_bfree == 0, "the disk to be full")
        client.message(CONTENT)
        client.quit()
    upstream.wait_messages(1)
    assert log.path.read_bytes()[-1:] != b"\n" or log.path.stat().st_size % 4096 == 0
    filler.unlink()
    log.wait_for("accepted")  # every line is parsed
    equal(log.events("log_lost"), [], "lines lost: the pipe had room for all of this")
    daemon.stop()


def test_standard_error_that_nobody_reads(t):
    upstream = Upstream(t)
    config = t.config(f"{POOL}log = stderr\nlog_level = debug\n", upstream, spool=t.tmp / "spool")
    run = subprocess.Popen([BUILDDIR / "posthoused", "-F", "-f", config], stderr=subprocess.PIPE, start_new_session=True)
    t.later(run.wait)
    t.later(lambda: run.poll() is None and run.terminate())
    lines = []
    while not lines or "event=ready" not in lines[-1]:
        lines.append(run.stderr.readline().decode("ascii"))
    port = int(re.search(r"localaddr=127.0.0.1:(\d+)", "".join(lines))[1])
    with Client(port) as client:
        flood(client, 400)
        client.message(CONTENT)
        client.quit()
    upstream.wait_messages(1)
    text = b""
    while b"event=log_lost" not in text:
        text += os.read(run.stderr.fileno(), 65536)
    run.terminate()
    rest, reader = [], threading.Thread(target=lambda: rest.append(run.stderr.read()))
    reader.start()
    equal(run.wait(harness.DEADLINE), 0, "exit status")
    reader.join()
    run.stderr.close()
    for line in (text + rest[0]).decode("ascii").splitlines():
        parse(line)


# ---- formats and levels ---------------------------------------------------------------------

def test_json_lines(t):
    upstream = Upstream(t)
    relay = Logged(t, upstream, "log_format = json\n")
    with Client(relay) as client:
        client.message(CONTENT, sender='"quoted \\" one"@client.test')
        client.send(b"MAIL FROM:<bad\xff\x01\">\r\n")
        client.reply()
        client.quit()
    relay.log.wait_for("completed")
    relay.daemon.stop()
    for line in relay.log.path.read_text("ascii").splitlines():
        value = json.loads(line)
        assert {"_time", "_level", "_program", "_pid", "event", "time_ms"} <= value.keys(), line
        equal(value["_time"][:19], time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(value["time_ms"] // 1000)), "_time")
    equal(relay.log.events("accepted")[0]["from"], '"quoted \\" one"@client.test', "sender")
    assert "\ufffd\x01" in relay.log.events("rejected")[0]["line"], relay.log.events("rejected")
    shown = t.posthouse("log", "--file", relay.log.path)
    assert "\x01" not in shown and "accepted" in shown


def test_json_on_standard_error(t):
    relay = t.daemon(Upstream(t), config="log_format = json\n")
    wait_until(lambda: any('"event":"ready"' in line for line in relay.lines), "ready")
    for line in relay.lines:
        parse(line)


def test_levels(t):
    upstream = Upstream(t)
    for name, levels, there, missing in (
            ("client", '{"info", "client=debug"}', {"dialogue", "accepted", "ready"}, {"upstream_dialogue"}),
            ("upstream", '{"info", "upstream=debug"}', {"upstream_dialogue", "accepted"}, {"dialogue"}),
            ("quiet", '{"warning", "service=info", "relay=info"}', {"ready", "delivered"}, {"accepted", "dialogue"}),
            ("all", "debug", {"dialogue", "upstream_dialogue", "accepted"}, set())):
        relay = Logged(t, upstream, f"log_level = {levels}\n", name=name, path=t.tmp / f"log-{name}")
        submit(relay)
        if "delivered" in there or name != "quiet":
            relay.log.wait_for("completed")
        relay.daemon.stop()
        seen = {e["event"] for e in relay.log.events()}
        equal((there - seen, missing & seen), (set(), set()), f"events of {levels}")


def test_wrong_keys(t):
    for text, why in (('log_level = {"info", "smtp=debug"}', "not one of service, client"),
                      ("log_level = loud", "not one of error, warning, info or debug"),
                      ("log_format = xml", "not one of text or json"),
                      ("log = journal\nlog_format = json", "log_format = json has no effect")):
        config = t.config(f'{text}\nremoteaddr = "127.0.0.1:9"\n', spool=t.tmp / "spool")
        run = t.run([BUILDDIR / "posthoused", "-t", "-f", config], check=1)
        assert why in run.stderr.decode(), (text, run.stderr)


def test_usr1_without_a_file(t):
    relay = t.daemon(Upstream(t)).ready()
    relay.signal(signal.SIGUSR1)
    relay.wait_for("signal_ignored", msg=re.compile("no file"))


# ---- the journal and syslog: sockets in a mount namespace -----------------------------------

class Datagrams:
    """A daemon's socket; it may stop reading, and go on."""

    def __init__(self, t, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        path.chmod(0o666)
        self.socket.settimeout(0.05)
        self.seen = []
        self.reads, self.lives = True, True
        self.busy = threading.Lock()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        t.later(self.close)

    def _read(self):
        while self.lives:
            with self.busy:
                if self.reads:
                    try:
                        self.seen.append(self.socket.recv(1 << 18))
                        continue
                    except TimeoutError:
                        pass
            time.sleep(0.01)

    def hang(self, hangs):
        with self.busy:
            self.reads = not hangs

    def close(self):
        self.lives = False
        self.reader.join()
        self.socket.close()

    def wait_for(self, text):
        wait_until(lambda: any(text in one for one in self.seen), f"{text} on the socket")
        return next(one for one in self.seen if text in one)


def with_journal(t):
    """The words in front of a command that make it see a journal, whose socket is ours."""
    need_root()
    folder = t.tmp / "journal"
    folder.mkdir(mode=0o755)
    words = [need_program("unshare", "util-linux"), "--mount", "/bin/sh", "-c",
             'mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/systemd/journal && '
             'mount --bind "$0" /run/systemd/journal && exec "$@"', folder]
    if subprocess.run([*words, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise Skip("no mount namespace can be made here")
    return words, Datagrams(t, folder / "socket")


def fields_of(datagram):
    return dict(line.split("=", 1) for line in datagram.decode("ascii").splitlines())


def port_of(datagrams):
    datagrams.wait_for(b"event=ready")
    return int(re.search(rb"localaddr=127.0.0.1:(\d+)", datagrams.wait_for(b"event=listening"))[1])


def test_journal(t):
    words, journal = with_journal(t)
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=f"log = journal\n{POOL}", prefix=words)
    port = port_of(journal)
    submit(port, sender='"a b"@client.test')
    accepted = fields_of(journal.wait_for(b"POSTHOUSE_EVENT=accepted"))
    equal((accepted["PRIORITY"], accepted["SYSLOG_IDENTIFIER"], accepted["POSTHOUSE_FROM"], accepted["POSTHOUSE_PROTO"]),
          ("6", "posthoused", '"a b"@client.test', "ESMTP"), "fields")
    event = harness.parse_kv(accepted["MESSAGE"])
    equal({f"POSTHOUSE_{k.upper()}": v for k, v in event.items()},
          {k: v for k, v in accepted.items() if k.startswith("POSTHOUSE_")}, "the fields are the line's pairs")
    journal.wait_for(b"POSTHOUSE_EVENT=completed")
    equal(relay.lines, [], "standard error")


def test_journal_that_hangs(t):
    words, journal = with_journal(t)
    upstream = Upstream(t)
    t.daemon(upstream, config=f"log = journal\nlog_level = debug\n{POOL}", prefix=words)
    port = port_of(journal)
    journal.wait_for(b"event=ready")
    journal.hang(True)
    with Client(port) as client:
        flood(client, 1000)
        client.message(CONTENT)
        client.quit()
    upstream.wait_messages(1)
    journal.hang(False)
    assert int(fields_of(journal.wait_for(b"event=log_lost"))["POSTHOUSE_LINES"]) > 100


def test_auto_is_the_journal_where_standard_error_is(t):
    words, journal = with_journal(t)
    env = {**os.environ}
    stream = ["/bin/sh", "-c", 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"', "sh"]
    t.daemon(Upstream(t), config=POOL, prefix=[*words, *stream], env=env)
    journal.wait_for(b"event=ready")
    # JSON lines are asked for: they go to standard error
    other = t.daemon(Upstream(t), config=f"log_format = json\n{POOL}", prefix=[*words, *stream], name="json", env=env)
    wait_until(lambda: any('"event":"ready"' in line for line in other.lines), "ready")
    # of another descriptor
    env["JOURNAL_STREAM"] = "1:1"
    t.daemon(Upstream(t), config=POOL, prefix=words, name="other", env=env).ready()


def test_syslog(t):
    need_root()
    folder = t.tmp / "dev"
    folder.mkdir(mode=0o755)
    words = [need_program("unshare", "util-linux"), "--mount", "/bin/sh", "-c",
             'for n in null zero full random urandom; do touch "$0/$n" && mount --bind "/dev/$n" "$0/$n"; done && '
             'ln -s /proc/self/fd "$0/fd" && mount --rbind "$0" /dev && exec "$@"', folder]
    syslog = Datagrams(t, folder / "log")
    if subprocess.run([*words, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise Skip("no mount namespace can be made here")
    (folder / "fd").unlink()
    upstream = Upstream(t)
    t.daemon(upstream, config=f"log = syslog\nlog_level = debug\n{POOL}", prefix=words)
    line = syslog.wait_for(b"event=ready").decode()
    assert re.fullmatch(r"<22>\w{3} [ \d]\d \d\d:\d\d:\d\d posthoused\[\d+\]: event=ready .*", line), line
    port = port_of(syslog)
    submit(port)
    syslog.wait_for(b"event=accepted")
    # it hangs, and is restarted
    syslog.hang(True)
    with Client(port) as client:
        flood(client, 1000)
        client.message(CONTENT)
        client.quit()
    upstream.wait_messages(2)
    syslog.close()
    (folder / "log").unlink()
    syslog = Datagrams(t, folder / "log")
    submit(port)
    syslog.wait_for(b"event=accepted")
    syslog.wait_for(b"event=log_lost")


# ---- posthouse log ----------------------------------------------------------------------------

def make_log(t):
    """A log in several files, of several formats; the ids of a@ and b@."""
    upstream = Upstream(t)
    relay = Logged(t, upstream)
    submit(relay, sender="a@client.test")
    relay.log.wait_for("completed")
    with Client(relay) as client:
        client.mail(sender="b@client.test", rcpts=("x@example.test", "y@example.com"))
        relay.rotate(1)
        client.data(CONTENT)
        client.quit()
    relay.log.wait_for("completed", files=[relay.log.path])
    relay.log.wait_for("accepted", count=2)
    relay.daemon.stop()
    ids = {e["from"]: e["id"] for e in relay.log.events("accepted")}
    return relay.log, ids["a@client.test"], ids["b@client.test"]


def events_shown(text):
    return [line.split()[2] for line in text.splitlines()]


OF_ONE = ["accepted", "completed", "delivered"]  # sorted: the relay may be faster than who accepted it


def test_log_of_a_message(t):
    log, a, b = make_log(t)
    config = t.config(f'log = "{log.path}"\nremoteaddr = "127.0.0.1:9"\n', spool=t.tmp / "spool-posthoused")
    one = t.posthouse("--config", config, "log", a)
    equal(sorted(events_shown(one)), OF_ONE, "of one message")
    equal(sorted(events_shown(t.posthouse("--config", config, "log", a.upper()))), OF_ONE, "typed")
    equal(set(re.findall(r"id=(\S+)", t.posthouse("--config", config, "log", a, b))), {a, b}, "of two")
    objects = [json.loads(line) for line in t.posthouse("--config", config, "log", "--json", b).splitlines()]
    equal(sorted(o["event"] for o in objects), sorted([*OF_ONE, "delivered"]), "as JSON")
    equal({o["id"] for o in objects}, {b}, "ids")
    assert all(isinstance(o["time_ms"], int) and o["_program"] == "posthoused" for o in objects), objects
    t.posthouse("--config", config, "log", "zzzzzzzz", check=1)
    t.posthouse("--config", config, "log", "not/an/id", check=2)


def test_log_selectors(t):
    log, a, b = make_log(t)

    def ids(*args):
        return set(re.findall(r"\bid=(\S+)", t.posthouse("log", "--file", log.path, *args, check=None)))

    for args, wanted in ((["--from", "a@client.test"], {a}), (["--from", "*@client.test"], {a, b}),
                         (["--to", "y@example.com"], {b}), (["--domain", "example.com"], {b}),
                         (["--domain", "example.test"], {a, b}), (["--upstream", "default"], {a, b}),
                         (["--from", "a@client.test", "--domain", "example.com"], set()),
                         (["--since", "1h", "--event", "accepted"], {a, b}),
                         (["--until", "2001-01-01"], set()), (["--since", "2001-01-01 10:00"], {a, b}),
                         (["--until", "00:00", "--since", "2001-01-01"], None)):
        if wanted is not None:
            equal(ids(*args), wanted, f"ids of {' '.join(args)}")
        else:
            ids(*args)
    equal(events_shown(t.posthouse("log", "--file", log.path, "--to", "y@example.com")).count("accepted"), 1,
          "lines of what another line selected")
    for wrong in (["--since", "soon"], ["--from", "a b@"], ["--file", log.path, "--journal"], ["--nothing"]):
        run = t.run([BUILDDIR / "posthouse", "log", *wrong])
        equal(run.returncode, 2, f"exit status of {wrong}")
    t.posthouse("log", "--file", t.tmp / "none", check=3)


def test_log_while_it_is_rotated(t):
    """Moved away, and the next file is not there yet: that is no error. Another name is one."""
    log, a, _b = make_log(t)
    whole = events_shown(t.posthouse("log", "--file", log.path, a))
    log.path.rename(log.path.with_name("log.0"))
    equal(events_shown(t.posthouse("log", "--file", log.path, a)), whole, "events")
    follower = t.start([BUILDDIR / "posthouse", "log", "--file", log.path, "--follow"], name="follower")
    follower.wait_stdout(lambda out: a.encode() in out, "what was rotated")
    log.path.write_bytes(b"event=accepted id=1k0y2v75rbw6gtyc\n")
    follower.wait_stdout(lambda out: b"1k0y2v75rbw6gtyc" in out, "what came into the new file")
    follower.signal(signal.SIGINT)
    follower.wait()


def test_log_compressed(t):
    log, a, b = make_log(t)
    text = log.path.with_name("log.1").read_bytes()
    whole = events_shown(t.posthouse("log", "--file", log.path, a))
    packed = log.path.with_name("log.2.gz")
    log.path.with_name("log.1").unlink()
    for name, pack, program in (("log.2.gz", gzip.compress, "gzip"), ("log-20261123.xz", lzma.compress, "xz"),
                                ("log.1.zst", None, "zstd")):
        if not shutil.which(program):
            t.comment(f"{program} is missing")
            continue
        packed = log.path.with_name(name)
        packed.write_bytes(pack(text) if pack else t.run(["zstd", "-qc"], check=0, data=text).stdout)
        os.utime(packed, (1, 1))
        equal(events_shown(t.posthouse("log", "--file", log.path, a)), whole, f"of {name}")
        packed.write_bytes(packed.read_bytes()[:-20])
        run = t.run([BUILDDIR / "posthouse", "log", "--file", log.path, b], check=3)
        assert f"{packed}: {program}" in run.stderr.decode(), run.stderr
        assert b"accepted" in run.stdout, "what could be read is shown"
        packed.unlink()


def test_log_with_what_is_none(t):
    """Blocks of NULs (a crash, a file that was emptied), endless lines and impossible times harm no other line."""
    files = {"nul": b"event=one a=1\0b\nevent=two a=1\n",
             "hole": b"\0" * 200_000 + b"event=one a=1\nevent=two a=1\n",
             "long": b"event=none a=" + b"x" * 70_000 + b"\nevent=two a=1\n",
             "time": b'{"event":"none","time_ms":9223372036854775807}\nevent=two a=1\n',
             "end": b"event=one a=1\nevent=two a=1",
             "json": b'{"event":"one","line":"a\\u0000b"}\nevent=two a=1\n'}
    for name, text in files.items():
        path = t.tmp / name
        path.write_bytes(text)
        for options in ([], ["--since", "2001-01-01"], ["--json"]):
            shown = t.posthouse("log", "--file", path, *options)
            assert "two" in shown, (name, options, shown)
            if name in ("hole", "end", "json"):
                assert "one" in shown, (name, options, shown)


def test_log_of_syslog_and_others(t):
    log, a, _b = make_log(t)
    lines = []
    for path in log.files():
        for line in path.read_text().splitlines():
            lines.append(re.sub(r"^\S+ ", "Nov 23 10:11:12 relay ", line))
            lines.append(f"Nov 23 10:11:12 relay postfix/smtpd[1]: warning: event=accepted id={a} posthoused[2]: event=accepted id={a}")
    shown = t.posthouse("log", "--file", "-", a, data="\n".join(lines).encode())
    equal(sorted(events_shown(shown)), OF_ONE, "among lines of others")
    assert re.match(r"\d{4}-11-23 10:11:12 ", shown), shown


def test_log_follow(t):
    """Over a rotation, and on to what comes next."""
    relay = Logged(t, Upstream(t))
    config = t.config(f'log = "{relay.log.path}"\nremoteaddr = "127.0.0.1:9"\n', spool=t.tmp / "spool", name="reader")
    follower = t.start([BUILDDIR / "posthouse", "--config", config, "log", "--follow", "--event", "accepted"])
    submit(relay, sender="one@client.test")
    follower.wait_stdout(lambda out: b"one@client.test" in out, "the first")
    relay.rotate(1)
    submit(relay, sender="two@client.test")
    follower.wait_stdout(lambda out: b"two@client.test" in out, "the second")
    submit(relay, sender="three@client.test")
    follower.wait_stdout(lambda out: b"three@client.test" in out, "the third")
    equal(follower.stdout.count(b"accepted"), 3, "lines")
    follower.signal(signal.SIGINT)
    follower.wait()


def test_log_of_the_journal(t):
    """What the daemon says to the journal, in a journal's file, and out of it again."""
    journalctl = need_program("journalctl", "systemd")
    remote = shutil.which("systemd-journal-remote") or "/lib/systemd/systemd-journal-remote"
    if not os.path.exists(remote):
        raise Skip("systemd-journal-remote is missing (Debian package systemd-journal-remote)")
    del journalctl
    words, journal = with_journal(t)
    relay = t.daemon(Upstream(t), config=f"log = journal\n{POOL}", prefix=words)
    submit(port_of(journal))
    message = fields_of(journal.wait_for(b"POSTHOUSE_EVENT=accepted"))["POSTHOUSE_ID"]
    journal.wait_for(b"POSTHOUSE_EVENT=completed")
    relay.stop()
    export, now = b"", int(time.time() * 1_000_000)
    for i, datagram in enumerate(journal.seen):
        export += (b"__CURSOR=s=1;i=%d\n__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%032x\n_PID=%d\n"
                   % (i, now + i, i + 1, 1, relay.pid)) + datagram + b"\n"
    folder = t.tmp / "files"
    folder.mkdir()
    run = t.run([remote, f"--output={folder}/relay.journal", "-"], data=export)
    if run.returncode != 0:
        raise Skip(f"systemd-journal-remote does not work here: {run.stderr.decode()[-200:]}")
    shown = t.posthouse("log", "--directory", folder, message)
    equal(sorted(events_shown(shown)), OF_ONE, "of the message")
    objects = [json.loads(line) for line in t.posthouse("log", "--directory", folder, "--json").splitlines()]
    equal(len(objects), len(journal.seen), "all events")
    assert all(o["_pid"] == relay.pid and abs(o["time_ms"] * 1000 - now) < 1e6 for o in objects), objects
    t.posthouse("log", "--directory", folder, "--since", "2099-01-01", check=1)


if __name__ == "__main__":
    harness.main(__name__)
