#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""posthouse-sendmail: what programs hand to /usr/sbin/sendmail arrives as they
meant it, or they are told; while the daemon is down it waits in the outbox.
Side by side with the sendmail of Postfix where that is installed."""

import email
import email.policy
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import threading

import harness
import test_peers
from harness import BUILDDIR, DEADLINE, Skip, equal, need_program, need_root, wait_until
from smtp_peers import Upstream, without_received

SENDMAIL = BUILDDIR / "posthouse-sendmail"
ME = pwd.getpwuid(os.geteuid()).pw_name
EX_OK, EX_USAGE, EX_DATAERR, EX_UNAVAILABLE, EX_TEMPFAIL, EX_CONFIG = 0, 64, 65, 69, 75, 78


class Box:
    """A relay on a unix socket, its upstream, and the command that submits to it."""

    def __init__(self, t, config="", outbox=False, start=True):
        self.t = t
        self.upstream = Upstream(t, extensions=("PIPELINING", "8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES", "DSN",
                                                "SMTPUTF8"))
        self.socket = t.tmp / "submit"
        self.outbox = t.tmp / "outbox"
        self.text = config + (f'\noutbox = "{self.outbox}"' if outbox else "")
        self.file = t.config(self.text, self.upstream, spool=t.tmp / "spool-relay", name="relay",
                             listen=f"unix:{self.socket}")
        self.file.chmod(0o644)
        self.relay = self.start() if start else None

    def start(self, name="relay"):
        return self.t.daemon(self.upstream, config=self.text, listen=f"unix:{self.socket}", name=name,
                             spool=self.t.tmp / "spool-relay").ready()

    def sendmail(self, *args, data=b"", status=EX_OK, name=None, prefix=(), env=None):
        """Its standard output and error."""
        program = SENDMAIL
        if name:
            program = self.t.tmp / name
            if not program.exists():
                program.symlink_to(SENDMAIL)
        done = self.t.run([*prefix, program, "-C", self.file, *args], data=data, env=env)
        assert b"Sanitizer" not in done.stderr and b"runtime error" not in done.stderr, done.stderr
        equal((done.returncode, status), (status, status), f"{args}: {done.stderr!r}")
        return done.stdout, done.stderr

    def one(self):
        """The only message that arrived: (received, parsed header)."""
        received = self.upstream.wait_messages(1)
        equal(len(received), 1, "messages")
        return received[0], email.message_from_bytes(received[0].content, policy=email.policy.default)

    def in_outbox(self):
        """Names by folder; for root and the owner only."""
        return {f: sorted(p.name for p in (self.outbox / f).iterdir() if p.is_file() or p.is_symlink() or f)
                for f in ("", "taken", "refused")}


def ordinary_user():
    """Somebody who is neither us nor one of the daemon's users."""
    need_root()
    for name in ("games", "man", "lp", "mail", "news"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        if name not in harness.ROOT_USERS:
            return account
    raise Skip("no third unprivileged user")


# ---- invocations ---------------------------------------------------------------

def test_plain(t):
    box = Box(t)
    box.sendmail("-f", "me@a.test", "you@b.test", data=b"Subject: x\n\n.dot\nhi\n.\nnot any more\n")
    got, header = box.one()
    equal((got.sender, got.rcpts), ("me@a.test", ["you@b.test"]), "envelope")
    equal(header["Subject"], "x", "subject")
    assert header["Date"].datetime and re.fullmatch(r"<[^@ ]+@relay\.test>", header["Message-ID"]), str(header)
    assert "me@a.test" in header["From"], header["From"]
    equal(got.content.partition(b"\r\n\r\n")[2], b".dot\r\nhi\r\n", "body")


def test_credentials_in_received(t):
    """As root or whoever runs this; and as another user, without new privileges."""
    box = Box(t)
    box.sendmail("you@b.test", data=b"\n")
    got, header = box.one()
    equal(got.sender, f"{ME}@relay.test", "sender")
    assert f"(unix uid={os.geteuid()})" in header["Received"], header["Received"]


def test_ordinary_user_without_new_privileges(t):
    account = ordinary_user()
    box = Box(t)
    os.chmod(t.tmp, 0o711)
    box.sendmail("you@b.test", data=b"Subject: x\n\nhi\n", prefix=[*harness.as_user(account), "--no-new-privs"])
    got, header = box.one()
    equal(got.sender, f"{account.pw_name}@relay.test", "sender")
    assert f"(unix uid={account.pw_uid})" in header["Received"], header["Received"]


def test_php(t):
    """sendmail_path = "/usr/sbin/sendmail -t -i"; lines end with CRLF or LF, as the script has them."""
    box = Box(t)
    box.sendmail("-t", "-i", data=b"To: One <one@b.test>, two@b.test\r\nSubject: x\r\nCc: (c) three@b.test\r\n"
                 b"Bcc: hidden@b.test\r\nX-PHP-Originating-Script: 0:a.php\r\n\r\nline\r\n.\r\nafter the dot\r\n")
    got, header = box.one()
    equal(got.rcpts, ["one@b.test", "two@b.test", "three@b.test", "hidden@b.test"], "recipients")
    equal(header["Bcc"], None, "Bcc")
    equal(got.content.partition(b"\r\n\r\n")[2], b"line\r\n.\r\nafter the dot\r\n", "body")


def test_cron(t):
    box = Box(t)
    box.sendmail("-FCronDaemon", "-i", "-B8BITMIME", "-oem", ME,
                 data=f"From: {ME} (Cron Daemon)\nTo: {ME}\nSubject: Cron <x> ls\n\n\u00e4\n".encode())
    got, header = box.one()
    equal(got.rcpts, [f"{ME}@relay.test"], "recipients")
    equal(header["From"].addresses[0].username, ME, "From is not touched")
    assert "BODY=8BITMIME" in got.mail_line, got.mail_line


def test_git_send_email(t):
    box = Box(t)
    box.sendmail("-f", "dev@a.test", "-i", "list@b.test", "maint@b.test",
                 data=b"From: Dev <dev@a.test>\nTo: list@b.test\nSubject: [PATCH] x\n\n---\n.\ndiff\n-- \n2.39\n")
    got, _ = box.one()
    equal((got.sender, got.rcpts), ("dev@a.test", ["list@b.test", "maint@b.test"]), "envelope")
    assert got.content.endswith(b".\r\ndiff\r\n-- \r\n2.39\r\n"), got.content[-60:]


def test_mailx(t):
    """bsd-mailx: sendmail -i [-r from] recipients; heirloom: sendmail -i -r from rcpt."""
    box = Box(t)
    box.sendmail("-i", "-r", "root@a.test", "you@b.test", data=b"To: you@b.test\nSubject: x\nMIME-Version: 1.0\n\nb\n")
    got, _ = box.one()
    equal((got.sender, got.rcpts), ("root@a.test", ["you@b.test"]), "envelope")


def test_python_email(t):
    """Bytes of email.message go in as they are and come out the same, but for what is added."""
    box = Box(t)
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = "J\u00fcrgen <j@a.test>", "you@b.test", "\u20ac"
    message["Date"], message["Message-ID"] = "Thu, 01 Jan 2026 00:00:00 +0000", "<1@a.test>"
    message.set_content("\u00e4\n.\n")
    message.add_attachment(bytes(range(256)), maintype="application", subtype="octet-stream")
    box.sendmail("-t", "-i", "-f", "j@a.test", data=bytes(message))
    got, _ = box.one()
    equal(without_received(got.content), bytes(message).replace(b"\n", b"\r\n"), "content")


def test_full_name(t):
    box = Box(t)
    box.sendmail("-f", "a@a.test", "-F", "J\u00fcrgen \"X\" M\u00fcller", "b@b.test", data=b"\n")
    _, header = box.one()
    equal(header["From"].addresses[0].display_name, 'J\u00fcrgen "X" M\u00fcller', "display name")
    box.sendmail("-f", "a@a.test", "b@b.test", data=b"\n", env={**os.environ, "NAME": "Jane\nBcc: x@y"})
    header = email.message_from_bytes(box.upstream.wait_messages(2)[1].content, policy=email.policy.default)
    equal((header["From"].addresses[0].display_name, header["Bcc"]), ("Jane??Bcc: x@y".replace("??", "?"), None),
          "a line end in a name")


def test_resent(t):
    box = Box(t)
    box.sendmail("-t", data=b"Resent-To: r@b.test\nResent-Bcc: q@b.test\nResent-From: me@a.test\nTo: first@b.test\n"
                 b"From: author@c.test\nDate: Thu, 01 Jan 2026 00:00:00 +0000\nMessage-ID: <1@c.test>\n\nb\n")
    got, header = box.one()
    equal(got.rcpts, ["r@b.test", "q@b.test"], "recipients")
    assert header["Resent-Date"] and header["Resent-Message-ID"] and header["Resent-Bcc"] is None, str(header)


def test_null_sender(t):
    box = Box(t)
    for number, sender in enumerate(("", "<>"), 1):
        box.sendmail("-f", sender, "you@b.test", data=b"Subject: report\n\n")
        equal(box.upstream.wait_messages(number)[-1].sender, "", "sender")


def test_smtputf8(t):
    box = Box(t, "enable_smtputf8 = yes")
    box.sendmail("-f", "j\u00fcrgen@a.test", "\u00e4@b.test", data="Subject: \u00fc\n\n".encode())
    got, _ = box.one()
    assert " SMTPUTF8" in got.mail_line, got.mail_line


def test_dsn(t):
    box = Box(t)
    box.sendmail("-N", "success,delay", "-R", "hdrs", "-V", "id=1+2", "-f", "a@a.test", "b@b.test", data=b"\n")
    got, _ = box.one()
    assert "RET=HDRS" in got.mail_line and "ENVID=id+3D1+2B2" in got.mail_line, got.mail_line
    lines = [line for line in got.session.lines if "RCPT" in str(line).upper()]
    assert any("NOTIFY=SUCCESS,DELAY" in str(line) for line in lines), lines


def test_verbose(t):
    box = Box(t)
    out, err = box.sendmail("-v", "b@b.test", data=b"\nsecret\n")
    equal(out, b"", "standard output")
    assert b">>> RCPT TO:<b@b.test>" in err and b"<<< 250 2.0.0" in err and b"secret" not in err, err


def test_bs(t):
    """A dialogue of any size through standard input and output, both ends closed in order."""
    box = Box(t)
    body = b"Subject: big\r\n\r\n" + b"x" * 76 + b"\r\n" + (b"y" * 98 + b"\r\n") * 60000
    out, _ = box.sendmail("-bs", data=b"EHLO me\r\nMAIL FROM:<a@a.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\n" + body
                          + b".\r\nQUIT\r\n")
    equal(re.findall(rb"^(\d+) ", out, re.M), [b"220", b"250", b"250", b"250", b"354", b"250", b"221"], "replies")
    got, _ = box.one()
    equal(without_received(got.content), body, "content")
    # no QUIT: the end of our input is passed on, and the session ends
    out, _ = box.sendmail("-bs", data=b"NOOP\r\n")
    assert out.startswith(b"220 "), out


def test_big_message(t):
    box = Box(t)
    data = b"Subject: big\n\n" + (b"." + b"z" * 70 + b"\n") * 300000
    box.sendmail("-i", "b@b.test", data=data)
    got, _ = box.one()
    equal(got.content.partition(b"\r\n\r\n")[2], data.partition(b"\n\n")[2].replace(b"\n", b"\r\n"), "body")
    _, err = box.sendmail("-i", "b@b.test", data=b"\n" + (b"z" * 70 + b"\n") * 500000, status=EX_UNAVAILABLE)
    assert b"552 5.3.4" in err, err


def test_many_recipients(t):
    """More than one transaction takes; each gets it once."""
    box = Box(t, "max_recipients = 100")
    rcpts = [f"r{i}@b.test" for i in range(250)]
    box.sendmail("-i", *rcpts, data=b"\nhi\n")
    wait_until(lambda: sum(len(m.rcpts) for m in box.upstream.messages) >= 250, "250 recipients")
    equal(sorted(r for m in box.upstream.messages for r in m.rcpts), sorted(rcpts), "recipients")


def test_refusals(t):
    box = Box(t)
    for args, data, status, words in (
            (["-t"], b"Subject: x\n\n", EX_USAGE, b"no recipients"),
            ([], b"", EX_USAGE, b"-t option"),
            (["-Z"], b"", EX_USAGE, b"-Z"),
            (["-f", "a@a.test", "<b@b.test"], b"\n", EX_USAGE, b"recipient"),
            (["-f", "x" * 250, "b@b.test"], b"\n", EX_DATAERR, b"longer than"),
            (["x" * 250], b"\n", EX_DATAERR, b"longer than"),
            (["-t"], b"To: <b@b.test\n\n", EX_DATAERR, b"To:"),
            (["b@b.test"], b"Subject: x\n\nnul\0\n", EX_DATAERR, b"refused"),
            (["-bd"], b"", EX_USAGE, b"posthoused"),
            (["-bv", "a@a.test"], b"", EX_USAGE, b"not supported"),
            (["-oeq", "-t"], b"Subject: x\n\n", EX_USAGE, b""),
    ):
        _, err = box.sendmail(*args, data=data, status=status)
        assert words in err if words else err == b"", (args, err)
        assert err.startswith((b"posthouse-sendmail: ", b"")) and err.count(b"\n") <= 1, err
    equal(box.upstream.messages, [], "messages")


def test_newaliases_and_mailq(t):
    box = Box(t)
    box.sendmail(name="newaliases")
    box.sendmail("-bi")
    box.sendmail("-q30m")
    box.upstream.on("RCPT", "450 4.2.0 later")
    box.sendmail("-f", "a@a.test", "b@b.test", data=b"\n")
    box.relay.wait_for("deferred")
    out, _ = box.sendmail(name="mailq")
    assert b"a@a.test" in out, out
    equal(box.sendmail("-bp")[0].split()[:3], out.split()[:3], "-bp")


def test_flush(t):
    """-q, -qI ID and -qR DOMAIN: a message that was refused for now goes at once."""
    box = Box(t)
    for number, option in enumerate(("-q", "-qI", "-qRb.test"), 1):
        box.upstream.on("RCPT", "450 4.2.0 later", times=1)
        box.sendmail("-f", "a@a.test", f"b{number}@b.test", data=b"\n")
        event = box.relay.wait_for("deferred", to=f"b{number}@b.test")
        box.sendmail(option + event["id"] if option == "-qI" else option)
        equal(box.upstream.wait_messages(number)[-1].rcpts, [f"b{number}@b.test"], option)
    wait_until(lambda: not box.relay.queue(), "an empty queue")
    box.sendmail("-qI0000", status=EX_UNAVAILABLE)
    box.sendmail("-qRb.test")


def test_mailq_of_a_user_who_may_not_look(t):
    account = ordinary_user()
    box = Box(t)
    _, err = box.sendmail("-bp", status=EX_UNAVAILABLE, prefix=harness.as_user(account))
    assert b"ermission denied" in err, err


def test_closed_standard_files(t):
    """A program may have closed what it does not need; no descriptor of ours takes the place."""
    box = Box(t)
    done = subprocess.run(["/bin/sh", "-c", f'printf "\\n" | {SENDMAIL} -C {box.file} b@b.test >&- 2>&-'],
                          timeout=DEADLINE, check=False)
    equal(done.returncode, 0, "exit status")
    box.one()


def test_every_option_is_in_the_manual(t):
    out = t.run([SENDMAIL, "--help"], check=0).stdout.decode()
    manual = (BUILDDIR / "man/posthouse-sendmail.1").read_text()
    named = set(re.findall(r"(?:Fl |[ ,])([A-Za-z])\b", " ".join(re.findall(r"^\.It Fl .*", manual, re.M))))
    letters = re.findall(r"^  -([A-Za-z]) ", out, re.M)
    assert len(letters) > 20, out
    equal([x for x in letters if x not in named and f"Fl {x}" not in manual], [], "options without a word")


# ---- the daemon is down ------------------------------------------------------------

def test_no_daemon(t):
    box = Box(t, start=False)
    _, err = box.sendmail("b@b.test", data=b"Subject: x\n\n", status=EX_TEMPFAIL)
    assert str(box.socket).encode() in err and b"nothing was sent" in err and b"posthoused" in err, err
    box.sendmail("-bs", data=b"", status=EX_TEMPFAIL)
    t.run([SENDMAIL, "-C", t.tmp / "none.conf", "b@b.test"], check=EX_CONFIG, data=b"\n")


def test_connection_lost(t):
    """Somebody who listens and hangs up: nothing was accepted, or nobody knows."""
    box = Box(t, start=False)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(box.socket))
        server.listen()

        def serve():
            ready = [b"220 x\r\n", b"250 x\r\n", b"250 x\r\n"]
            for script in ([b"220 x\r\n"], [*ready, b"250 x\r\n"], [*ready, b"250 x\r\n", b"354 x\r\n"]):
                client, _ = server.accept()
                with client:
                    for line in script:
                        client.sendall(line)
                        client.recv(65536)
        thread = threading.Thread(target=serve)
        thread.start()
        for words in (b"nothing was sent", b"nothing was sent", b"may have been accepted"):
            _, err = box.sendmail("b@b.test", data=b"Subject: x\n\n", status=EX_TEMPFAIL)
            assert err.count(b"\n") == 1 and words in err, err
        thread.join()


