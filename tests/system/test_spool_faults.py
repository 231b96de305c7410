# SPDX-License-Identifier: ISC
"""A spool that is full, broken or full of rubbish: clients are told 45z, what
was accepted is delivered, and nothing found there is fatal."""

import json
import os
import re
import threading
import time

import harness
from harness import Skip, equal, need_program, wait_until
from smtp_peers import Client, Upstream, without_received

HEADER = b"Subject: spool\r\n\r\n"
FAST = ('retry_min = "50ms"\nretry_max = "100ms"\n'
        'upstream "main" {{\n remoteaddr = "{}"\n probe_min = "50ms"\n probe_max = "100ms"\n}}\n')


def fast(upstream, more=""):
    return FAST.format(harness.address(upstream)) + more


def small_disk(t, options):
    """A tmpfs of its own below the test's folder."""
    harness.need_root()
    need_program("mount")
    folder = t.tmp / "disk"
    folder.mkdir()
    done = t.run(["mount", "-t", "tmpfs", "-o", f"mode=0755,{options}", "none", folder])
    if done.returncode != 0:
        raise Skip(f"cannot mount a tmpfs: {done.stderr.decode().strip()}")
    t.later(lambda: t.run(["umount", "-l", folder]))
    return folder


def content(number, size):
    return HEADER + b"%d\r\n" % number + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * (size // 72)


def fill_until_452(relay, size, most=200):
    """Sends messages until one is refused for want of space; returns the contents that were accepted."""
    accepted = []
    with Client(relay) as client:
        for number in range(most):
            text = content(number, size)
            reply = client.cmd("MAIL FROM:<a@client.test>")
            if reply.code == 250:
                client.cmd("RCPT TO:<b@example.test>", 250)
                reply = client.data(text, (250, 452))
                if reply.code == 250:
                    accepted.append(text)
                    continue
            equal((reply.code, reply.text[:5]), (452, "4.3.1"), "reply on a full disk")
            client.cmd("NOOP", 250)
            return accepted
    raise AssertionError(f"{most} messages of {size} octets did not fill the disk")


def drains_and_accepts_again(t, relay, upstream, accepted):
    relay.wait_for("completed", count=len(accepted), timeout=2 * harness.DEADLINE)
    relay.wait_empty()
    last = content(9999, 1000)
    with Client(relay) as client:
        client.message(last)
    upstream.wait_messages(len(accepted) + 1)
    equal(sorted(without_received(m.content) for m in upstream.messages), sorted(accepted + [last]), "delivered")
    t.comment(f"{len(accepted)} messages were accepted before the disk was full")


def test_full_disk(t):
    """No space: 452, the relay goes on draining, and then there is room again."""
    folder = small_disk(t, "size=3m")
    reserved = harness.ReservedPort(t)
    relay = t.daemon(config=fast(reserved, 'min_free = "0"\n'), spool=folder / "spool").ready()
    accepted = fill_until_452(relay, 100_000)
    assert len(accepted) > 10, f"only {len(accepted)}"
    equal(os.listdir(relay.spool / "incoming"), [], "leftovers in incoming/")
    drains_and_accepts_again(t, relay, Upstream(t, reserved=reserved), accepted)


def test_no_inodes(t):
    folder = small_disk(t, "size=20m,nr_inodes=60")
    reserved = harness.ReservedPort(t)
    relay = t.daemon(config=fast(reserved, 'min_free = "0"\n'), spool=folder / "spool").ready()
    accepted = fill_until_452(relay, 1000)
    drains_and_accepts_again(t, relay, Upstream(t, reserved=reserved), accepted)


def test_full_disk_and_refusals(t):
    """On a full disk the state of deferred messages cannot be written: tried again, never fatal."""
    folder = small_disk(t, "size=3m")
    upstream = Upstream(t)
    busy = upstream.on("RCPT", "450 4.2.1 busy")
    relay = t.daemon(config=fast(upstream, 'min_free = "0"\n'), spool=folder / "spool").ready()
    accepted = fill_until_452(relay, 100_000)
    # fill what is left, so that not even a state fits
    with open(folder / "filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass
    last = relay.wait_for("deferred")
    relay.wait_for("deferred", after=relay.wait_for("deferred", after=last))
    equal(relay.events("child_exited"), [], "children that died")
    busy.times = 0
    relay.wait_for("completed", count=len(accepted), timeout=2 * harness.DEADLINE)
    os.unlink(folder / "filler")
    drains_and_accepts_again(t, relay, upstream, accepted)


def test_min_free(t):
    """Space is kept free: MAIL is refused below it, and by its SIZE= before the content is sent."""
    folder = small_disk(t, "size=8m")
    reserved = harness.ReservedPort(t)
    relay = t.daemon(config=fast(reserved, 'min_free = "4M"\n'), spool=folder / "spool").ready()
    with Client(relay) as client:
        equal(client.cmd("MAIL FROM:<a@client.test> SIZE=5000000").code, 452, "MAIL with a SIZE that is too much")
        client.cmd("MAIL FROM:<a@client.test> SIZE=1000", 250)
    accepted = fill_until_452(relay, 300_000)
    usage = os.statvfs(folder)
    assert usage.f_bavail * usage.f_frsize > 3_000_000, "it did not keep the space free"
    drains_and_accepts_again(t, relay, Upstream(t, reserved=reserved), accepted)


def test_file_size_limit(t):
    """RLIMIT_FSIZE: the write fails (EFBIG) and the worker lives on."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, limits=["--fsize=65536"]).ready()
    with Client(relay) as client:
        client.mail()
        reply = client.data(content(1, 200_000), (451, 452))
        client.message(content(2, 1000))
        client.quit()
    t.comment(f"reply: {reply}")
    equal(relay.events("child_exited"), [], "children that died")
    upstream.wait_messages(1)
    equal(os.listdir(relay.spool / "incoming"), [], "leftovers in incoming/")


class Disk:
    """A small ext4 in a file. die(): every write fails from now on, as after an error of the real disk."""

    def __init__(self, t):
        harness.need_root()
        need_program("mkfs.ext4", "e2fsprogs")
        self.t, self.image, self.folder = t, t.tmp / "image", t.tmp / "disk"
        self.folder.mkdir()
        with open(self.image, "wb") as f:
            f.truncate(16 << 20)
        t.run(["mkfs.ext4", "-q", "-F", self.image], check=0)
        if self.mount().returncode != 0:
            raise Skip("cannot mount an ext4 in a file here")
        self.folder.chmod(0o755)
        t.later(lambda: t.run(["umount", "-l", self.folder]))

    def mount(self):
        return self.t.run(["mount", "-o", "loop", self.image, self.folder])

    def die(self):
        self.t.run(["mount", "-o", "remount,abort", self.folder], check=0)

    def repair(self):
        self.t.run(["umount", self.folder], check=0)
        self.t.run(["fsck.ext4", "-fy", self.image])
        equal(self.mount().returncode, 0, "mount after the repair")


def test_disk_dies(t):
    """The file system goes read-only under us: 451, and what had its 250 before is there after the repair."""
    disk = Disk(t)
    reserved = harness.ReservedPort(t)
    relay = t.daemon(config=fast(reserved, 'min_free = "0"\n'), spool=disk.folder / "spool").ready()
    with Client(relay) as client:
        client.message(content(1, 1000))
        disk.die()
        client.mail()
        reply = client.data(content(2, 1000), 451)
        assert reply.text.startswith("4.3.0"), reply
        client.mail()
        client.data(content(2, 100_000), 451)
        client.quit()
    relay.stop()
    equal(relay.events("child_exited", status="killed"), [], "children that died")
    disk.repair()
    upstream = Upstream(t, reserved=reserved)
    again = t.daemon(config=fast(upstream, 'min_free = "0"\n'), spool=relay.spool, name="again").ready()
    again.wait_for("completed")
    with Client(again) as client:
        client.message(content(3, 1000))
    again.wait_for("completed", count=2)
    equal([without_received(m.content) for m in upstream.messages], [content(1, 1000), content(3, 1000)], "delivered")
    again.stop()


def test_disk_dies_under_the_relay(t):
    """It delivered but can write nothing: said in the log, not sent again and again, a copy after the restart."""
    disk = Disk(t)
    upstream = Upstream(t)
    gate = threading.Event()
    t.later(gate.set)
    upstream.on("EOD", lambda _session, _line: gate.wait(harness.DEADLINE) and None, times=1)
    relay = t.daemon(config=fast(upstream, 'min_free = "0"\n'), spool=disk.folder / "spool").ready()
    with Client(relay) as client:
        client.message(content(1, 1000))
    upstream.wait_received(1)
    disk.die()
    gate.set()
    ident = relay.wait_for("delivered")["id"]
    equal(relay.wait_for("unsaved")["id"], ident, "id of the event")
    relay.stop()
    last = relay.events("unsaved")[-1]["reason"]
    assert re.search("may be repeated after the next start: .*: (Input/output error|Read-only file system)", last), last
    equal(relay.events("child_exited", status="killed"), [], "children that died")
    equal(len(upstream.messages), 1, "copies before the restart")
    disk.repair()
    again = t.daemon(config=fast(upstream, 'min_free = "0"\n'), spool=relay.spool, name="again").ready()
    again.wait_for("completed", id=ident)
    equal({without_received(m.content) for m in upstream.messages}, {content(1, 1000)}, "contents")
    again.stop()


def test_no_permission(t):
    """Somebody changed the modes of the folders: 451, and no longer when they are right again."""
    upstream = Upstream(t)
    relay = t.daemon(upstream).ready()
    mode = (relay.spool / "incoming").stat().st_mode & 0o7777
    with Client(relay) as client:
        (relay.spool / "incoming").chmod(0)
        client.mail()
        client.data(content(1, 1000), 451)
        (relay.spool / "incoming").chmod(mode)
        client.message(content(2, 1000))
    upstream.wait_messages(1)


# ---- rubbish ---------------------------------------------------------------------

def stopped_with(t, contents):
    """A spool with these messages and nobody at work; returns the daemon (stopped) and the IDs."""
    relay = t.daemon(harness.ReservedPort(t)).ready()
    ids = []
    with Client(relay) as client:
        for text in contents:
            client.message(text)
            ids.append(relay.wait_for("accepted", count=len(ids) + 1)[-1]["id"] if ids
                       else relay.wait_for("accepted")["id"])
    relay.stop()
    equal(relay.queue(), sorted(ids), "queue")
    return relay, ids


def like(path, model):
    """The owner and mode of a message, for a file that a test put beside it."""
    info = os.stat(model)
    os.chown(path, info.st_uid, info.st_gid, follow_symlinks=False)
    if not path.is_symlink():
        path.chmod(info.st_mode & 0o7777)


def damaged(change, whole=HEADER + b"line\r\n" * 50):
    """A message file that `change` (bytes -> bytes) damaged is quarantined; the next one is delivered."""
    def test(t):
        relay, (bad, good) = stopped_with(t, [whole, content(2, 500)])
        path = relay.spool / "queue" / bad
        path.write_bytes(change(path.read_bytes()))
        upstream = Upstream(t)
        again = t.daemon(upstream, spool=relay.spool, name="again").ready()
        quarantined = again.wait_for("quarantined", id=bad)
        assert quarantined["reason"], quarantined
        again.wait_for("completed", id=good)
        equal([without_received(m.content) for m in upstream.messages], [content(2, 500)], "delivered")
        corrupt = relay.spool / "corrupt"
        assert (corrupt / bad).exists(), os.listdir(corrupt)
        reason = (corrupt / f"{bad}.reason").read_text()
        assert reason.strip(), "an empty reason"
        t.comment(f"reason: {reason.strip()}")
        equal(again.queue(), [], "queue")
    return test


def flip(where):
    def change(data):
        at = where(data)
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
    return change


test_empty_file = damaged(lambda data: b"")
test_truncated_in_first_line = damaged(lambda data: data[:20])
test_truncated_in_envelope = damaged(lambda data: data[:data.index(b"\n") + 30])
test_truncated_in_content = damaged(lambda data: data[:-10])
test_one_byte_short = damaged(lambda data: data[:-1])
test_one_byte_more = damaged(lambda data: data + b"x")
test_zeros = damaged(lambda data: bytes(len(data)))
test_random = damaged(lambda data: os.urandom(len(data)))
test_flipped_in_first_line = damaged(flip(lambda data: data.index(b"content=") + 12))
test_flipped_checksum = damaged(flip(lambda data: data.index(b"xxh3=") + 7))
test_flipped_in_envelope = damaged(flip(lambda data: data.index(b"rcpt@example.test")))
test_flipped_in_content = damaged(flip(lambda data: data.index(b"line\r\n")))
test_flipped_at_the_end = damaged(flip(lambda data: len(data) - 1))
test_huge_lengths = damaged(lambda data: re.sub(rb"content=\d+", b"content=99999999999999999999", data))
test_huge_envelope = damaged(lambda data: re.sub(rb"envelope=\d+", b"envelope=9999999999", data))
test_other_version = damaged(lambda data: data.replace(b"posthouse/1", b"posthouse/9", 1))


def test_flipped_in_a_large_message(t):
    """Found before a wrong byte is handed to the upstream as a whole message."""
    large = content(1, 3_000_000)
    damaged(flip(lambda data: len(data) - 1000), large)(t)


def test_rubbish_everywhere(t):
    """Foreign names and kinds of files in every folder: moved or cleaned, named in the log, never fatal."""
    relay, (one, two) = stopped_with(t, [content(1, 500), content(2, 500)])
    spool, model = relay.spool, relay.spool / "queue" / one

    def name_like(number):
        return one[:-2] + "%02d" % number
    odd = []
    for folder in ("queue", "state", "incoming", "corrupt"):
        (spool / folder / "README").write_text("hello\n")
        (spool / folder / ".hidden").write_text("")
        (spool / folder / "a name\nwith \x1b[31m").write_text("x")
        (spool / folder / ("x" * 200)).write_text("x")
        (spool / folder / "folder").mkdir()
        (spool / folder / "folder" / "inner").write_text("x")
    odd.append(name_like(10))
    os.symlink("/etc/passwd", spool / "queue" / name_like(10))
    odd.append(name_like(11))
    os.mkfifo(spool / "queue" / name_like(11))
    odd.append(name_like(12))
    (spool / "queue" / name_like(12)).mkdir()
    (spool / "state" / name_like(13)).write_text("garbage\0\n")  # without a message
    os.mkfifo(spool / "state" / name_like(14))
    (spool / "state" / two).write_bytes(os.urandom(500))  # of a message
    (spool / "incoming" / name_like(15)).write_text("half a mess")
    for folder in ("queue", "state", "incoming", "corrupt"):
        for path in (spool / folder).iterdir():
            if path.name not in (one, two) or folder == "state":
                like(path, model)
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o755)
    # leftovers are what is older than the service, by file stamps, which lag by a tick of the kernel
    leftover = (spool / "incoming" / name_like(15)).stat().st_ctime
    wait_until(lambda: time.time() > leftover + 0.05, "the clock to leave the leftover behind")
    upstream = Upstream(t)
    again = t.daemon(upstream, spool=spool, name="again").ready()
    again.wait_for("completed", id=one)
    for name in odd:
        again.wait_for("quarantined", id=name)
    with Client(again) as client:
        client.message(content(3, 500))
    upstream.wait_messages(3)
    wait_until(lambda: not set(odd) & set(again.queue()), "the odd files to leave queue/")
    equal(again.events("child_exited"), [], "children that died")
    assert not (spool / "incoming" / name_like(15)).exists(), "a leftover of incoming/ stays"
    assert not any("\x1b" in line for line in again.lines), "an escape sequence in the log"
    contents = [without_received(m.content) for m in upstream.messages]
    equal(sorted(contents), [content(n, 500) for n in (1, 2, 3)], "the good messages, one copy each")
    for line in t.posthouse("--spool", spool, "queue", "--json", check=None).splitlines():
        json.loads(line)


def test_unreadable_message(t):
    """A message that the relay may not read: left alone, said in the log, the others go."""
    relay, (one, two) = stopped_with(t, [content(1, 500), content(2, 500)])
    path = relay.spool / "queue" / one
    path.chmod(0)
    if os.geteuid() == 0:
        os.chown(path, 0, 0)
    upstream = Upstream(t)
    again = t.daemon(upstream, spool=relay.spool, name="again").ready()
    again.wait_for("completed", id=two)
    wait_until(lambda: [line for line in again.lines if one in line], "a word about it in the log")
    equal(again.queue(), [one], "queue")
    equal(again.events("child_exited"), [], "children that died")


def test_missing_folders(t):
    """Somebody removed folders: made again at start."""
    relay, (one,) = stopped_with(t, [content(1, 500)])
    for folder in ("state", "incoming", "corrupt"):
        os.rmdir(relay.spool / folder)
    upstream = Upstream(t)
    again = t.daemon(upstream, spool=relay.spool, name="again").ready()
    again.wait_for("completed", id=one)
    equal(len(upstream.messages), 1, "messages")


def test_message_removed_behind_its_back(t):
    """queue/ID vanishes while it waits: forgotten, without a fuss."""
    upstream = Upstream(t)
    upstream.on("RCPT", "450 4.2.1 later", match="gone@")
    relay = t.daemon(config=fast(upstream)).ready()
    with Client(relay) as client:
        client.message(content(1, 500), rcpts=["gone@example.test"])
        ident = relay.wait_for("deferred")["id"]
        os.unlink(relay.spool / "queue" / ident)
        client.message(content(2, 500))
    upstream.wait_messages(1)
    relay.wait_for("completed")
    equal(relay.events("child_exited"), [], "children that died")


def test_spool_is_a_file(t):
    path = t.tmp / "file"
    path.write_text("x")
    done = t.run([harness.BUILDDIR / "posthoused", "-F", "--spool", path, "127.0.0.1:0", "127.0.0.1:9"], check=1)
    assert str(path) in done.stderr.decode(), done.stderr


if __name__ == "__main__":
    harness.main(__name__)
