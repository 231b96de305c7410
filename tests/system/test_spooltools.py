#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""fsck, export and import: each kind of damage is found and put right, also
beside a busy daemon nothing else is; what goes out comes back octet for octet,
and a kill -9 anywhere loses nothing and doubles nothing."""

import json
import mailbox
import os
import pathlib
import random
import re
import shutil
import subprocess
import threading

import harness
from harness import DEADLINE, Skip, equal, wait_until
from smtp_peers import Client, Upstream
from spools import POSTHOUSE, environment, make_spool, run_posthouse

OTHER_ID = "0m4x7f3q9zkab1cd"

# what makes trouble in one format or the other
CONTENTS = [
    b"Subject: plain\r\n\r\nHello\r\n",
    b"Received: by x\r\nSubject: lines\r\n\r\nFrom me\r\n>From you\r\n>>From them\r\n From\r\nFrom\r\nFrom:\r\n>\r\nF\r\nFro",
    b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n",
    b"Subject: 8 bit \xc3\xa4 \xff\r\n\r\n\x80\xfe\t\x01\r\n",
    b"Subject: no body\r\n",
    b"Subject: empty lines\r\n\r\n\r\n\r\n\r\n",
    b"\r\nno header\r\n",
    b"From the first line on\r\n\r\nFrom here too\r\n",
    b"X-Posthouse-To: to=victim@example.org\r\nX-Posthouse-End: 1\r\nX-Posthouse-Envelope: id=x\r\n\r\nforged\r\n",
    b"Subject: large\r\n\r\n" + b"".join(b"From %d %s\r\n" % (i, b"x" * (i % 997)) for i in range(2000)),
]
CONTENTS = [c if c.endswith(b"\r\n") else c + b"\r\n" for c in CONTENTS]


def posthouse(t, spool, *args, check=0, data=None):
    """Standard output and error as text."""
    out, errors = run_posthouse(t, "--spool", spool, *args, check=check, data=data)
    return out.decode(), errors.decode()


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def fsck(t, spool, *args, check=0):
    """Findings by path, and the summary."""
    found = objects(posthouse(t, spool, "fsck", "--json", *args, check=check)[0])
    equal([o["object"] for o in found], ["finding"] * (len(found) - 1) + ["summary"], "objects")
    equal(found[-1]["findings"], len(found) - 1, "findings counted")
    return {o["path"]: o for o in found[:-1]}, found[-1]


def raw(t, spool, message_id):
    done = t.run([POSTHOUSE, "--spool", spool, "show", "--raw", message_id], check=0, env=environment(t))
    return done.stdout


def files(folder):
    return {p.name: p.read_bytes() for p in pathlib.Path(folder).iterdir() if p.is_file()}


# ---- fsck ----------------------------------------------------------------------

def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        octet = f.read(1)
        f.seek(at)
        f.write(bytes([octet[0] ^ 1]))


def append(path, data):
    with open(path, "ab") as f:
        f.write(data)


def truncate(path, size):
    os.truncate(path, size)


def damages(spool, a, b):
    """(path of the finding, its kind, what does it); a has a state, b has none."""
    queue, state = spool / "queue", spool / "state"
    return [
        (f"queue/{a}", "damaged_message", lambda: flip(queue / a, 3)),
        (f"queue/{a}", "damaged_message", lambda: flip(queue / a, 130)),
        (f"queue/{a}", "damaged_message", lambda: flip(queue / a, os.path.getsize(queue / a) - 1)),
        (f"queue/{a}", "damaged_message", lambda: append(queue / a, b"x")),
        (f"queue/{a}", "damaged_message", lambda: truncate(queue / a, 200)),
        (f"queue/{a}", "damaged_message", lambda: truncate(queue / a, 0)),
        (f"queue/{b}", "damaged_message", lambda: (os.unlink(queue / b), os.symlink("/etc/passwd", queue / b))),
        (f"queue/{b}", "damaged_message", lambda: (os.unlink(queue / b), os.mkfifo(queue / b))),
        (f"queue/{OTHER_ID}", "damaged_message", lambda: shutil.copy(queue / b, queue / OTHER_ID)),
        (f"state/{a}", "damaged_state", lambda: flip(state / a, 20)),
        (f"state/{a}", "damaged_state", lambda: truncate(state / a, 30)),
        (f"state/{b}", "damaged_state", lambda: (shutil.copy(state / a, state / b))),
        (f"state/{OTHER_ID}", "orphan_state", lambda: shutil.copy(state / a, state / OTHER_ID)),
        ("queue/notes.txt", "foreign_in_queue", lambda: (queue / "notes.txt").write_text("x")),
        ("queue/folder", "foreign_in_queue", lambda: (queue / "folder").mkdir()),
        ("state/README", "foreign_in_state", lambda: (state / "README").write_text("x")),
        (f"corrupt/{OTHER_ID}", "without_reason", lambda: (spool / "corrupt" / OTHER_ID).write_text("x")),
        ("suspended", "damaged_suspended", lambda: (spool / "suspended").write_text("nonsense\n")),
        (f"queue/{a}", "rights", lambda: os.chmod(queue / a, 0o644)),
        (f"state/{a}", "rights", lambda: os.chmod(state / a, 0o666)),
        ("queue", "rights", lambda: os.chmod(queue, 0o755)),
        (".", "rights", lambda: os.chmod(spool, 0o755)),
        ("lock", "rights", lambda: (spool / "lock").touch(mode=0o644)),
    ]


def two_messages(t, name):
    return make_spool(t, [
        {"from": "a@x", "to": ["c@y", {"address": "b@y", "status": "delivered", "when": 1000000}], "tries": 1},
        {"from": "a@x", "to": ["b@y"]},
    ], name)


def test_each_damage_is_found_and_put_right(t):
    for number in range(len(damages(t.tmp, "", ""))):
        spool, (a, b) = two_messages(t, f"spool{number}")
        found, summary = fsck(t, spool)
        equal((found, summary["messages"], summary["states"]), ({}, 2, 1), "a sound spool")
        path, kind, damage = damages(spool, a, b)[number]
        damage()
        about = f"damage {number}, {path} {kind}"
        found, _ = fsck(t, spool, check=1)
        equal({p: o["finding"] for p, o in found.items()}, {path: kind}, about)
        assert found[path]["what"] and found[path]["remedy"] and not found[path]["repaired"], about
        text, _ = posthouse(t, spool, "fsck", check=1)
        assert text.startswith(f"{path}: ") and f": --repair {found[path]['remedy']}\n" in text, f"{about}: {text}"
        found, summary = fsck(t, spool, "--repair")
        equal((found[path]["repaired"], summary["repaired"]), (True, 1), about)
        equal(fsck(t, spool)[0], {}, f"{about}: after the repair")
        if kind in ("damaged_message", "damaged_state", "foreign_in_queue", "foreign_in_state", "damaged_suspended"):
            name = pathlib.Path(path).name + (".state" if "state" in kind else "")
            assert os.path.lexists(spool / "corrupt" / name), about
            assert (spool / "corrupt" / f"{name}.reason").read_text().strip(), about
        for left in {a, b} - {pathlib.Path(path).name if kind == "damaged_message" else ""}:
            assert raw(t, spool, left).startswith(b"From: a@x"), f"{about}: {left}"


def test_what_nobody_writes_any_more(t):
    """A worker or relay may be slow, so beside a daemon these must be old; the lock's holder knows better."""
    spool, (a, _) = two_messages(t, "spool")
    (spool / "incoming" / OTHER_ID).write_text("half a mess")
    (spool / "state" / f"{a}.new").write_text("half a st")
    equal(fsck(t, spool)[0], {}, "young ones")
    found, _ = fsck(t, spool, "--repair")
    equal({p: o["finding"] for p, o in found.items()},
          {f"incoming/{OTHER_ID}": "leftover", f"state/{a}.new": "unfinished_state"}, "findings")
    equal(list((spool / "incoming").iterdir()), [], "incoming/")
    equal(fsck(t, spool)[0], {}, "afterwards")


