#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The message half of posthouse send: messages built from options, held against Python's email package; messages from
files, mboxes and Maildirs, many in a connection; more recipients than a server takes; --queue."""

import email
import email.header
import email.policy
import email.utils
import mailbox
import os
import pathlib
import pwd
import random
import resource
import socket
import subprocess
import threading

import harness
from harness import equal
from smtp_peers import DROP, Upstream
from spools import POSTHOUSE, environment, run_posthouse

DONE, REFUSED, USAGE, UNREACHABLE, PARTLY, LATER, TLS, AUTH, UNSUPPORTED, UNCERTAIN = range(10)
TO = ("--from", "me@x.example", "--to", "you@y.example")


def send(t, upstream, *args, check=DONE, data=b"", **options):
    out, err = run_posthouse(t, "send", "--server", f"127.0.0.1:{upstream.port}", *args, check=check, data=data, **options)
    return out.decode(), err.decode()


def parse(content):
    message = email.message_from_bytes(content, policy=email.policy.default)
    for part in message.walk():
        assert not part.defects, f"{part.defects} in {content[:2000]!r}"
    for line in content.split(b"\r\n"):
        assert len(line) <= 998, f"a line of {len(line)} octets"
    for line in content.split(b"\r\n\r\n")[0].split(b"\r\n"):
        assert len(line) <= 78, f"a header line of {len(line)}: {line!r}"
    return message


def text_of(part):
    """As it was given: Python leaves the line ends of mail."""
    return part.get_content().replace("\r\n", "\n")


def composed(t, upstream, *args, data=b"", **options):
    before = len(upstream.messages)
    send(t, upstream, *args, data=data, **options)
    equal(len(upstream.messages), before + 1, "messages")
    return parse(upstream.messages[-1].content)


# ---- built ------------------------------------------------------------------------------------


def test_simple(t):
    upstream = Upstream(t)
    m = composed(t, upstream, *TO, "--subject", "Hello", data=b"one\n.two\nFrom three")
    equal(text_of(m), "one\n.two\nFrom three\n", "text")
    equal((m["From"], m["To"], m["Subject"]), ("me@x.example", "you@y.example", "Hello"), "header")
    equal(m.get_content_type(), "text/plain", "type")
    equal(m["Content-Transfer-Encoding"], "7bit", "encoding")
    for name in ("Date", "Message-ID", "MIME-Version"):
        equal(len(m.get_all(name)), 1, name)
    equal(upstream.messages[0].rcpts, ["you@y.example"], "recipients")


def test_recipients(t):
    upstream = Upstream(t)
    m = composed(t, upstream, "--from", "Jörg Müller <me@x.example>", "--to", 'a@y, "Doe, Jane" <b@y>', "--to", "Ä <c@y>",
                 "--cc", "d@y, a@y", "--bcc", "e@y", "--reply-to", "Ö <r@x>", "--text", "x",
                 "--header", "X-Note: Grüße =?x?=", "--header", "Keywords: a, b")
    equal(upstream.messages[0].rcpts, ["a@y", "b@y", "c@y", "d@y", "e@y"], "recipients")
    equal(upstream.messages[0].sender, "me@x.example", "sender")
    equal([(a.display_name, a.addr_spec) for a in m["From"].addresses], [("Jörg Müller", "me@x.example")], "From")
    equal([(a.display_name, a.addr_spec) for a in m["To"].addresses], [("", "a@y"), ("Doe, Jane", "b@y"), ("Ä", "c@y")], "To")
    equal([a.addr_spec for a in m["Cc"].addresses], ["d@y", "a@y"], "Cc")
    equal([a.display_name for a in m["Reply-To"].addresses], ["Ö"], "Reply-To")
    equal((m["Bcc"], m["X-Note"], m["Keywords"]), (None, "Grüße =?x?=", "a, b"), "other fields")


def test_texts(t):
    """Each encoding, and the one that is chosen."""
    upstream = Upstream(t)
    latin = "Grüße, ".encode("latin-1")
    for text, args, encoding in (
            ("plain\n", (), "7bit"), ("Grüße aus Köln, und viel Text dahinter, der ASCII ist\n", (), "quoted-printable"),
            ("Привет, как дела\n", (), "base64"), ("x" * 2000 + "\n", (), "quoted-printable"),
            ("trailing blanks \t\n=20 = \n", ("--encoding", "quoted-printable"), "quoted-printable"),
            ("Grüße\n", ("--encoding", "8bit"), "8bit"), ("plain\n", ("--encoding", "base64"), "base64"),
            ("", (), "7bit"), ("\n\n\n", (), "7bit"), ("no end", ("--encoding", "base64"), "base64")):
        m = composed(t, upstream, *TO, "--subject", "s", *args, data=text.encode())
        equal(text_of(m), text if text.endswith("\n") or not text else text + "\n", "text")
        equal(m["Content-Transfer-Encoding"], encoding, f"encoding of {text[:20]!r}")
    _, err = send(t, upstream, *TO, "--subject", "s", data=latin, check=USAGE)
    assert "--charset" in err, err
    m = composed(t, upstream, *TO, "--subject", "s", "--charset", "iso-8859-1", data=latin)
    equal(text_of(m), "Grüße, \n", "text")
    m = composed(t, upstream, *TO, "--text", "t", "--html", "<p>ü</p>")
    equal(m.get_content_type(), "multipart/alternative", "type")
    equal([text_of(p) for p in m.iter_parts()], ["t\n", "<p>ü</p>\n"], "parts")
    equal(m.get_body(("html", "plain")).get_content_type(), "text/html", "the best")
    equal(composed(t, upstream, *TO, "--html", "<p>").get_content_type(), "text/html", "type")


def test_attachments(t):
    upstream = Upstream(t)
    octets = bytes(range(256)) * 300
    files = {"a.bin": octets, "ä ö.pdf": b"%PDF", "empty": b"", "q\"\\;x.txt": b"text\r\nwith\nends\r",
             "n" * 200 + ".png": b"\x89PNG", "utf8.txt": "Grüße".encode(), "newline\nX: y.csv": b"1,2\n", "-": b"dash"}
    folder = t.tmp / "files"
    folder.mkdir()
    args = []
    for name, content in files.items():
        (folder / name).write_bytes(content)
        args += ["--attach", folder / name]
    m = composed(t, upstream, *TO, "--text", "see there", *args)
    equal(m.get_content_type(), "multipart/mixed", "type")
    equal(text_of(m.get_body()), "see there\n", "text")
    found = {p.get_filename().replace("\r\n", "\n"): p for p in m.iter_attachments()}
    equal(sorted(found), sorted(files), "names")
    for name, part in found.items():
        equal(part.get_payload(decode=True), files[name], f"content of {name!r}")
    equal(found["a.bin"].get_content_type(), "application/octet-stream", "type")
    equal(found["ä ö.pdf"].get_content_type(), "application/pdf", "type")
    equal(found["utf8.txt"].get_content_charset(), "utf-8", "charset")
    # said otherwise; a name that is not UTF-8; standard input; nothing but attachments
    raw = os.fsencode(folder) + b"/\xe4.dat"
    pathlib.Path(os.fsdecode(raw)).write_bytes(b"raw")
    m = composed(t, upstream, *TO, "--attach", f"{folder}/a.bin;type=image/x-my;filename=Bïld.jpg", "--attach", os.fsdecode(raw),
                 "--attach", "-;filename=stdin.txt", data=b"from a pipe")
    parts = list(m.iter_parts())
    equal([p.get_content_type() for p in parts], ["image/x-my", "application/octet-stream", "text/plain"], "types")
    equal([p.get_filename() for p in parts][::2], ["Bïld.jpg", "stdin.txt"], "names")
    equal(parts[2].get_payload(decode=True), b"from a pipe", "content")
    for wrong, status in ((f"{folder}/a.bin;type=x", USAGE), (f"{folder}/missing", UNREACHABLE), (folder, USAGE), ("", USAGE)):
        send(t, upstream, *TO, "--attach", wrong, check=status)


def test_attached_messages(t):
    """RFC 2046 5.2.1: as they are, or not as messages."""
    upstream = Upstream(t)
    inner = b"From: a@b\r\nSubject: inner\r\n\r\nbody \xc3\xa4\r\n--\r\n"
    for name, content, kind in (("ok.eml", inner, "message/rfc822"), ("long.eml", b"S: x\n\n" + b"y" * 999, None),
                                ("cr.eml", b"S: x\n\na\rb\n", None), ("nul.eml", b"S: x\n\n\0\n", None)):
        path = t.tmp / name
        path.write_bytes(content)
        part = next(composed(t, upstream, *TO, "--text", "t", "--attach", path).iter_attachments())
        equal(part.get_content_type(), kind or "application/octet-stream", name)
        if kind:
            equal(part.get_content()["Subject"], "inner", "inner subject")
        else:
            equal(part.get_payload(decode=True), content, name)
        equal(part.get_filename(), name, "name")


def test_random(t):
    """Whatever one says of subjects, names and files: Python reads the same."""
    upstream = Upstream(t)
    seed = random.randrange(1 << 32)
    t.comment(f"seed {seed}")
    rng = random.Random(seed)
    alphabet = "abcXYZ019 ,.;:=?_<>@\"\\()[]'%*/-+äß€😀漢字\u0301"
    for number in range(40):
        subject, name, file, text = ("".join(rng.choice(alphabet) for _ in range(rng.randrange(1, n))) for n in (300, 80, 60, 500))
        file = file.replace("/", "").replace(";", "").strip(". ") or "x"
        path = t.tmp / f"f{number}"
        content = rng.randbytes(rng.randrange(3000))
        path.write_bytes(content)
        phrase = '"' + name.replace("\\", "").replace('"', "") + '"'
        m = composed(t, upstream, "--from", f"{phrase} <me@x.example>", "--to", "you@y.example", "--subject", subject,
                     "--text", text, "--attach", f"{path};filename={file}")
        equal(m["Subject"], subject, "subject")
        # Python 3.11's parser of addresses has a blank between encoded words, against RFC 2047 6.2
        shown = "".join(w if isinstance(w, str) else w.decode(c or "ascii")
                        for w, c in email.header.decode_header(str(dict(m.raw_items())["From"])))
        equal(m["From"].addresses[-1].addr_spec, "me@x.example", "address")
        assert phrase[1:-1].strip() in shown.replace('"', ""), f"{phrase} in {shown}"
        equal(text_of(m.get_body()), text + "\n", "text")
        part = next(m.iter_attachments())
        # Python takes quotes and <> off a name, though they are part of it here
        equal(part.get_filename(), email.utils.unquote(file).strip(), "file name")
        equal(part.get_payload(decode=True), content, "content")


def test_what_cannot_be_built(t):
    upstream = Upstream(t)
    (t.tmp / "m.eml").write_bytes(b"From: a@b\r\n\r\n")
    for args in (("--subject", "a\nBcc: evil@x"), ("--header", "X: a\r\nBcc: evil@x"), ("--header", "To: z@y"),
                 ("--header", "Content-Type: x"), ("--header", "nothing"), ("--cc", "not an address"),
                 ("--cc", "a\nb@y"), ("--charset", 'x"; y=z', "--text", "t"), ("--encoding", "uuencode"),
                 ("--encoding", "7bit", "--text", "ü"), ("--subject", "s", t.tmp / "m.eml"),
                 ("--subject", "s", "--format", "mbox"), ("--reply-to", "<x")):
        _, err = send(t, upstream, *TO, *args, check=USAGE)
        equal(err.count("\n"), 1, f"lines said about {args}: {err}")
    send(t, upstream, "--to", "you@y.example", "--text", "x", check=USAGE)
    send(t, upstream, "--from", "me@x.example", "--text", "x", check=USAGE)
    equal(upstream.received, [], "messages")


def test_utf8_addresses(t):
    """RFC 6531: said when the server can, and not sent when it cannot."""
    args = ("--from", "a@x", "--to", "jörg@y", "--text", "x")
    upstream = Upstream(t, extensions=("PIPELINING", "8BITMIME", "SMTPUTF8"))
    send(t, upstream, *args)
    assert "SMTPUTF8" in upstream.messages[0].mail_line, upstream.messages[0].mail_line
    assert "To: jörg@y\r\n".encode() in upstream.messages[0].content
    send(t, Upstream(t), *args, check=UNSUPPORTED)


class Sink:
    """Takes one message of any size and keeps none of it but its length."""

    def __init__(self, t):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.octets = 0
        threading.Thread(target=self.serve, daemon=True).start()
        t.later(self.socket.close)

    def serve(self):
        client, _ = self.socket.accept()
        client.sendall(b"220 x\r\n")
        lines = client.makefile("rb")
        for line in lines:
            verb = line.split()[0].upper()
            client.sendall(b"354 go\r\n" if verb == b"DATA" else b"250 ok\r\n")
            if verb == b"DATA":
                tail = b"\r\n"
                while not tail.endswith(b"\r\n.\r\n"):
                    data = lines.read1(1 << 20)
                    self.octets += len(data)
                    tail = (tail + data)[-5:]
                client.sendall(b"250 ok\r\n")


def test_large_attachment(t):
    """An attachment is not memory."""
    path = t.tmp / "large"
    size = 100 << 20
    with path.open("wb") as file:
        file.truncate(size)
    sink = Sink(t)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    child = subprocess.Popen([POSTHOUSE, "send", "--server", f"127.0.0.1:{sink.port}", *TO, "--text", "t", "--attach", path],
                             env=environment(t), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    equal(child.returncode, 0, f"exit status ({child.stderr.read()})")
    assert sink.octets > size * 4 // 3, sink.octets
    t.comment(f"{usage.ru_maxrss} kB at most, for {size >> 20} MB ({before} kB others)")
    if not harness.sanitized():
        assert usage.ru_maxrss < 40000, f"{usage.ru_maxrss} kB of memory"


# ---- from files ------------------------------------------------------------------------------------


def make_files(t, count=4):
    """The same messages in each form."""
    messages = []
    folder = t.tmp / "folder"
    folder.mkdir()
    box, maildir = mailbox.mbox(t.tmp / "box"), mailbox.Maildir(t.tmp / "maildir")
    for i in range(count):
        text = f"From: a@x\nTo: r{i}@y\nSubject: {i}\n\nFrom here\n>From there\n\n.\n".encode()
        messages.append(text.replace(b"\n", b"\r\n"))
        (folder / f"{i}.eml").write_bytes(text)
        maildir.add(text)
    (folder / "note.txt").write_text("no message")
    with (t.tmp / "box").open("wb") as file:  # mboxrd, which Python does not write
        for text in messages:
            file.write(b"From a@x Sun Nov 22 20:10:21 2026\n")
            for line in text.replace(b"\r\n", b"\n").splitlines(True):
                file.write((b">" if line.lstrip(b">").startswith(b"From ") else b"") + line)
            file.write(b"\n")
    box.close()
    return messages


def test_sources(t):
    messages = make_files(t)
    paths = [t.tmp / "folder", t.tmp / "box", t.tmp / "maildir"]
    for path in paths:
        upstream = Upstream(t)
        out, err = send(t, upstream, "-t", "--no-add-headers", path)
        equal(sorted(m.content for m in upstream.messages), sorted(messages), f"contents from {path}")
        # by the names of the files: those of a Maildir made within a second are in no order of time
        order = sorted if path.name == "maildir" else list
        equal(order(m.rcpts for m in upstream.messages), [[f"r{i}@y"] for i in range(4)], f"recipients from {path}")
        equal(len(upstream.sessions), 1, "connections")
        equal((out.count("\n"), err), (4, ""), "lines")
        assert all(line.startswith(str(path)) for line in out.splitlines()), out
    upstream = Upstream(t)
    send(t, upstream, "-t", *paths)
    equal((len(upstream.messages), len(upstream.sessions)), (12, 1), "messages and connections")
    send(t, upstream, "-t", "--format", "mbox", data=(t.tmp / "box").read_bytes())
    equal(len(upstream.messages), 16, "messages")
    send(t, upstream, "-t", data=(t.tmp / "box").read_bytes())
    equal(len(upstream.messages), 17, "messages")


def test_some_cannot_be_sent(t):
    make_files(t)
    (t.tmp / "folder/1.eml").write_bytes(b"Subject: from nobody\n\n")
    (t.tmp / "folder/2.eml").unlink()
    os.symlink("/etc/passwd", t.tmp / "folder/2.eml")
    upstream = Upstream(t)
    upstream.on("RCPT", "550 5.1.1 unknown", match="r3")
    out, err = send(t, upstream, "-t", t.tmp / "folder", t.tmp / "box", t.tmp / "missing", check=UNREACHABLE)
    equal([m.rcpts[0] for m in upstream.messages], ["r0@y", "r0@y", "r1@y", "r2@y"], "messages")
    equal(out.count("\n"), 4, f"lines of success: {out}")
    for what in ("1.eml: the sender is missing", "2.eml: is a symbolic link", "3.eml: r3@y: refused: 550 5.1.1 unknown",
                 "box, message 4: r3@y", "missing: cannot open"):
        assert what in err, f"{what!r} in {err}"
    equal(len(upstream.sessions), 1, "connections")
    send(t, upstream, "-t", t.tmp / "folder/0.eml", t.tmp / "folder/3.eml", check=PARTLY)
    send(t, upstream, "-t", t.tmp / "folder/3.eml", t.tmp / "folder/3.eml", check=REFUSED)
    for name, text in (("not", b"Subject: x\n\n"), ("empty", b"")):
        (t.tmp / name).write_bytes(text)
        assert "not an mbox" in send(t, upstream, "-t", "--format", "mbox", t.tmp / name, check=UNREACHABLE)[1]
    (t.tmp / "none").mkdir()
    assert "neither a Maildir" in send(t, upstream, "-t", t.tmp / "none", check=UNREACHABLE)[1]
    for name in ("cur", "new", "tmp"):
        (t.tmp / "none" / name).mkdir()
    assert "no message" in send(t, upstream, "-t", t.tmp / "none", check=REFUSED)[1]


def test_connections_that_end(t):
    """A server that leaves after some messages gets the others in another connection; one that answers nothing ends it."""
    make_files(t, 7)
    for action in ("421 4.7.0 enough", DROP):
        upstream = Upstream(t)
        upstream.on("MAIL", lambda session, line: action if session.lines.count("DATA") >= 3 else None)
        _, err = send(t, upstream, "-t", t.tmp / "folder")
        equal([m.rcpts[0] for m in upstream.messages], [f"r{i}@y" for i in range(7)], "messages")
        equal((len(upstream.sessions), err), (3, ""), "connections")
    upstream = Upstream(t)
    upstream.on("EOD", DROP, match="r2@y")
    _, err = send(t, upstream, "-t", t.tmp / "folder", check=UNCERTAIN)
    assert "2.eml" in err and "may have been accepted" in err, err
    equal(len(upstream.messages), 6, "messages")
    upstream.clear()
    upstream.on("connect", DROP)
    _, err = send(t, upstream, "-t", t.tmp / "folder", check=UNREACHABLE)
    assert "what follows was not sent" in err, err
    equal(err.count("\n"), 2, f"lines: {err}")


def test_more_recipients_than_it_takes(t):
    rcpts = [f"r{i}@y" for i in range(2500)]
    (t.tmp / "list").write_text("# who gets it\n\n" + "\r\n".join(f" Name <{a}>, " for a in rcpts) + "\n")
    for reply in ("452 4.5.3 too many", "452 too many", "552 5.5.3 too many"):
        upstream = Upstream(t)
        upstream.on("RCPT", lambda session, line: reply if len(session.rcpts) >= 1000 else None)
        out, err = send(t, upstream, "--from", "a@x", "--to-file", t.tmp / "list", "--subject", "s", "--text", "x")
        equal(sorted(a for m in upstream.messages for a in m.rcpts), sorted(rcpts), "recipients")
        equal(([len(m.rcpts) for m in upstream.messages], err), ([1000, 1000, 500], ""), "transactions")
        assert b"r1@y" not in upstream.messages[0].content, "a recipient of --to-file in the header"
    # a mailbox that is full is not a server that has enough
    upstream = Upstream(t)
    upstream.on("RCPT", "452 4.2.2 full", match="r7@")
    _, err = send(t, upstream, "--from", "a@x", "--to-file", t.tmp / "list", "--text", "x", check=PARTLY)
    equal(len(upstream.messages), 1, "messages")
    assert "r7@y: refused for now: 452 4.2.2" in err, err
    # nobody gets it: those that were too many are as refused as they were told
    upstream = Upstream(t)
    upstream.on("RCPT", lambda session, line: "452 4.5.3 too many" if len(session.rcpts) >= 2 else None)
    upstream.on("EOD", "554 5.7.1 spam")
    _, err = send(t, upstream, "--from", "a@x", "--to", "a@y,b@y,c@y", "--text", "x", check=REFUSED)
    assert "c@y: refused for now: 452 4.5.3" in err and "554 5.7.1 spam" in err, err
    # in the second transaction
    upstream = Upstream(t)
    upstream.on("RCPT", lambda session, line: "452 4.5.3 too many" if len(session.rcpts) >= 2 else None)
    upstream.on("EOD", "554 5.7.1 spam", match="c@y")
    send(t, upstream, "--from", "a@x", "--to", "a@y,b@y,c@y", "--text", "x", check=PARTLY)
    equal([m.rcpts for m in upstream.messages], [["a@y", "b@y"]], "messages")


# ---- into the spool ----------------------------------------------------------------------------------


def test_queue(t):
    upstream = Upstream(t)
    daemon = t.daemon(upstream, args=("-n",)).ready()  # which makes the spool
    messages = make_files(t)
    out, _ = run_posthouse(t, "send", "--spool", daemon.spool, "-t", t.tmp / "box")
    ids = [line.split()[-1] for line in out.decode().splitlines()]
    upstream.wait_messages(4)
    for id in ids:
        daemon.wait_for("delivered", id=id)
    daemon.wait_empty()
    for message, sent in zip(messages, upstream.messages):
        head, _, rest = sent.content.partition(b"\r\nFrom: a@x\r\n")
        assert head.startswith(b"Received: by "), sent.content
        assert message.split(b"\r\n\r\n", 1)[1] == rest.split(b"\r\n\r\n", 1)[1], sent.content
    # what MAIL and RCPT would have said is kept
    config = t.config("", upstream, spool=daemon.spool, name="client")
    upstream.on("EOD", "450 4.2.0 later")
    out, _ = run_posthouse(t, "--config", config, "send", "--queue", "--from", "<>", "--to", "b@y", "--text", "x",
                           "--envid", "e+1", "--notify", "never")
    id = out.decode().split()[-1]
    daemon.wait_for("deferred", id=id)
    kept = (daemon.spool / "queue" / id).read_bytes()
    assert b"envid=e+2B1\n" in kept and b"NEVER" in kept and b"\nFrom: MAILER-DAEMON@relay.test\r\n" in kept, kept
    upstream.clear()
    # nobody runs: it is found at the start
    daemon.stop()
    before = len(upstream.messages)
    out, _ = run_posthouse(t, "send", "--queue", "--spool", daemon.spool, *TO, "--subject", "later", data=b"x")
    assert out.decode().split()[-1] in daemon.queue(), out
    t.daemon(upstream, spool=daemon.spool, args=("-n",), name="second")
    equal(parse(upstream.wait_messages(before + 1)[-1].content)["Subject"], "later", "subject")


def test_queue_of_separate_users(t):
    """The relay can read what root and its own user put there, also when nobody runs, and fsck finds nothing odd."""
    harness.need_root()
    upstream = Upstream(t)
    daemon = t.daemon(upstream, config="\n").ready()
    own = harness.as_user(pwd.getpwnam(harness.ROOT_USERS[0]))
    for number, prefix in enumerate(((), own)):
        run_posthouse(t, "send", "--queue", "--spool", daemon.spool, *TO, "--text", "x", prefix=prefix)
        upstream.wait_messages(number + 1)
    daemon.wait_empty()
    daemon.stop()
    for prefix in ((), own):
        run_posthouse(t, "send", "--queue", "--spool", daemon.spool, *TO, "--text", "x", prefix=prefix)
    run_posthouse(t, "fsck", "--spool", daemon.spool)
    daemon = t.daemon(upstream, config="\n", spool=daemon.spool, name="second").ready()
    upstream.wait_messages(4)
    daemon.wait_empty()
    # and with root alone, whose spool others may pass through to the sockets
    daemon = t.daemon(upstream, name="alone").ready()
    daemon.stop()
    run_posthouse(t, "send", "--queue", "--spool", daemon.spool, *TO, "--text", "x")
    run_posthouse(t, "fsck", "--spool", daemon.spool)


def test_queue_refuses(t):
    upstream = Upstream(t)
    daemon = t.daemon(upstream, args=("-n",))
    daemon.ready()
    daemon.stop()
    config = t.config("data_size_limit = 2000\nmax_received = 5\n", upstream, spool=daemon.spool, name="client")

    def queue(*args, check, data=b"x"):
        return run_posthouse(t, "--config", config, "send", "--queue", *args, check=check, data=data)[1].decode()

    assert "data_size_limit" in queue(*TO, "--subject", "s", data=b"x" * 2000, check=REFUSED)
    assert "NUL" in queue(*TO, data=b"Subject: x\n\n\0\n", check=REFUSED)
    assert "circles" in queue(*TO, data=b"Received: x\n" * 6 + b"\n", check=REFUSED)
    queue(*TO, "--server", "127.0.0.1:1", check=USAGE)
    queue(*TO, "-v", check=USAGE)
    queue(*TO, "--repeat", "3", check=USAGE)
    queue(*TO, "--mail-option", "X=y", check=USAGE)
    queue("--from", "a@x", check=USAGE)
    equal(daemon.queue(), [], "messages")
    run_posthouse(t, "send", "--spool", t.tmp / "nowhere", *TO, check=UNREACHABLE)
    if os.geteuid() == 0:
        prefix = harness.as_user(pwd.getpwnam("games"))
        _, err = run_posthouse(t, "send", "--spool", daemon.spool, *TO, "--text", "x", check=UNREACHABLE, prefix=prefix)
        assert b"only root and the spool's user" in err, err
    huge = t.config('min_free = "1000T"\n', upstream, spool=daemon.spool, name="full")
    _, err = run_posthouse(t, "--config", huge, "send", "--queue", *TO, "--text", "x", check=LATER)
    assert b"bytes free" in err, err


if __name__ == "__main__":
    harness.main(__name__)