def prepared(t, config=""):
    """A box whose daemon has run and is down, so its outbox is there."""
    box = Box(t, config, outbox=True)
    box.relay.stop()
    return box


def test_outbox(t):
    box = prepared(t)
    equal(oct(box.outbox.stat().st_mode & 0o7777), oct(0o3733), "mode of the outbox")
    body = b"..dot\n.\n" + b"x" * 5000 + b"\n"
    box.sendmail("-i", "-f", "a@a.test", "b@b.test", "c@b.test", data=b"Subject: x\n\n" + body)
    waiting = box.in_outbox()[""]
    equal((len(waiting), waiting[0][:4], len(waiting[0])), (1, "msg-", 36), "files")
    equal(oct((box.outbox / waiting[0]).stat().st_mode & 0o7777), oct(0o640), "mode of the file")
    relay = box.start("again")
    event = relay.wait_for("outbox", result="submitted")
    equal(event["peer"], f"unix:uid={os.geteuid()}", "peer")
    got, header = box.one()
    equal((got.sender, got.rcpts), ("a@a.test", ["b@b.test", "c@b.test"]), "envelope")
    equal(got.content.partition(b"\r\n\r\n")[2], body.replace(b"\n", b"\r\n"), "body")
    assert f"(unix uid={os.geteuid()})" in header["Received"], header["Received"]
    equal(box.in_outbox(), {"": [], "taken": [], "refused": []}, "outbox")
    relay.stop()
    box.start("third")
    equal(len(box.upstream.messages), 1, "once")