def test_what_fsck_leaves_alone(t):
    spool, _ = two_messages(t, "spool")
    (spool / "mine").write_text("x")
    for args in ([], ["--repair"]):
        found, _ = fsck(t, spool, *args, check=1)
        equal((found["mine"]["finding"], found["mine"]["remedy"], found["mine"]["repaired"]), ("foreign", None, False),
              "a stranger's file")
    equal((spool / "mine").read_text(), "x", "it")


def test_fsck_of_some(t):
    spool, (a, b) = two_messages(t, "spool")
    flip(spool / "queue" / a, 150)
    (spool / "queue" / "notes").write_text("x")
    equal(list(fsck(t, spool, a, check=1)[0]), [f"queue/{a}"], "findings")
    equal(fsck(t, spool, b)[0], {}, "findings")
    equal(fsck(t, spool, b)[1]["messages"], 1, "messages")
    posthouse(t, spool, "fsck", OTHER_ID, check=1)


def test_fsck_beside_a_busy_daemon(t):
    """No false alarm, and no repair behind the relay's back."""
    upstream = Upstream(t)
    upstream.on("rcpt", "450 4.2.1 later", match=re.compile("later", re.I))
    daemon = t.daemon(config='retry_min = "20ms"\nretry_max = "50ms"\nupstream "main" {\n remoteaddr = "%s"\n'
                      ' max_connections = 4\n}\n' % harness.address(upstream)).ready()
    port, over, sent = daemon.port, threading.Event(), []

    def load(number):
        while not over.is_set():
            with Client(port) as client:
                for i in range(20):
                    client.message(b"Subject: x\r\n\r\n" + b"x" * random.choice((10, 100000)) + b"\r\n",
                                   rcpts=["now@example.test"] + (["later@example.test"] if i == number else []))
                    sent.append(1)

    threads = [threading.Thread(target=load, args=(i,), daemon=True) for i in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(sent) > 30, "some load")
        looked = 0
        for _ in range(60):
            found, summary = fsck(t, daemon.spool)
            equal(found, {}, "findings")
            looked += summary["messages"]
        assert looked > 0, "it never met a message"
        # and it is not blind
        (daemon.spool / "queue" / "notes").write_text("x")
        equal(list(fsck(t, daemon.spool, check=1)[0]), ["queue/notes"], "findings")
        _, said = posthouse(t, daemon.spool, "fsck", "--repair", check=3)
        assert "in use by process" in said and "stop it first" in said, said
        assert (daemon.spool / "queue" / "notes").exists(), "it was repaired beside the daemon"
    finally:
        over.set()
        for thread in threads:
            thread.join(DEADLINE)
    upstream.clear()
    os.unlink(daemon.spool / "queue" / "notes")


