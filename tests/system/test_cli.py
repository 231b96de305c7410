#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The operator's command: queue and show on spools made for it, send against
a scripted server, the manual against the help texts."""

import base64
import copy
import fcntl
import json
import os
import pathlib
import pty
import pwd
import re
import struct
import subprocess
import termios
import time

import harness
from harness import DEADLINE, SRCDIR, equal
from smtp_peers import DROP, STALL, Authority, Upstream
from spools import POSTHOUSE, environment, make_spool, run_posthouse

CONTENT = b"From: a@x\r\nSubject: test\r\n\r\nHello\r\n"
NOW = int(time.time() * 1_000_000)


def latin(data):
    """Octets as make_spool wants them."""
    return data.decode("latin-1")


def posthouse(t, *args, check=0, data=None, env=None):
    """Standard output and error as octets."""
    out, errors = run_posthouse(t, *args, check=check, data=data, env=environment(t, **(env or {})))
    for line in errors.splitlines():
        assert line.startswith((b"posthouse: ", b"  ", b"C: ", b"S: ")), f"on standard error: {line!r}"
    return out, errors


def on_terminal(t, *args, columns=80, locale="C.UTF-8"):
    """What the command writes to a terminal of that width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    with subprocess.Popen([POSTHOUSE, *map(str, args)], stdin=slave, stdout=slave, stderr=slave,
                          env={"LC_ALL": locale, "HOME": str(t.tmp)}) as process:
        os.close(slave)
        output = b""
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # EIO: the other side is closed
                break
            if not data:
                break
            output += data
        process.wait(DEADLINE)
    os.close(master)
    return output.decode("utf-8" if "UTF" in locale else "ascii")


EXAMPLES = [
    {"from": "fresh@example.org", "to": ["one@example.net"], "peer": "192.0.2.1:4711", "helo": "client.example"},
    {"from": "", "to": [
        {"address": "late@example.net", "status": "pending", "when": NOW - 60_000_000, "upstream": "main",
         "reply": "450 4.2.0 mailbox busy"},
        {"address": "done@example.net", "status": "delivered", "when": NOW - 120_000_000, "upstream": "main",
         "reply": "250 2.0.0 OK"}],
     "tries": 3, "next": NOW + 3600_000_000, "last": NOW - 60_000_000, "uncertain": True},
    {"from": "held@example.org", "to": ["a@example.net", "b@example.net"], "held": "operator"},
    {"from": "bad@example.org", "to": [
        {"address": "nobody@example.net", "status": "failed", "when": NOW, "upstream": "main",
         "reply": "550 5.1.1 no such user"}], "tries": 1},
    {"from": "old@example.org", "to": [{"address": "x@example.net", "status": "expired", "when": NOW}], "tries": 9,
     "content": b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 998 + b"\r\n") * 20},
]


def examples():
    return copy.deepcopy(EXAMPLES)


# ---- queue -----------------------------------------------------------------

def test_queue_empty(t):
    spool, _ = make_spool(t, [])
    equal(posthouse(t, "--spool", spool, "queue"), (b"The queue is empty.\n", b""), "output")
    equal(posthouse(t, "--spool", spool, "queue", "--json"), (b"", b""), "output")
    equal(posthouse(t, "--spool", spool, "queue", "--ids"), (b"", b""), "output")


def test_queue_table(t):
    spool, ids = make_spool(t, examples())
    out, _ = posthouse(t, "--spool", spool, "queue")
    title, *rows, footer = out.decode().splitlines()
    equal(title.split(), ["ID", "AGE", "SIZE", "SENDER", "LEFT", "TRIES", "NEXT", "LAST", "REPLY"], "title")
    equal([row.split()[0] for row in rows], sorted(ids), "ids in the order of arrival")
    wanted = [
        ("fresh@example.org", "1/1", "0", "now", ""),
        ("<>", "1/2", "3", r"in (59|60)m", "450 4.2.0 mailbox busy"),
        ("held@example.org", "2/2", "0", "held", "operator"),
        ("bad@example.org", "0/1", "1", "failed", "550 5.1.1 no such user"),
        ("old@example.org", "0/1", "9", "failed", ""),
    ]
    for row, (sender, left, tries, following, reply) in zip(rows, wanted, strict=True):
        assert re.fullmatch(rf"\S{{16}} +\d+[sm] +\S+  {re.escape(sender)} +{left} +{tries}  {following} *{re.escape(reply)}",
                            row), row
    equal(footer, "5 messages, 20K, 4 recipients left: 1 queued, 1 deferred, 1 held, 2 failed.", "footer")