def test_outbox_of_another_user(t):
    account = ordinary_user()
    box = prepared(t)
    os.chmod(t.tmp, 0o711)
    other = harness.as_user(account)
    box.sendmail("b@b.test", data=b"Subject: x\n\n", prefix=[*other, "--no-new-privs"])
    name = box.in_outbox()[""][0]
    third = [*other[:1], "--reuid=12345", "--regid=12345", "--clear-groups"]
    for command in (["ls", box.outbox], ["cat", box.outbox / name], ["rm", "-f", box.outbox / name],
                    ["mv", box.outbox / name, box.outbox / "x"], ["ls", box.outbox / "taken"]):
        done = t.run([*third, *command])
        assert done.returncode != 0 and re.search(rb"[Pp]ermission denied|not permitted", done.stderr), \
            (command, done.stderr)
    box.start("again").wait_for("outbox", result="submitted", peer=f"unix:uid={account.pw_uid}")
    got, header = box.one()
    equal(got.sender, f"{account.pw_name}@relay.test", "sender")
    assert f"(unix uid={account.pw_uid})" in header["Received"], header["Received"]


def test_outbox_many_recipients(t):
    box = prepared(t, "max_recipients = 100")
    box.sendmail(*[f"r{i}@b.test" for i in range(250)], data=b"\n")
    equal(len(box.in_outbox()[""]), 3, "files")
    box.start("again")
    wait_until(lambda: sum(len(m.rcpts) for m in box.upstream.messages) >= 250, "250 recipients")
    equal(sum(len(m.rcpts) for m in box.upstream.messages), 250, "recipients")