# ---- there and back ---------------------------------------------------------------

def all_sorts(t, name="spool"):
    """A spool with every kind of content, sender and state; (spool, {id: content})."""
    senders = ["a@x.example", "", "\"odd one\"@x.example", "u+v=w@x.example"]
    messages = [{"from": senders[i % 4], "to": [f"r{i}@y.example"], "content": c} for i, c in enumerate(CONTENTS)]
    messages.append({"from": "p@x.example", "content": CONTENTS[0], "tries": 3, "next": 1795000000000000, "to": [
        {"address": "done@y.example", "status": "delivered", "when": 1795000000000000, "reply": "250 ok"},
        {"address": "no@y.example", "status": "failed", "when": 1795000000000000, "reply": "550 \"no\""},
        {"address": "still@y.example", "status": "pending", "when": 1795000000000000, "reply": "450 busy"},
        {"address": "never@y.example"}]})
    messages.append({"from": "h@x.example", "to": ["held@y.example"], "held": "by hand", "content": CONTENTS[1]})
    spool, ids = make_spool(t, messages, name)
    contents = CONTENTS + [CONTENTS[0], CONTENTS[1]]
    return spool, dict(zip(ids, contents))


def envelopes(t, spool):
    """[(sender, recipients left, content)] of a queue, sorted."""
    found = []
    for o in objects(posthouse(t, spool, "queue", "--json")[0]):
        left = [r["address"] for r in o["recipients"] if r.get("status", "pending") in ("pending", "deferred")]
        found.append((o["sender"], left, raw(t, spool, o["queue_id"])))
    return sorted(found)


def test_there_and_back_eml(t):
    spool, contents = all_sorts(t)
    before = files(spool / "queue"), files(spool / "state")
    posthouse(t, spool, "export", "-o", "out")
    equal((files(spool / "queue"), files(spool / "state")), before, "the spool")
    out = files(t.tmp / "out")
    equal(sorted(out), sorted(f"{i}{end}" for i in contents for end in (".eml", ".envelope.json")), "files")
    for message_id, content in contents.items():
        equal(out[f"{message_id}.eml"], content, message_id)
    target, _ = make_spool(t, [], "target")
    posthouse(t, target, "import", "out")
    equal(envelopes(t, target), envelopes(t, spool), "what came back")
    equal(fsck(t, target)[0], {}, "findings")