def test_queue_json(t):
    spool, ids = make_spool(t, examples())
    out, _ = posthouse(t, "--spool", spool, "queue", "--json")
    assert out.isascii()
    entries = [json.loads(line) for line in out.splitlines()]
    equal([e["queue_id"] for e in entries], ids, "ids")
    for entry, made in zip(entries, EXAMPLES, strict=True):
        equal(entry["sender"], made["from"], "sender")
        equal(entry["message_size"], len(made.get("content", CONTENT)), "size")
        assert abs(entry["arrival_time"] - NOW / 1e6) < 600, entry
        equal(entry["tries"], made.get("tries", 0), "tries")
        equal(entry["next_attempt"] or 0, made.get("next", 0) // 1_000_000, "next attempt")
        equal(entry["last_attempt"] or 0, made.get("last", 0) // 1_000_000, "last attempt")
        equal((entry["held"], entry["hold_reason"]), ("held" in made, made.get("held")), "held")
        equal(entry["uncertain"], made.get("uncertain", False), "uncertain")
        equal((entry["peer"], entry["helo"]), (made.get("peer", ""), made.get("helo", "")), "origin")
        # in both lists they stand in the order of the envelope; no example has both kinds in any other
        rcpts = entry["recipients"] + entry["delivered"]
        equal({r["status"] for r in entry["delivered"]} - {"delivered"}, set(), "status of the delivered")
        assert all(r["status"] != "delivered" for r in entry["recipients"]), entry
        pending = 0
        for rcpt, to in zip(rcpts, made["to"], strict=True):
            to = {"address": to} if isinstance(to, str) else to
            status = to.get("status", "pending")
            pending += status == "pending"
            equal(rcpt["address"], to["address"], "address")
            equal(rcpt["status"], status, "status")
            equal((rcpt["reply"], rcpt["upstream"]), (to.get("reply"), to.get("upstream")), "reply")
            equal(rcpt.get("delay_reason"), None if status == "delivered" else to.get("reply"), "delay_reason")
            equal(rcpt["when"] or 0, to.get("when", 0) // 1_000_000, "when")
        equal(entry["recipients_left"], pending, "recipients_left")
    equal([e["queue_name"] for e in entries], ["active", "deferred", "hold", "failed", "failed"], "queue_name")
    equal([e["state"] for e in entries], ["queued", "deferred", "held", "failed", "failed"], "state")
    equal([e["forced_expire"] for e in entries], [False, False, False, False, True], "forced_expire")


def test_queue_by_prefix(t):
    spool, ids = make_spool(t, [{"from": "a@x", "to": ["b@y"], "count": 4}])
    equal(posthouse(t, "--spool", spool, "queue", "--ids")[0].decode().split(), ids, "all")
    equal(posthouse(t, "--spool", spool, "queue", "--ids", ids[2].upper())[0].decode().split(), [ids[2]], "one")
    equal(posthouse(t, "queue", "--ids", "--spool", spool, ids[0][:3], ids[3])[0].decode().split(), ids, "by prefix")
    out, err = posthouse(t, "--spool", spool, "queue", "--ids", ids[1], "zzz", check=1)
    equal(out.decode().split(), [ids[1]], "what was found")
    assert b"zzz: no queued message" in err, err
    out, err = posthouse(t, "--spool", spool, "queue", "zzz", check=1)
    equal(out, b"", "output")
    for wrong in ("u", "", "../queue", "0" * 17, "a b"):
        posthouse(t, "--spool", spool, "queue", wrong, check=2)
    posthouse(t, "--spool", spool, "queue", "--json", "--ids", check=2)


def test_queue_many(t):
    """More messages than are looked at for the columns' widths."""
    spool, ids = make_spool(t, [{"from": "a@x", "to": ["b@y"], "count": 700},
                                {"from": "somebody-with-a-long-name@example.org", "to": ["b@y"]}])
    rows = posthouse(t, "--spool", spool, "queue")[0].decode().splitlines()
    equal([row.split()[0] for row in rows[1:-1]], ids, "ids")
    assert "somebody-with-a-long-name@example.org" in rows[-2], rows[-2]
    assert rows[-1].startswith("701 messages, 24K, 701 recipients left: 701 queued."), rows[-1]


def test_queue_at_terminals(t):
    reply = "450 4.2.0 " + "mailbox busy " * 20
    spool, ids = make_spool(t, [{"from": "somebody-with-a-long-name@example.org", "tries": 1, "to": [
        {"address": "b@y", "status": "pending", "when": NOW, "reply": reply.strip()}]}] * 3)
    for columns in (200, 132, 80, 60, 40, 20):
        for locale in ("C.UTF-8", "C"):
            lines = on_terminal(t, "--spool", spool, "queue", columns=columns, locale=locale).split("\n")
            equal(lines.pop(), "", "end")
            *table, footer = lines
            assert max(map(len, table)) <= columns, (columns, max(table, key=len))
            assert columns < 80 or max(map(len, table)) == columns, "the width is not used"
            assert all(line[:16] == ident[:len(line[:16])] for line, ident in zip(table[1:], ids)), table
            assert ("…" if locale == "C.UTF-8" else "~") in table[1], table[1]
    line = posthouse(t, "--spool", spool, "queue", env={"COLUMNS": "70"})[0].decode().splitlines()[1]
    equal(len(line), 70, "with COLUMNS=70")
    line = posthouse(t, "--spool", spool, "queue")[0].decode().splitlines()[1]
    assert line.endswith(reply.strip()), "cut in a pipe"


# ---- bad input ---------------------------------------------------------------

HOSTILE = [b"\x1b]0;owned\x07@x", b"\xff\xfe@x", "\u202egro.elpmaxe@x".encode(), "\u009b31m@x".encode(), b"a\tb@x",
           "grüße@exämple.org".encode(), b'"quoted \\" string"@x', b"<>@x", b"\x7f@x", b"a" * 250 + b"@x"]


def test_hostile_text(t):
    """Neither a table, nor show, nor JSON passes on what could move a terminal or forge a line."""
    header = b"Subject: \x1b[2J\xff\r\n\tfolded\rbare\r\nX-Eight: gr\xc3\xbc\xc3\x9fe\r\n\r\n\x1b[2Jbody\x00\r\n"
    spool, ids = make_spool(t, [
        {"from": latin(text), "content": header, "tries": 1, "helo": "\x1b[31mevil\n",
         "to": [{"address": latin(text), "status": "pending", "when": NOW, "upstream": latin(text),
                 "reply": latin(text + b"\nforged\r\n")}]} for text in HOSTILE])
    for locale in ("C.UTF-8", "C"):
        outputs = [on_terminal(t, "--spool", spool, "queue", columns=1000, locale=locale)]
        equal(outputs[0].count("\n"), len(HOSTILE) + 2, "lines of the table")
        for ident in ids:
            for view in ((), ("--envelope",), ("--headers",), ("--body",), ("--raw",), ("--json",)):
                outputs.append(on_terminal(t, "--spool", spool, "show", ident, *view, locale=locale))
        for output in outputs:
            for c in output:
                assert c in "\n\t" or c.isprintable(), (hex(ord(c)), output)
            assert "\u202e" not in output and "\u009b" not in output
    table = posthouse(t, "--spool", spool, "queue")[0].decode()
    assert "\\x1b]0;owned\\x07@x" in table and "grüße@exämple.org" in table and "\\nforged" in table, table
    entries = [json.loads(line) for line in posthouse(t, "--spool", spool, "queue", "--json")[0].splitlines()]
    for entry, text in zip(entries, HOSTILE, strict=True):
        equal(entry["sender"], text.decode("utf-8", "replace"), "sender")
        equal(entry["recipients"][0]["reply"], text.decode("utf-8", "replace") + "\nforged\r\n", "reply")
    shown = json.loads(posthouse(t, "--spool", spool, "show", "--json", ids[0])[0])
    equal(shown["headers"], [{"name": "Subject", "value": "\x1b[2J\ufffd\tfolded\rbare"},
                             {"name": "X-Eight", "value": "grüße"}], "headers")


def test_damaged_files(t):
    spool, ids = make_spool(t, [{"from": "a@x", "to": ["b@y"], "tries": 1, "count": 8}])
    queue = spool / "queue"
    (queue / ids[0]).write_bytes(b"")
    (queue / ids[1]).write_bytes(os.urandom(5000))
    data = (queue / ids[2]).read_bytes()
    (queue / ids[2]).write_bytes(data[:-1])
    (queue / ids[3]).unlink()
    (queue / ids[3]).symlink_to("/etc/passwd")
    (queue / ids[4]).unlink()
    os.mkfifo(queue / ids[4])
    (queue / ids[5]).unlink()
    (queue / ids[5]).mkdir()
    (spool / "state" / ids[6]).write_bytes(b"posthouse-state/1\ntries=\x1b[31m\n")
    (queue / "not-an-id").write_text("foreign")
    (queue / ".hidden").write_text("foreign")
    out, err = posthouse(t, "--spool", spool, "queue")
    rows = out.decode().splitlines()[1:]
    equal([row.split()[0] for row in rows[:-1]], ids, "ids")
    assert all("corrupt" in row for row in rows[:7]) and "corrupt" not in rows[7], rows
    assert "octets" in rows[2] or "ends" in rows[2], f"no reason: {rows[2]}"
    equal(rows[-1].split(": ")[1], "1 deferred, 7 corrupt.", "footer")
    entries = [json.loads(line) for line in posthouse(t, "--spool", spool, "queue", "--json")[0].splitlines()]
    equal([e["queue_name"] for e in entries], ["corrupt"] * 7 + ["deferred"], "queue_name")
    assert all(e["reason"] and e["recipients"] == [] and e["arrival_time"] for e in entries[:7]), entries
    for ident in ids[:7]:
        out, err = posthouse(t, "--spool", spool, "show", ident, check=1)
        equal(out, b"", "output")
        assert ident.encode() in err, err


def test_missing_spool(t):
    for verb in (("queue",), ("queue", "--json"), ("show", "0")):
        out, err = posthouse(t, "--spool", t.tmp / "none", *verb, check=3)
        equal(out, b"", "output")
        assert str(t.tmp / "none").encode() in err and b"--spool" in err, err
    (t.tmp / "file").write_text("")
    posthouse(t, "--spool", t.tmp / "file", "queue", check=3)
    (t.tmp / "folder").mkdir()
    posthouse(t, "--spool", t.tmp / "folder", "queue", check=3)
    posthouse(t, "--config", t.tmp / "none.conf", "queue", check=3)


def test_permissions(t):
    """A user without rights is told so, for a whole spool and for single messages."""
    spool, ids = make_spool(t, [{"from": "a@x", "to": ["b@y"], "count": 2}])
    prefix = harness.as_user(pwd.getpwnam("nobody")) if os.geteuid() == 0 else []
    environment = {"PATH": os.environ["PATH"], "HOME": str(t.tmp)}
    if prefix:
        os.chmod(spool, 0o755)
        for folder in ("incoming", "queue", "state", "corrupt"):
            os.chmod(spool / folder, 0o755)
        os.chmod(spool / "queue" / ids[0], 0o644)
    else:
        os.chmod(spool / "queue" / ids[1], 0)
    done = t.run([*prefix, POSTHOUSE, "--spool", spool, "queue"], check=3, env=environment)
    assert b"unreadable" in done.stdout and ids[0].encode() in done.stdout, done.stdout
    assert b"1 message cannot be read" in done.stderr, done.stderr
    done = t.run([*prefix, POSTHOUSE, "--spool", spool, "show", ids[1]], check=3, env=environment)
    assert ids[1].encode() in done.stderr and b"ermission" in done.stderr, done.stderr
    os.chmod(spool / "queue", 0)
    t.later(os.chmod, spool / "queue", 0o700)
    done = t.run([*prefix, POSTHOUSE, "--spool", spool, "queue"], check=3, env=environment)
    assert b"ermission denied" in done.stderr and b"as root" in done.stderr, done.stderr


def test_output_that_takes_nothing(t):
    spool, ids = make_spool(t, [{"from": "a@x", "to": ["b@y"], "count": 300}])
    for args in (["queue"], ["queue", "--json"], ["queue", "--ids"], ["show", ids[0]], ["show", "--raw", ids[0]],
                 ["--help"], ["--version"], ["help", "queue"]):
        argv = [POSTHOUSE, "--spool", spool, *args]
        with open("/dev/full", "wb") as full:
            done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, timeout=DEADLINE)
        equal(done.returncode, 3, f"exit status of {args} into /dev/full")
        assert b"standard output: No space left" in done.stderr, done.stderr
        for restore in (True, False):  # SIGPIPE ends it, or is ignored and the write fails
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run(argv, stdout=writer, stderr=subprocess.PIPE, timeout=DEADLINE,
                                  restore_signals=restore)
            os.close(writer)
            equal(done.stderr, b"", f"standard error of {args} into a closed pipe")
            equal(done.returncode, -13 if restore else 3, f"exit status of {args}")


def test_message_that_vanishes(t):
    """A queue that drains while it is listed: every row is whole, what is gone is left out."""
    spool, ids = make_spool(t, [{"from": "a@x", "to": ["b@y"], "tries": 1, "count": 2000}])
    process = subprocess.Popen([POSTHOUSE, "--spool", spool, "queue", "--json"], stdout=subprocess.PIPE)
    for ident in ids[::-1]:  # from behind, as the listing comes from the front
        (spool / "queue" / ident).unlink()
        (spool / "state" / ident).unlink()
    out = process.communicate(timeout=DEADLINE)[0]
    equal(process.returncode, 0, "exit status")
    listed = [json.loads(line) for line in out.splitlines()]
    equal([e["queue_id"] for e in listed], ids[:len(listed)], "ids")
    equal({e["tries"] for e in listed} - {1}, set(), "tries")


# ---- show -----------------------------------------------------------------------

FORMS = {
    "plain": CONTENT,
    "empty": b"",
    "no header": b"\r\nbody\r\n",
    "no body": b"Subject: x\r\n\r\n",
    "only header": b"Subject: x\r\nTo: y\r\n",
    "no final newline": b"Subject: x\r\n\r\nbody",
    "eight bits": b"Subject: \xe9\r\n\r\n" + bytes(range(1, 256)).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n",
    "dots": b".\r\n..\r\n\r\n.\r\n",
    "large": b"X: " + b"h" * 200000 + b"\r\n\r\n" + os.urandom(1000) * 3000,
    "empty line at a block's end": b"X: " + b"h" * (65536 - 5) + b"\r\n\r\nbody\r\n",
    "empty line across blocks": b"X: " + b"h" * (65536 - 6) + b"\r\n\r\nbody\r\n",
}


def test_show_octets(t):
    spool, ids = make_spool(t, [{"from": "a@x", "to": ["b@y"], "content": content} for content in FORMS.values()])
    for ident, (name, content) in zip(ids, FORMS.items(), strict=True):
        if content.startswith(b"\r\n"):
            header, body = b"", content[2:]
        else:
            header, found, body = content.partition(b"\r\n\r\n")
            header += b"\r\n" if found else b""
        equal(posthouse(t, "--spool", spool, "show", "--raw", ident), (content, b""), f"{name}: --raw")
        equal(posthouse(t, "--spool", spool, "show", "--headers", ident), (header, b""), f"{name}: --headers")
        equal(posthouse(t, "--spool", spool, "show", "--body", ident), (body, b""), f"{name}: --body")


def test_show_for_people(t):
    spool, ids = make_spool(t, examples())
    out = posthouse(t, "--spool", spool, "show", ids[1])[0].decode()
    envelope, _, header = out.partition("\n\n")
    equal(header, "From: a@x\nSubject: test\n", "header")
    again = posthouse(t, "--spool", spool, "show", "--envelope", ids[1])[0].decode()

    def ageless(text):
        return re.sub(r"\b\d+[smhd]\b", "N", text).splitlines()[2:]
    equal(ageless(again), ageless(envelope), "--envelope")
    for wanted in (rf"^ID +{ids[1]}$", r"^From +<>$", r"^Arrived .* ago\)$", r"^Size +35 \(35 octets",
                   r"^State +deferred, 3 tries, last one \S+ ago, next one in \S+, the answer to the last one was lost",
                   r"^Recipients +1 left of 2$", r"^  To +late@example.net$",
                   r"^ +pending, tried \S+ ago, upstream main, next one in (59|60)m: 450 4.2.0 mailbox busy$",
                   r"^ +delivered \S+ ago, upstream main: 250 2.0.0 OK$"):
        assert re.search(wanted, envelope, re.M), f"{wanted} is not in\n{envelope}"
    out = posthouse(t, "--spool", spool, "show", ids[0])[0].decode()
    assert re.search(r"^Peer +192.0.2.1:4711, helo client.example$", out, re.M), out
    assert re.search(r"^State +queued, next one now$", out, re.M), out
    out = posthouse(t, "--spool", spool, "show", ids[2])[0].decode()
    assert re.search(r"^State +held \(operator\)$", out, re.M), out


def test_show_json(t):
    spool, ids = make_spool(t, examples())
    listed = [json.loads(line) for line in posthouse(t, "--spool", spool, "queue", "--json")[0].splitlines()]
    for ident, entry in zip(ids, listed, strict=True):
        shown = json.loads(posthouse(t, "--spool", spool, "show", "--json", ident)[0])
        equal({k: v for k, v in shown.items() if k in entry}, entry, "what queue --json says")
        equal(set(shown) - set(entry), {"body", "smtputf8", "requiretls", "headers", "routing", "events"}, "more fields")
    equal(shown["headers"], [{"name": "Subject", "value": "large"}], "headers")


def test_show_by_prefix(t):
    spool, ids = make_spool(t, [{"from": "a@x", "to": ["b@y"], "count": 15}])
    ident = ids[7]
    length = next(n for n in range(1, 17) if sum(i.startswith(ident[:n]) for i in ids) == 1)
    for typed in (ident, ident.upper(), ident[:length], ident[:-1].upper()):
        assert ident.encode() in posthouse(t, "--spool", spool, "show", typed)[0]
    out, err = posthouse(t, "--spool", spool, "show", ids[0][:2], check=2)
    equal(out, b"", "output")
    assert b"15 messages" in err and ids[0].encode() in err and b"and 5 more" in err, err
    for unknown in ("zzz", "0" * 16):
        assert unknown.encode() in posthouse(t, "--spool", spool, "show", unknown, check=1)[1]
    for wrong in ([], ["u"], [ident, ident], ["--raw", "--body", ident], ["--nonsense", ident], ["--raw=x", ident]):
        posthouse(t, "--spool", spool, "show", *wrong, check=2)


# ---- the command line ------------------------------------------------------------

def test_usage(t):
    out, err = posthouse(t, "--help")
    for verb in ("queue", "show", "send", "help"):
        assert re.search(rf"^  {verb} ".encode(), out, re.M), out
        equal(posthouse(t, "help", verb), posthouse(t, verb, "--help"), "help of a verb")
    equal(posthouse(t, "help")[0], out, "help")
    assert re.fullmatch(rb"posthouse [0-9.]+\n", posthouse(t, "--version")[0])
    assert b"did you mean 'queue'" in posthouse(t, "qeue", check=2)[1]
    assert b"did you mean 'show'" in posthouse(t, "help", "shwo", check=2)[1]
    for wrong in (["frobnicate\x1b"], ["--nonsense"], ["--spool"], ["help", "queue", "show"], ["queue", "-x"]):
        out, err = posthouse(t, *wrong, check=2)
        equal(out, b"", "output")
        assert err.count(b"\n") == 1 and b"\x1b" not in err, err
    done = t.run([POSTHOUSE], check=2)
    assert done.stderr.startswith(b"usage: posthouse"), done.stderr


def test_manual_has_all(t):
    """Every verb and every option is in posthouse(1), and no others. (JSON: test_json.py)"""
    manual = (SRCDIR / "man/posthouse.1.in").read_text()
    helps = {"": posthouse(t, "--help")[0].decode()}
    for verb in re.findall(r"^  ([a-z]+) ", helps[""].split("\nOptions")[0], re.M):
        assert re.search(rf"^\.Ss posthouse {verb}$", manual, re.M), f"verb {verb} is not in the manual"
        helps[verb] = posthouse(t, verb, "--help")[0].decode()
    selectors = []
    for verb, text in helps.items():
        text, _, selecting = text.split("Common options")[0].partition("\nSelectors;")
        selectors += re.findall(r"^ +--([a-z-]+)", selecting, re.M)
        section = manual.split(f".Ss posthouse {verb}\n")[1].split("\n.Ss ")[0].split("\n.Sh ")[0] if verb else manual
        options = re.findall(r"^  (?:-(\w),|   ) --([a-z0-9-]+)(?: ([A-Z:]+))?", text, re.M)
        documented = [name for line in re.findall(r"^\.It Fl .*", section, re.M)
                      for name in re.findall(r"(?:Fl|,) (?:\w , )?-([a-z0-9-]+)", line)]
        for letter, name, _ in options:
            assert name in documented, f"{verb}: --{name} is not in the manual"
            assert not letter or re.search(rf"^\.It Fl {letter} , -{name}", section, re.M), f"{verb}: -{letter}"
        if verb:
            equal(set(documented) - {name for _, name, _ in options}, set(), f"{verb}: options only in the manual")
    documented = re.findall(r"(?:^\.It|,) Fl -([a-z-]+)", manual.split(".Sh SELECTORS\n")[1].split("\n.Sh ")[0], re.M)
    equal(set(documented), set(selectors), "selectors")


def test_spool_of_the_configuration(t):
    spool, ids = make_spool(t, [{"from": "a@x", "to": ["b@y"]}])
    path = t.tmp / "posthouse.conf"
    path.write_text(f'localaddr = "127.0.0.1:2525"\nremoteaddr = "127.0.0.1:2526"\nspool = "{spool}"\n')
    equal(posthouse(t, "--config", path, "queue", "--ids")[0].decode().split(), ids, "ids")
    equal(posthouse(t, "queue", "--config", path, "--ids")[0].decode().split(), ids, "ids")
    path.write_text('nonsense = "x"\n')
    _, err = posthouse(t, "--config", path, "queue", check=3)
    assert b"posthouse.conf:1" in err and b"--spool" in err, err


def test_private_spool(t):
    """Where an ordinary user's daemon without a configuration file puts it."""
    if os.geteuid() == 0 or pathlib.Path("/var/spool/posthouse").exists():
        raise harness.Skip("for an ordinary user of a machine without a spool of the system")
    state = t.tmp / "state"
    (state / "posthouse").mkdir(parents=True)
    _, ids = make_spool(t, [{"from": "a@x", "to": ["b@y"]}], name="state/posthouse/spool")
    equal(posthouse(t, "queue", "--ids", env={"XDG_STATE_HOME": str(state)})[0].decode().split(), ids, "ids")
    _, err = posthouse(t, "queue", env={"HOME": str(t.tmp)}, check=3)
    assert f"{t.tmp}/.local/state/posthouse/spool".encode() in err, err


# ---- send --------------------------------------------------------------------------

def server(upstream):
    return f"127.0.0.1:{upstream.port}"


def send(t, upstream, *args, data=CONTENT, check=0, **options):
    return posthouse(t, "send", "--server", server(upstream), *args, data=data, check=check, **options)


def test_send_octets(t):
    upstream = Upstream(t)
    cases = {
        "as it is": (CONTENT, CONTENT),
        "line ends": (b"Subject: x\n\none\r\ntwo\rthree\n", b"Subject: x\r\n\r\none\r\ntwo\r\nthree\r\n"),
        "dots": (b"Subject: x\n\n.\n..\n.x\n", b"Subject: x\r\n\r\n.\r\n..\r\n.x\r\n"),
        "no end": (b"Subject: x\n\nbody", b"Subject: x\r\n\r\nbody\r\n"),
        "no body": (b"Subject: x\n\n", b"Subject: x\r\n\r\n"),
        "no header": (b"\nbody\n", b"\r\nbody\r\n"),
        "eight bits": (b"Subject: x\n\n\xff\xfe\n", b"Subject: x\r\n\r\n\xff\xfe\r\n"),
        "large": (b"Subject: x\r\n\r\n" + (b"z" * 998 + b"\r\n") * 5000,) * 2,
    }
    for name, (given, wanted) in cases.items():
        path = t.tmp / "message"
        path.write_bytes(given)
        for args, data in ((["--no-add-headers"], given), (["--no-add-headers", path], None)):
            before = len(upstream.messages)
            out, err = send(t, upstream, "--from", "a@x", "--to", "b@y", *args, data=data)
            message = upstream.wait_messages(before + 1)[before]
            equal(message.content, wanted, name)
            equal((message.sender, message.rcpts), ("a@x", ["b@y"]), "envelope")
            assert out.startswith(f"{server(upstream)}: 250 ".encode()), out
            equal(err, b"", "standard error")


def test_send_envelope_from_header(t):
    upstream = Upstream(t)
    text = (b"From: Jane <jane@x>\nTo: a@y, \"B, b\" <b@y>,\n c@y\nCc: a@y\nBcc: secret@y\n"
            b"Subject: x\n\nBcc: body\n")
    send(t, upstream, "-t", data=text)
    message, = upstream.wait_messages()
    equal((message.sender, message.rcpts), ("jane@x", ["a@y", "b@y", "c@y", "secret@y"]), "envelope")
    header, _, body = message.content.partition(b"\r\n\r\n")
    assert b"secret" not in header and body == b"Bcc: body\r\n", message.content
    assert re.search(rb"^Date: \w{3}, \d+ \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r$", header, re.M), header
    assert re.search(rb"^Message-ID: <[0-9a-z]{16}@[^>]+>\r?$", header, re.M), header
    send(t, upstream, "-t", "--from", "<>", "--to", "more@y", "--to", "x@y, y@y", data=text)
    message = upstream.wait_messages(2)[1]
    equal((message.sender, message.rcpts[:3]), ("", ["more@y", "x@y", "y@y"]), "envelope")


def test_send_without_an_envelope(t):
    upstream = Upstream(t)
    for args, data in ((["--from", "a@x"], CONTENT), (["--to", "b@y"], b"Subject: x\n\n"), (["-t"], CONTENT),
                       (["--to", "not an address"], CONTENT), (["--from", "a b", "--to", "b@y"], CONTENT),
                       (["--from", "a@x>\r\nRCPT TO:<evil@x", "--to", "b@y"], CONTENT),
                       (["--to", "b@y\r\nDATA"], CONTENT), (["-t"], b"From: a@x\nTo: Jane Doe\n\n"),
                       (["--to", "b@y", "--user", "u"], CONTENT), (["--to", "b@y", "--tls", "maybe"], CONTENT),
                       (["--to", "b@y", "--timeout", "soon"], CONTENT), (["--to", "b@y", "--subject", "s", "x"], CONTENT)):
        _, err = send(t, upstream, *args, data=data, check=2)
        equal(err.count(b"\n"), 1, f"lines said about {args}: {err}")
    equal(upstream.sessions, [], "connections")
    posthouse(t, "send", "--server", "unix:relative", "--to", "b@y", data=CONTENT, check=2)
    posthouse(t, "send", "--server", "unix:/x", "--tls", "required", "--to", "b@y", data=CONTENT, check=2)
    posthouse(t, "send", "--to", "b@y", "/nonexistent", check=3)
    posthouse(t, "send", "--to", "b@y", "/", check=3)


def test_send_refusals(t):
    upstream = Upstream(t)
    upstream.on("RCPT", "550 5.1.1 nobody \x1b[31m", match="never@")
    upstream.on("RCPT", "450 4.2.1 later", match="later@")
    out, err = send(t, upstream, "--to", "never@y,good@y,later@y", check=4)
    message, = upstream.wait_messages()
    equal(message.rcpts, ["good@y"], "recipients")
    assert b"never@y: refused: 550 5.1.1 nobody" in err and b"later@y: refused for now: 450 4.2.1 later" in err, err
    assert b"\x1b" not in err and out.count(b"\n") == 1, (out, err)
    out, err = send(t, upstream, "--to", "never@y,later@y", check=1)
    equal(out, b"", "output")
    assert err.count(b"refused") == 2 and b"no recipient was accepted" in err, err
    for phase, word in (("MAIL", b"MAIL"), ("DATA", b"DATA"), ("EOD", b"")):
        upstream.clear()
        upstream.on(phase, "554 5.7.1 not this one")
        out, err = send(t, upstream, "--to", "good@y", check=1)
        assert out == b"" and b"554 5.7.1 not this one" in err and word in err.upper(), err
        equal(err.count(b"\n"), 1, f"lines said about {phase}: {err}")
    equal(len(upstream.messages), 1, "accepted messages")


def test_send_to_nobody(t):
    reserved = harness.ReservedPort(t)
    _, err = posthouse(t, "send", "--server", f"127.0.0.1:{reserved.port}", "--to", "b@y", data=CONTENT, check=3)
    assert f"127.0.0.1:{reserved.port}".encode() in err and err.count(b"\n") == 1, err
    _, err = posthouse(t, "send", "--server", "nobody.invalid:25", "--to", "b@y", data=CONTENT, check=3)
    assert b"nobody.invalid" in err, err


def test_send_broken_connections(t):
    for phase in ("connect", "EHLO", "MAIL", "RCPT", "DATA", "EOD"):
        upstream = Upstream(t)
        upstream.on(phase, DROP)
        out, err = send(t, upstream, "--to", "b@y", check=9 if phase == "EOD" else 3)
        equal(out, b"", "output")
        equal(err.count(b"\n"), 1, f"lines said about {phase}: {err}")
        assert (b"may have been accepted" in err) == (phase == "EOD"), (phase, err)
    upstream = Upstream(t)
    upstream.on("connect", "554 5.3.2 closed")
    assert b"554 5.3.2 closed" in send(t, upstream, "--to", "b@y", check=3)[1]


def test_send_gives_up_in_time(t):
    for phase in ("connect", "MAIL", "EOD"):
        upstream = Upstream(t)
        upstream.on(phase, STALL)
        started = time.monotonic()
        out, err = send(t, upstream, "--to", "b@y", "--timeout", "1s", check=9 if phase == "EOD" else 3)
        assert time.monotonic() - started < DEADLINE / 2, phase
        assert (b"may have been accepted" in err) == (phase == "EOD"), (phase, err)


def test_send_transcript(t):
    upstream = Upstream(t, extensions=("SIZE 1000000", "8BITMIME"))
    _, err = send(t, upstream, "-v", "--from", "a@x", "--to", "b@y", "--helo", "me.test")
    dialogue = err.decode().splitlines()
    for wanted in (r"S: 220 .*", r"C: EHLO me\.test", r"S: 250[ -].*", r"C: MAIL FROM:<a@x>.*", r"C: RCPT TO:<b@y>",
                   r"C: DATA", r"S: 354 .*", r"S: 250 .*", r"C: QUIT", r"S: 221 .*"):
        while dialogue and not re.fullmatch(wanted, dialogue[0]):
            dialogue.pop(0)
        assert dialogue, f"{wanted} is missing, or not in its place, in\n{err.decode()}"
    assert b"Hello" not in err, "the content is in the transcript"


def test_send_login_and_tls(t):
    authority = Authority(t)
    upstream = Upstream(t, tls=authority.server_context(), users={"user": "s3cret-word"},
                        extensions=("PIPELINING", "8BITMIME", "AUTH PLAIN LOGIN"))
    secret = t.tmp / "secret"
    secret.write_text("s3cret-word\n")
    secret.chmod(0o600)
    out, err = send(t, upstream, "-v", "--to", "b@y", "--tls", "required", "--tls-ca", authority.file,
                    "--user", "user", "--password-file", secret)
    equal(len(upstream.wait_messages()), 1, "messages")
    assert b"s3cret" not in err and b"STARTTLS" in err, err
    assert base64.b64encode(b"\0user\0s3cret-word") not in err, "the password is in the transcript"
    _, err = send(t, upstream, "--to", "b@y", "--tls", "required", check=6)
    assert b"certificate" in err.lower() or b"ssl" in err.lower(), err
    secret.write_text("wrong\n")
    send(t, upstream, "--to", "b@y", "--tls", "opportunistic", "--user", "user", "--password-file", secret, check=7)
    secret.chmod(0o644)
    _, err = send(t, upstream, "--to", "b@y", "--user", "user", "--password-file", secret, check=3)
    assert str(secret).encode() in err, err
    equal(len(upstream.messages), 1, "messages")


def test_send_to_the_configured_daemon(t):
    upstream = Upstream(t)
    path = t.tmp / "posthouse.conf"
    path.write_text(f'localaddr = {{"unix:{t.tmp}/socket", "0.0.0.0:{upstream.port}"}}\nremoteaddr = "127.0.0.1:1"\n'
                    f'hostname = "configured.test"\nspool = "{t.tmp}/spool"\n')
    out, _ = posthouse(t, "--config", path, "send", "--to", "b@y", data=CONTENT)
    equal(out[:len(server(upstream))], server(upstream).encode(), "where it went")
    equal(upstream.commands("EHLO"), ["EHLO configured.test"], "EHLO")


if __name__ == "__main__":
    harness.main(__name__)