def test_outbox_limits(t):
    box = prepared(t, "data_size_limit = 10K")
    _, err = box.sendmail("b@b.test", data=b"\n" + b"x\n" * 8000, status=EX_TEMPFAIL)
    assert b"552 5.3.4" in err, err
    box.file.write_text(box.file.read_text() + "\nmin_free = 1000T\n")
    _, err = box.sendmail("b@b.test", data=b"\n", status=EX_TEMPFAIL)
    assert b"min_free" in err, err
    equal(box.in_outbox()[""], [], "files")


def test_outbox_full_disk(t):
    """What could not be written is not there, and its sender knows."""
    need_root()
    need_program("mount")
    disk = t.tmp / "disk"
    disk.mkdir()
    done = t.run(["mount", "-t", "tmpfs", "-o", "mode=0755,size=128k", "none", disk])
    if done.returncode:
        raise Skip(f"cannot mount a tmpfs: {done.stderr.decode().strip()}")
    t.later(lambda: t.run(["umount", "-l", disk]))
    box = Box(t, f'min_free = 0\noutbox = "{disk}/outbox"')
    box.outbox = disk / "outbox"
    box.relay.stop()
    box.sendmail("b@b.test", data=b"\nsmall\n")
    _, err = box.sendmail("b@b.test", data=b"\n" + b"x" * 60 + b"\n" * 300000, status=EX_TEMPFAIL)
    assert b"not enough free space" in err, err
    equal(len(box.in_outbox()[""]), 1, "files")
    box.start("again").wait_for("outbox", result="submitted")
    box.one()