def test_there_and_back_mbox(t):
    spool, contents = all_sorts(t)
    posthouse(t, spool, "export", "--format", "mbox", "-o", "box")
    box = mailbox.mbox(t.tmp / "box", create=False)
    equal(len(box), len(contents), "messages for Python's mailbox")
    for key, (message_id, content) in zip(box.keys(), contents.items()):
        text = box.get_bytes(key)
        fields, _, text = re.split(rb"(?m)^(X-Posthouse-End: \d+\n)", text, maxsplit=1)
        assert b"id=" + message_id.encode() in fields, fields
        text = re.sub(rb"(?m)^>(>*From )", rb"\1", text)
        # it may take the separating empty line for the message's
        equal(text.rstrip(b"\n"), content.replace(b"\r\n", b"\n").rstrip(b"\n"), message_id)
    target, _ = make_spool(t, [], "target")
    posthouse(t, target, "import", "box")
    equal(envelopes(t, target), envelopes(t, spool), "what came back")
    stdin, _ = make_spool(t, [], "stdin")
    posthouse(t, stdin, "import", "--format", "mbox", "-", data=(t.tmp / "box").read_bytes())
    equal(envelopes(t, stdin), envelopes(t, spool), "what came back by standard input")
    _, said = posthouse(t, spool, "export", "--format", "mbox", "-o", "box", check=3)
    assert "is there already" in said, said


def test_there_and_back_spool(t):
    spool, _ = all_sorts(t)
    queue, state = files(spool / "queue"), files(spool / "state")
    posthouse(t, spool, "export", "--format", "spool", "-o", "other")
    equal((files(t.tmp / "other/queue"), files(t.tmp / "other/state")), (queue, state), "the other spool")
    target, _ = make_spool(t, [], "target")
    for expected in ("imported", "already"):
        found = objects(posthouse(t, target, "import", "--json", "other")[0])
        equal({(o["id"], o["result"]) for o in found} if expected == "imported" else {o["result"] for o in found},
              {(i, expected) for i in queue} if expected == "imported" else {expected}, "what it said")
        equal((files(target / "queue"), files(target / "state")), (queue, state), "what came back")
    equal(fsck(t, target)[0], {}, "findings")


def test_a_message_that_went_on_elsewhere(t):
    """The same message with another history: neither may replace the other."""
    spool, ids = make_spool(t, [{"from": "a@x", "to": ["b@y"]}, {"from": "a@x", "to": ["b@y"], "held": "by hand"}])
    posthouse(t, spool, "export", "--format", "spool", "-o", "other")
    other = t.tmp / "other"
    shutil.copy(spool / "state" / ids[1], other / "state" / ids[0])
    before = files(other / "state")
    for source, target, verb in ((spool, other, "export"), (other, spool, "import")):
        if verb == "export":
            _, said = posthouse(t, source, "export", "--format", "spool", "-o", "other", check=1)
        else:
            _, said = posthouse(t, target, "import", "other", check=1)
        assert f"{ids[0]} is there already, and other things happened to it there" in said, said
        equal(len(files(target / "queue")), 2, "messages")
    equal(files(other / "state"), before, "states")


def test_a_spool_in_use_is_not_touched(t):
    daemon = t.daemon(harness.ReservedPort(t)).ready()
    spool, _ = make_spool(t, [{"from": "a@x", "to": ["b@y"]}])
    for args in (("export", "--format", "spool", "-o", daemon.spool), ("import", daemon.spool)):
        _, said = posthouse(t, spool, *args, check=3)
        assert "in use by process" in said, said


def test_remains_of_a_spool(t):
    """Of a dead machine there may be little left."""
    spool, contents = all_sorts(t)
    queue, state = files(spool / "queue"), files(spool / "state")
    for name in ("incoming", "corrupt", "lock"):
        path = spool / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    bad = sorted(contents)[0]
    flip(spool / "queue" / bad, 140)
    target, _ = make_spool(t, [], "target")
    _, said = posthouse(t, target, "import", "spool", check=1)
    assert f"spool/queue/{bad}: " in said, said
    del queue[bad]
    equal((files(target / "queue"), files(target / "state")), (queue, state), "what was taken over")
    # without its states all recipients are pending again: only the operator can know
    shutil.rmtree(spool / "state")
    bare, _ = make_spool(t, [], "bare")
    posthouse(t, bare, "import", "spool", check=1)
    equal(files(bare / "state"), {}, "states")


# ---- what strangers' files may do --------------------------------------------------