def test_outbox_refused_for_good(t):
    """Aside with the reason; the next one is not held up."""
    box = prepared(t)
    with open(box.outbox / "msg-1", "wb") as f:
        f.write(b"EHLO x\r\nMAIL FROM:<not an address>\r\nRCPT TO:<b@b.test>\r\nDATA\r\nQUIT\r\n")
    os.chmod(box.outbox / "msg-1", 0o644)
    box.sendmail("good@b.test", data=b"\n")
    relay = box.start("again")
    relay.wait_for("outbox", result="refused", file="msg-1")
    equal(box.one()[0].rcpts, ["good@b.test"], "the other one")
    wait_until(lambda: box.in_outbox()["taken"] == [], "nothing to be under way")
    equal(box.in_outbox(), {"": [], "taken": [], "refused": ["msg-1", "msg-1.reason"]}, "outbox")
    assert " 5" in (box.outbox / "refused/msg-1.reason").read_text(), "the reply stands there"


def test_outbox_refused_for_now(t):
    """451 of a spool that has no room: it stays, and goes with the next start."""
    box = prepared(t)
    box.sendmail("b@b.test", data=b"\n")
    text = box.text
    box.text += "\nmin_free = 1000T"
    relay = box.start("poor")
    relay.wait_for("outbox", result="deferred")
    relay.stop()
    equal(len(box.in_outbox()["taken"]), 1, "files claimed")
    box.text = text
    box.start("rich").wait_for("outbox", result="submitted")
    box.one()