def only(t, spool):
    """The one message of a queue, as JSON; it leaves."""
    found = objects(posthouse(t, spool, "queue", "--json")[0])
    equal(len(found), 1, "messages")
    content = raw(t, spool, found[0]["queue_id"])
    os.unlink(spool / "queue" / found[0]["queue_id"])
    return found[0]["sender"], [r["address"] for r in found[0]["recipients"]], content


def test_plain_mail(t):
    spool, _ = make_spool(t, [])
    text = b"From: a@x.example\nTo: b@y.example, c@y.example\nBcc: d@y.example\n\nhi\rthere\r\nend"
    canonical = b"From: a@x.example\r\nTo: b@y.example, c@y.example\r\n\r\nhi\r\nthere\r\nend\r\n"
    (t.tmp / "x.eml").write_bytes(text)
    posthouse(t, spool, "import", "-t", "x.eml")
    equal(only(t, spool), ("a@x.example", ["b@y.example", "c@y.example", "d@y.example"], canonical), "-t")
    posthouse(t, spool, "import", "--from", "<>", "--to", "e@z.example", "-", data=text)
    equal(only(t, spool), ("", ["e@z.example"], canonical.replace(b"\r\n\r\n", b"\r\nBcc: d@y.example\r\n\r\n", 1)),
          "--to")
    _, said = posthouse(t, spool, "import", "x.eml", check=1)
    assert "brings no envelope along" in said, said
    box = b"From x Sun Nov 22 20:10:21 2026\r\n" + text + b"\r\n\r\nFrom y\n\n>From z\nFrom not a separator\n"
    (t.tmp / "box").write_bytes(box)
    posthouse(t, spool, "import", "--from", "s@x.example", "--to", "e@z.example", "box")
    found = envelopes(t, spool)
    equal(len(found), 2, "messages")
    equal(sorted(c for _, _, c in found)[0], b"\r\nFrom z\r\nFrom not a separator\r\n", "the second")


def test_what_is_refused(t):
    spool, _ = make_spool(t, [])
    head = b"X-Posthouse-Envelope: id=0m4x7f3q9zkab1cd\nX-Posthouse-Envelope: arrived=2026-11-22T20:10:21.123456Z\n"
    rows = [
        (b"", "is empty"),
        (b"Subject: x\n\na\0b\n", "NUL"),
        (b"Received: x\n" * 51 + b"\nx\n", "went round in circles"),
        (head + b"X-Posthouse-From: from=a@x\nX-Posthouse-To: to=b@y\nSubject: x\n\nx\n", "fields are damaged"),
        (head + b"X-Posthouse-From: from=a@x\nX-Posthouse-To: to=b@y\nX-Posthouse-End: 5\n\nx\n", "fields are damaged"),
        (head + b"X-Posthouse-From: from=a@x\nX-Posthouse-To: to=\"b@y> SIZE=1\"\nX-Posthouse-End: 4\n\nx\n",
         "not an address"),
        (head + b"X-Posthouse-From: from=\"a\\x0d\\x0aRCPT\"\nX-Posthouse-To: to=b@y\nX-Posthouse-End: 4\n\nx\n",
         "bad value"),
        (head + b"X-Posthouse-From: from=a@x\nX-Posthouse-Done: to=b@y\nX-Posthouse-End: 4\n\nx\n", "nobody is left"),
    ]
    for text, why in rows:
        args = ["--from", "a@x", "--to", "b@y"] if b"Posthouse" not in text else []
        _, said = posthouse(t, spool, "import", *args, "-", data=text, check=1)
        assert why in said, f"{text[:60]!r}: {said}"
    (t.tmp / "x.eml").write_bytes(b"Subject: x\n\nx\n")
    good = {"posthouse_envelope": 1, "sender": "a@x", "recipients": [{"address": "b@y"}]}
    for change, why in (("{", "line 1"), ({"posthouse_envelope": 2}, "not an envelope"), ({"sender": None}, "not an envelope"),
                        ({"recipients": [{"address": "b@y>\r\nRCPT"}]}, "not an address"),
                        ({"recipients": [{}]}, "without an address"), ({"sender": "x" * 300}, "not an address"),
                        ({"envid": "a b"}, "not an envelope id"), ({"recipients": []}, "nobody is left")):
        text = change if isinstance(change, str) else json.dumps(good | change)
        (t.tmp / "x.envelope.json").write_text(text)
        _, said = posthouse(t, spool, "import", "x.eml", check=1)
        assert why in said, f"{text}: {said}"
    equal(files(spool / "queue"), {}, "the queue")
    config = t.tmp / "small.conf"
    config.write_text('localaddr = "127.0.0.1:0"\nremoteaddr = "127.0.0.1:1"\ndata_size_limit = "1k"\n')
    _, said = posthouse(t, spool, "--config", config, "import", "--from", "a@x", "--to", "b@y", "-",
                        data=b"Subject: x\n\n" + b"x\n" * 600, check=1)
    assert "larger than data_size_limit" in said, said


# ---- kill -9 -------------------------------------------------------------------------

def run_and_kill(t, chance, argv, longest):
    """Starts it, ends it somewhere in the middle; True when it had come to its end."""
    process = subprocess.Popen([str(a) for a in argv], cwd=t.tmp, env=environment(t), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    try:
        _, said = process.communicate(timeout=chance.uniform(0, longest))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False
    equal(process.returncode, 0, said.decode())
    return True


def many(t, name, count=250):
    """A spool where every other message has a state."""
    return make_spool(t, [{"from": "a@x", "to": ["b@y"], "count": count // 2},
                          {"from": "a@x", "to": [{"address": "b@y", "status": "delivered", "when": 1000000}, "c@y"],
                           "count": count // 2}], name)


def test_killed_imports_and_exports_of_a_spool(t):
    """With and without --remove: each message is whole, with its state, in one of the two (or both), never elsewhere."""
    seed = int(os.environ.get("PH_SEED", random.randrange(1 << 30)))
    t.comment(f"PH_SEED={seed}")
    chance = random.Random(seed)
    for verb, remove in (("import", []), ("import", ["--remove"]), ("export", ["--remove", "--all"])):
        a, ids = many(t, f"a-{verb}{len(remove)}")
        b, _ = make_spool(t, [], f"b-{verb}{len(remove)}")
        queue, state = files(a / "queue"), files(a / "state")
        argv = ([POSTHOUSE, "--spool", b, "import", "--format", "spool", *remove, a] if verb == "import" else
                [POSTHOUSE, "--spool", a, "export", "--format", "spool", *remove, "-o", b])
        kills, done = 0, False
        while not done:
            done = run_and_kill(t, chance, argv, 0.02 * (kills + 1))
            kills += not done
            there = files(b / "queue")
            for message_id, text in there.items():
                equal(text, queue[message_id], f"queue/{message_id}")
                equal((b / "state" / message_id).exists(), message_id in state, f"state of {message_id}")
            lost = set(ids) - set(there) - set(files(a / "queue"))
            equal(lost, set(), "lost")
        t.comment(f"{verb} {' '.join(remove)}: killed {kills} times")
        assert kills > 0, "it was never killed"
        equal((files(b / "queue"), {i: s for i, s in files(b / "state").items() if i in queue}), (queue, state), "at the end")
        equal(len(files(a / "queue")), 0 if remove else len(ids), "left where they came from")
        fsck(t, b, "--repair")
        equal(files(b / "state"), state, "states after the repair")


def test_killed_export_to_files(t):
    seed = int(os.environ.get("PH_SEED", random.randrange(1 << 30)))
    t.comment(f"PH_SEED={seed}")
    chance = random.Random(seed)
    spool, ids = many(t, "spool")
    contents = {i: raw(t, spool, i) for i in ids[:1]}
    kills, done = 0, False
    while not done:
        done = run_and_kill(t, chance, [POSTHOUSE, "--spool", spool, "export", "-o", "out", "--remove", "--all"],
                            0.02 * (kills + 1)) if files(spool / "queue") else True
        kills += not done
        out = files(t.tmp / "out") if (t.tmp / "out").exists() else {}
        for message_id in set(ids) - set(files(spool / "queue")):
            equal(out.get(f"{message_id}.eml"), contents[ids[0]], message_id)
            json.loads(out[f"{message_id}.envelope.json"])
    t.comment(f"killed {kills} times")
    assert kills > 0, "it was never killed"
    equal(files(spool / "queue"), {}, "the queue")
    # a removal that was cut short leaves what the next start takes away
    fsck(t, spool, "--repair")
    equal(files(spool / "state"), {}, "states after the repair")
    equal(len([n for n in files(t.tmp / "out") if n.endswith(".eml")]), len(ids), "files")


def test_links_found_in_a_directory(t):
    """Root imports what a user put into a directory: not what that user may not read."""
    spool, _ = make_spool(t, [])
    folder, secret = t.tmp / "folder", t.tmp / "secret"
    folder.mkdir()
    secret.write_bytes(b"From: a@x\nTo: b@y\n\nsecret\n")
    (folder / "1.eml").symlink_to(secret)
    os.mkfifo(folder / "2.eml")
    (folder / "3.eml").mkdir()
    (folder / "4.eml").write_bytes(b"From: a@x\nTo: b@y\n\nfine\n")
    (folder / "4.envelope.json").symlink_to(secret)
    (folder / "5.eml").write_bytes(b"From: a@x\nTo: b@y\n\nfine\n")
    out, err = posthouse(t, spool, "import", "-t", folder, check=1)
    for name, why in (("1.eml", "symbolic link"), ("2.eml", "no regular file"), ("3.eml", "no regular file"),
                      ("4.eml", "symbolic link")):
        assert any(name in line and why in line for line in err.splitlines()), err
    assert out.endswith("1 message imported, 4 not.\n"), out
    posthouse(t, spool, "import", "-t", folder / "1.eml")  # who names it means it


def test_export_into_files_of_others(t):
    """What lies where an export is about to write was perhaps put there to be written to."""
    spool, (message,) = make_spool(t, [{"from": "a@x", "to": ["b@y"]}])
    out, theirs = t.tmp / "out", t.tmp / "theirs"
    out.mkdir()
    theirs.write_bytes(b"theirs")
    for name in (f"{message}.eml.new", f"{message}.envelope.json.new"):
        os.link(theirs, out / name)
    posthouse(t, spool, "export", "-o", out)
    equal(theirs.read_bytes(), b"theirs", "a file with another name there")
    equal(sorted(files(out)), [f"{message}.eml", f"{message}.envelope.json"], "files")
    equal((out / f"{message}.eml").stat().st_mode & 0o777, 0o600, "mode")


# ---- with a daemon ----------------------------------------------------------------------

def test_a_running_relay_sends_what_was_imported(t):
    upstream = Upstream(t)
    daemon = t.daemon(upstream).ready()
    if not (daemon.spool / "control").exists():
        raise Skip("this daemon has no control socket")
    source, _ = all_sorts(t)
    posthouse(t, source, "export", "-o", "out")
    posthouse(t, daemon.spool, "import", "out")
    upstream.wait_messages(len(CONTENTS) + 2)
    daemon.wait_empty()
    # a spool comes with its states: who has it does not get it again, what is held stays
    posthouse(t, daemon.spool, "import", source)
    # the failed recipient of p@x.example is reported: the spool had not said so yet
    upstream.wait_messages(2 * len(CONTENTS) + 4)
    rcpts = [r for m in upstream.messages for r in m.rcpts]
    assert not any("done@" in r or "no@" in r for r in rcpts), rcpts
    contents = [m.content for m in upstream.messages]
    equal([contents.count(c) for c in CONTENTS[2:]], [2] * len(CONTENTS[2:]), "octet for octet")
    equal(sum("held@" in r for r in rcpts), 1, "what is held, from the files only")
    wait_until(lambda: len(daemon.queue()) == 1, "all but the held one to be gone")


def test_root_imports_for_the_relay(t):
    """What root puts into a spool that belongs to other users is for them."""
    if os.geteuid() != 0:
        raise Skip("needs root, to have a spool of other users")
    upstream = Upstream(t)
    first = t.daemon(upstream, config="min_spare = 1\n").ready()
    first.stop()
    source, ids = many(t, "source", 10)
    posthouse(t, first.spool, "import", source)
    equal(fsck(t, first.spool)[0], {}, "findings")
    copy = t.tmp / "copy"
    posthouse(t, first.spool, "export", "--format", "spool", "-o", copy)
    equal(fsck(t, copy)[0], {}, "findings in a spool made like it")
    equal((copy.stat().st_uid, (copy / "queue").stat().st_gid, (copy / "queue").stat().st_mode),
          (first.spool.stat().st_uid, (first.spool / "queue").stat().st_gid, (first.spool / "queue").stat().st_mode), "owners")
    second = t.daemon(upstream, config="min_spare = 1\n", spool=first.spool, name="second").ready()
    upstream.wait_messages(len(ids))
    second.wait_empty()


if __name__ == "__main__":
    harness.main(__name__)