def test_outbox_hostile_files(t):
    """What a local user can make in a folder that all may write to."""
    box = prepared(t, "data_size_limit = 1M")
    secret = t.tmp / "secret"
    secret.write_bytes(b"EHLO x\r\nMAIL FROM:<a@a.test>\r\nRCPT TO:<evil@b.test>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n")
    secret.chmod(0o644)
    (box.outbox / "msg-link").symlink_to(secret)
    os.link(secret, box.outbox / "msg-hard")
    os.mkfifo(box.outbox / "msg-fifo", 0o666)
    (box.outbox / "msg-dir").mkdir()
    (box.outbox / "msg-dir/x").write_text("x")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(box.outbox / "msg-sock"))
    with open(box.outbox / "msg-huge", "wb") as f:
        f.truncate(1 << 40)
    (box.outbox / "msg-line").write_bytes(b"EHLO " + b"x" * 5_000_000)
    (box.outbox / "msg-nul").write_bytes(b"\0" * 1_000_000)
    (box.outbox / "msg-empty").write_bytes(b"")
    (box.outbox / "msg-cut").write_bytes(b"EHLO x\r\nMAIL FROM:<a@a.test>\r\nRCPT TO:<cut@b.test>\r\nDATA\r\nhi\r\n")
    (box.outbox / "msg-\n\x1b[31m").write_bytes(b"QUIT\r\n")
    (box.outbox / "other").write_bytes(secret.read_bytes())
    (box.outbox / "tmp-0").write_bytes(secret.read_bytes())
    for p in box.outbox.glob("msg-*"):
        if p.is_file() and not p.is_symlink():
            p.chmod(0o644)
    box.sendmail("good@b.test", data=b"Subject: good\n\n")
    relay = box.start("again")
    relay.wait_for("outbox", result="submitted")
    got, _ = box.one()
    equal(got.rcpts, ["good@b.test"], "only the honest one")
    relay.wait_for("outbox", result="refused", count=7)
    left = box.in_outbox()
    equal(left["taken"], [], "taken")
    equal([n for n in left["refused"] if not n.endswith(".reason")],
          ["msg-\n\x1b[31m", "msg-cut", "msg-empty", "msg-hard", "msg-huge", "msg-line", "msg-nul"], "refused")
    assert {"msg-link", "other", "tmp-0"} <= set(left[""]), left
    assert not any("\x1b" in line for line in relay.lines), "a name reached the log unescaped"
    equal(len(box.upstream.messages), 1, "messages")


def test_outbox_folder_of_somebody_else(t):
    """Made before us by a local user: the service does not start rather than trust it."""
    account = ordinary_user()
    box = Box(t, outbox=True, start=False)
    box.outbox.mkdir()
    os.chown(box.outbox, account.pw_uid, account.pw_gid)
    relay = t.daemon(box.upstream, config=box.text, listen=f"unix:{box.socket}", name="relay",
                     spool=t.tmp / "spool-relay")
    relay.stopped = True
    equal(relay.wait(), 1, "exit status")
    assert any("belongs to user id" in line for line in relay.lines), relay.lines


def test_outbox_drainer_killed(t):
    """kill -9 of the worker that plays the files, again and again: nothing is lost, a duplicate each time at most."""
    box = prepared(t, "min_spare = 1\nmax_spare = 2\nmax_workers = 4")
    for i in range(120):
        (box.outbox / f"msg-{i:03}").write_bytes(
            f"EHLO x\r\nMAIL FROM:<a@a.test>\r\nRCPT TO:<r{i}@b.test>\r\nDATA\r\n".encode()
            + b"x" * 500 + b"\r\n.\r\nQUIT\r\n")
        (box.outbox / f"msg-{i:03}").chmod(0o644)
    relay = t.daemon(box.upstream, config=box.text, listen=f"unix:{box.socket}", name="again",
                     spool=t.tmp / "spool-relay")
    kills, seen = 0, None
    for _ in range(3):
        try:
            seen = relay.wait_for("outbox", after=seen, result="submitted", timeout=20 * harness.SLOW)
        except AssertionError:
            break
        try:
            os.kill(seen.pid, signal.SIGKILL)
            kills += 1
        except ProcessLookupError:
            pass
    t.comment(f"{kills} kills")
    wait_until(lambda: len({r for m in box.upstream.messages for r in m.rcpts}) == 120, "all messages")
    assert len(box.upstream.messages) <= 120 + kills, f"{len(box.upstream.messages)} messages"
    wait_until(lambda: box.in_outbox() == {"": [], "taken": [], "refused": []}, "an empty outbox")


def test_outbox_taken_back(t):
    """Somebody listens once the message lies in the outbox, and may have looked before: it goes to the socket."""
    box = prepared(t)
    got = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(box.socket))
        server.listen()

        def serve():
            server.accept()[0].close()  # gone before it said a word
            server.accept()[0].close()  # it asked whether there is somebody
            client, _ = server.accept()
            with client, client.makefile("rwb", 0) as f:
                f.write(b"220 x\r\n")
                for line in f:
                    got.append(line)
                    verb = line[:4].upper()
                    if verb == b"DATA":
                        f.write(b"354 x\r\n")
                        while (text := f.readline()) not in (b".\r\n", b""):
                            got.append(text)
                    f.write(b"221 x\r\n" if verb == b"QUIT" else b"250 x\r\n")
                    if verb == b"QUIT":
                        break
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        box.sendmail("b@b.test", data=b"Subject: back\n\n")
        thread.join(DEADLINE)
    assert b"Subject: back\r\n" in got, got
    equal(box.in_outbox()[""], [], "the outbox")


def test_outbox_race_with_a_start(t):
    """Senders all the time while the service starts and stops: everybody who heard 0 is delivered."""
    box = prepared(t)
    sent, stop = [], threading.Event()

    def send(k):
        n = 0
        while not stop.is_set():
            rcpt = f"r{k}-{n}@b.test"
            done = subprocess.run([SENDMAIL, "-C", box.file, rcpt], input=b"Subject: x\n\n", stderr=subprocess.PIPE,
                                  timeout=DEADLINE, check=False)
            if done.returncode == 0:
                sent.append(rcpt)
            n += 1
    threads = [threading.Thread(target=send, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for i in range(3):
        relay = box.start(f"relay{i}")
        wait_until(lambda before=len(sent): len(sent) > before + 3, "some to be sent")
        relay.stop()
        wait_until(lambda before=len(sent): len(sent) > before + 3, "some to be put down")
    stop.set()
    for thread in threads:
        thread.join()
    box.start("last")
    wait_until(lambda: {r for m in box.upstream.messages for r in m.rcpts} >= set(sent), "all that were sent")
    t.comment(f"{len(sent)} sent, {len(box.upstream.messages)} arrived")


# ---- side by side with Postfix ----------------------------------------------------------

PLAIN = b"Subject: x\n\nhi\n"
SAME = [  # arguments, message
    (["you@b.test"], PLAIN),
    (["-i", "you@b.test"], b"Subject: x\n\na\n.\nb\n"),
    (["you@b.test"], b"Subject: x\n\na\n.\nb\n"),
    (["you@b.test"], b"Subject: x\n\na\n.\r\nb\n"),
    (["you@b.test"], b"Subject: x\n\na\n..\n.b\nno line end"),
    (["-oi", "-f", "a@a.test", "you@b.test", "two@b.test"], PLAIN),
    (["-fa@a.test", "one@b.test, two@b.test"], PLAIN),
    (["-f", "Some Body <a@a.test>", "One <one@b.test>"], PLAIN),
    (["-f", "", "you@b.test"], PLAIN),
    (["-f", "<>", "you@b.test"], PLAIN),
    (["-f", "a@a.test", "-F", "Full Name", "you@b.test"], PLAIN),
    (["-f", "a@a.test", "-F", "Name, Full", "you@b.test"], PLAIN),
    (["-f", "a@a.test", "-t"], b"To: one@b.test\nCc: two@b.test\nBcc: three@b.test\nSubject: x\n\nhi\n"),
    (["-f", "a@a.test", "-t", "zero@b.test"], b"To: one@b.test\n\nhi\n"),
    (["-f", "a@a.test", "you@b.test"], b"To: one@b.test\nBcc: two@b.test\n\nhi\n"),
    (["-f", "a@a.test", "-t"], b"To: a group: one@b.test, Two <two@b.test>;, (c) three@b.test\n\nhi\n"),
    (["-f", "a@a.test", "-t"], b"To: \"Last, First\" <one@b.test>\n\nhi\n"),
    (["-f", "a@a.test", "-t"], b"Resent-To: one@b.test\nTo: two@b.test\nSubject: x\n\nhi\n"),
    (["-f", "a@a.test", "-t"], b"TO: one@b.test\nTo: two@b.test\nX: y\n\nTo: three@b.test\n"),
    (["-f", "a@a.test", "-t"], b"Subject: x\n\nhi\n"),
    (["-f", "a@a.test", "-t", "one@b.test"], b"Subject: x\n\nhi\n"),
    (["-f", "a@a.test", "you@b.test"], b"From someone Mon Jan 1\nSubject: x\n\nFrom here\n"),
    (["-f", "a@a.test", "you@b.test"], b"From: f@c.test\nDate: Thu, 1 Jan 2026 00:00:00 +0000\nMessage-Id: <1@c>\n\nb\n"),
    (["-f", "a@a.test", "you@b.test"], b"Return-Path: <x@y>\nContent-Length: 5\nSubject: x\n\nb\n"),
    (["-f", "a@a.test", "you@b.test"], b"no header at all\n"),
    (["-f", "a@a.test", "you@b.test"], b""),
    (["-f", "a@a.test", "local", "you@b.test"], PLAIN),
    (["-f", "local", "you@b.test"], PLAIN),
    (["-Am", "-U", "-G", "-m", "-x", "-L", "tag", "-h", "5", "-O", "X=y", "-p", "ESMTP", "-f", "a@a.test",
      "you@b.test"], PLAIN),
    (["-oem", "-oee", "-om", "-o7", "-odb", "-f", "a@a.test", "you@b.test"], PLAIN),
    (["-B", "8BITMIME", "-f", "a@a.test", "you@b.test"], PLAIN),
    (["-f", "a@a.test", "--", "you@b.test"], PLAIN),
    (["-N", "bogus", "-R", "bogus", "-f", "a@a.test", "you@b.test"], PLAIN),
    ([], PLAIN),
    (["-t", "-bs"], PLAIN),
    (["-Z", "you@b.test"], PLAIN),
    (["-B", "BINARY", "you@b.test"], PLAIN),
    (["-bz"], b""),
    (["-q30m"], b""),
    (["-qI"], b""),
    (["-qX"], b""),
]
# What Postfix ends with after a message it cannot address (its writer of the queue file is given up first). We say
# EX_USAGE, as its source means to: posthouse-sendmail(1), COMPATIBILITY.
THEIR_STATUS = {75: 64}


def essence(received):
    """Envelope, field names in order with the values that do not carry time or place, body."""
    message = email.message_from_bytes(received.content)
    fields = []
    for name, value in message.items():
        if name.lower() in ("received",):
            continue
        moving = name.lower().removeprefix("resent-") in ("date", "message-id")
        # a null sender's own name: Postfix writes it without a domain, which RFC 5322 3.4.1 does not have
        value = "MAILER-DAEMON" if value.startswith("MAILER-DAEMON@") else value
        fields.append((name.lower(), "..." if moving else " ".join(value.split())))
    return received.sender, sorted(received.rcpts), sorted(fields), received.content.partition(b"\r\n\r\n")[2]


def test_side_by_side_with_postfix(t):
    need_root()
    theirs = sendmail_of_postfix()
    other = Upstream(t)
    postfix = test_peers.postfix(t, other, services="pickup unix n - n 60 1 pickup\n",
                                 main="local_header_rewrite_clients = permit_inet_interfaces\nmyorigin = relay.test\n")
    maildrop = postfix.config.parent / "queue/maildrop"
    shutil.chown(maildrop, "postfix", "postdrop")
    maildrop.chmod(0o1730)
    (postfix.config.parent / "queue/public").chmod(0o2710)
    box = Box(t)
    arrived, differ, count = [], [], 0
    for args, data in SAME:
        done = t.run([theirs, "-C", postfix.config, *args], data=data)
        mine = t.run([SENDMAIL, "-C", box.file, *args], data=data)
        if mine.returncode != THEIR_STATUS.get(done.returncode, done.returncode):
            differ.append(f"{args} {data!r}: {done.returncode} {done.stderr!r} there, "
                          f"{mine.returncode} {mine.stderr!r} here")
            break
        if done.returncode or args == ["-q30m"]:
            continue
        count += 1
        arrived.append((args, data, essence(wait_count(other, count)), essence(wait_count(box.upstream, count))))
    assert not differ, "\n".join(differ)
    wrong = [f"{args} {data!r}:\n    there {there}\n    here  {here}" for args, data, there, here in arrived
             if there != here]
    assert not wrong, "\n".join(wrong)
    t.comment(f"{len(SAME)} invocations, {count} messages")


def wait_count(upstream, count):
    return upstream.wait_messages(count)[count - 1]


def sendmail_of_postfix():
    program = pathlib.Path("/usr/sbin/sendmail")
    if not program.exists() or b"postdrop" not in program.read_bytes():
        raise Skip("the sendmail of Postfix is missing (Debian package postfix)")
    return program


if __name__ == "__main__":
    harness.main(__name__)
