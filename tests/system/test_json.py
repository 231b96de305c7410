# SPDX-License-Identifier: ISC
"""posthouse-json(5) against what the verbs and the sockets really write: every member is documented."""

import json
import re
import socket
import time

import harness
from harness import BUILDDIR, SRCDIR, Skip, equal
from smtp_peers import Upstream

NOW = int(time.time() * 1_000_000)
MESSAGES = [
    {"from": "fresh@example.org", "to": [{"address": "one@example.net"}], "peer": "192.0.2.1:4711", "helo": "c.example",
     "by": NOW + 7200_000_000},
    {"from": "", "to": [
        {"address": "late@example.net", "status": "pending", "when": NOW, "upstream": "main", "reply": "450 4.2.0 busy"},
        {"address": "done@example.net", "status": "delivered", "when": NOW, "upstream": "main", "reply": "250 2.0.0 OK"}],
     "tries": 3, "next": NOW + 3600_000_000, "last": NOW, "uncertain": True},
    {"from": "held@example.org", "to": [{"address": "a@example.net"}], "held": "operator"},
    {"from": "bad@example.org", "to": [{"address": "x@example.net", "status": "failed", "when": NOW, "upstream": "main",
                                        "reply": "550 5.1.1 no such user"}], "tries": 1},
    {"from": "torn@example.org", "to": [{"address": "y@example.net"}]},
]
# verb: the section of the manual, and arguments ("ID" stands for each message in turn)
CHANGES = [["ID"], ["--dry-run", "ID"]]
RUNS = {
    "send": ("send", []),  # test_send.py
    "queue": ("queue and show", [[]]),
    "show": ("queue and show", [["ID"], ["--log", "ID"]]),
    "summary": ("summary", [["--by", by] for by in ("domain", "sender", "upstream", "reason")]),
    "fsck": ("fsck", [[], ["--repair"]]),
    "explain": ("explain", [["ID"]]),  # and those of queue, in "message"
    "status": ("Status", [[]]),
    "check": ("check", [["--max-count", "1"], ["--max-age", "1d"]]),
    "doctor": ("doctor", [["--local"]]),
    "health": ("health", [[]]),
    "hold": ("Results", CHANGES),
    "release": ("Results", CHANGES),
    "retry": ("Results", CHANGES),
    "reroute": ("Results", [["--via", "main", "ID"], ["--by-rules", "ID"]]),
    "requeue": ("Results", CHANGES),
    "expire": ("Results", CHANGES),
    "bounce": ("Results", CHANGES),
    "remove": ("Results", CHANGES),
    "oauth": ("oauth", [["status"]]),
    "user": ("user", [["list", "--file", "USERS"]]),
    "suspend": ("suspend and resume", [["--upstream", "main", "--for", "30m", "--reason", "x"], []]),
    "resume": ("suspend and resume", [["--upstream", "main"], []]),
    "export": ("export and import", [["--format", "mbox", "--output", "OUT"]]),
    "import": ("export and import", [["--from", "a@b", "--to", "c@d", "/proc/self/limits"]]),
    "top": ("Status", []),  # test_sockets
    "watch": ("Events", []),  # test_sockets
    "log": ("Events", []),  # test_log.py
}


def manual():
    """Title of each part of the manual, with the members it tells of."""
    text = (SRCDIR / "man/posthouse-json.5.in").read_text()
    parts = {}
    for title, body in re.findall(r"^\.S[hs] (.*)\n((?:(?!\.S[hs] ).*\n)*)", text, re.M):
        found = set()
        for line in re.findall(r"\bVa ([^\n]*)", body):
            found |= {word for word in re.split(r"[ ,;]+", line.split(" No ")[0]) if re.fullmatch(r"[a-z][a-z0-9_]*", word)}
        parts[title.strip('"')] = found
    return parts


def members(value):
    """Names of all members, whatever depth."""
    if isinstance(value, dict):
        return set(value).union(*map(members, value.values()))
    if isinstance(value, list):
        return set().union(*map(members, value))
    return set()


def json_verbs(t):
    text = t.posthouse("help").split("Verbs:\n")[1].split("\n\n")[0]
    verbs = re.findall(r"^  ([a-z][a-z-]*) +\S", text, re.M)
    return [verb for verb in verbs if re.search(r"^  +(?:-\w, )?--json\b", t.posthouse(verb, "--help"), re.M)]


def objects(text):
    """The objects of an output, however they are spread over lines."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def make(t):
    spool = t.tmp / "spool"
    text = "".join(json.dumps(m) + "\n" for m in MESSAGES)
    ids = t.run([BUILDDIR / "tests/spool/make_spool", spool], check=0, data=text.encode()).stdout.decode().split()
    torn = spool / "queue" / ids[-1]
    torn.write_bytes(torn.read_bytes()[:-1])
    (spool / "queue" / "README").write_text("not a message")
    config = t.tmp / "j.conf"
    config.write_text(f'localaddr = "127.0.0.1:25"\nspool = "{spool}"\nupstream "main" {{ remoteaddr = "192.0.2.1:25" }}\n'
                      f'upstream "token" {{ remoteaddr = "192.0.2.1:465" user = "u" oauth = "refresh_token" '
                      f'oauth_client_id = "i" oauth_token_url = "https://192.0.2.1/t" oauth_token_file = "{t.tmp}/token" }}\n'
                      'route { recipient = "example.net" upstream = "main" }\n')
    users = t.tmp / "users"
    users.write_text("alice:!\nbob:{PLAIN}x\nb\xe4d:{FOO}x\n", encoding="latin-1")
    users.chmod(0o600)
    return config, ids


def run_json(t, config, ids, verb, arguments):
    """Objects of the verb, one run for each message if there is "ID" among the arguments."""
    found = []
    for one in ids if "ID" in arguments else [None]:
        argv = [{"ID": one, "OUT": config.parent / "out", "USERS": config.parent / "users"}.get(word, word) for word in arguments]
        run = t.run([BUILDDIR / "posthouse", "--config", config, verb, "--json", *argv])
        if run.returncode not in (0, 1) and verb != "check":
            raise AssertionError(f"{verb} {argv}: {run.returncode}\n{run.stderr.decode()}")
        text = run.stdout.decode()
        if not text.isascii() or not text.replace("\n", "").isprintable():
            raise AssertionError(f"{verb}: not printable ASCII: {text!r}")
        for value in objects(text):
            if not isinstance(value, dict):
                raise AssertionError(f"{verb}: not an object: {value!r}")
            found.append(value)
    return found


def test_verbs_are_documented(t):
    """Each verb with --json has a part of the manual of its own or says which one it shares."""
    parts = manual()
    for verb in json_verbs(t):
        if verb not in RUNS:
            raise AssertionError(f"{verb} has --json: add it to posthouse-json(5), and here to RUNS")
        if RUNS[verb][0] not in parts:
            raise AssertionError(f"posthouse-json(5) has no part \"{RUNS[verb][0]}\" for {verb}")


def test_members(t):
    parts = manual()
    seen = {}
    for verb in [verb for verb in RUNS if verb in json_verbs(t) and RUNS[verb][1]]:
        part, runs = RUNS[verb]
        for number, arguments in enumerate(runs):
            folder = t.tmp / f"{verb}-{number}"
            folder.mkdir()
            place = type("Place", (), {"tmp": folder, "run": t.run})
            config, ids = make(place)
            if verb == "resume":  # there has to be something
                run_json(t, config, ids, "suspend", [word for word in arguments if word != "--all"])
            found = run_json(t, config, ids, verb, arguments)
            if not found:
                raise AssertionError(f"{verb} {arguments} printed nothing")
            for value in found:
                inside = parts["queue and show"] if verb == "explain" else set()
                undocumented = members(value) - parts[part] - inside
                equal(undocumented, set(), f"members of {verb} {arguments} that \"{part}\" does not tell, in {value}")
                seen.setdefault(part, set()).update(members(value))
    if not seen:
        raise AssertionError("no verb has --json")
    for part, found in seen.items():
        t.comment(f"{part}: not seen {sorted(parts[part] - found)}")
    stale = parts["queue and show"] - seen["queue and show"] - {"put_aside", "file_size"}
    equal(stale, set(), "members of \"queue and show\" that nothing prints")


def test_put_aside(t):
    """A message that fsck put aside."""
    config, ids = make(t)
    t.run([BUILDDIR / "posthouse", "--config", config, "fsck", "--repair"])
    for verb, arguments in (("show", ["ID"]), ("queue", [])):
        for value in run_json(t, config, ids[-1:], verb, arguments):
            equal(members(value) - manual()["queue and show"], set(), "undocumented members")
    [value] = run_json(t, config, ids[-1:], "show", ["ID"])
    equal((value["state"], "put_aside" in value, "file_size" in value), ("corrupt", True, True), "what is told")


# ---- the sockets ---------------------------------------------------------------

def ask(path, request, stop=lambda o: "end" in o):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(harness.DEADLINE)
        s.connect(str(path))
        s.sendall(json.dumps(request).encode() + b"\n")
        lines, found = s.makefile("rb"), []
        for line in lines:
            found.append(json.loads(line))
            if stop(found[-1]):
                return found
    raise AssertionError(f"no end: {found}")


def test_sockets(t):
    parts = manual()
    upstream = Upstream(t)
    daemon = t.daemon(upstream)
    daemon.ready()
    view, control = daemon.spool / "view", daemon.spool / "control"
    if not view.exists():
        raise Skip("the relay does not listen on SPOOL/view yet")
    protocol = {"end", "error"}
    [status] = ask(view, {"ask": "status"})
    equal(members(status) - parts["Status"] - protocol, set(), "of status")
    [top] = objects(t.posthouse("--spool", daemon.spool, "top", "--batch", "--json", "--number", "1"))
    equal(members(top) - parts["Status"] - protocol, set(), "of top")
    for request in ({"ask": "flight"}, {"ask": "ids"}, {"ask": "open", "ids": ["0" * 16]}):
        for value in ask(view, request):
            equal(members(value) - parts["Looking"] - protocol, set(), f"of {request}: {value}")
    for value in ask(view, {"ask": "watch"}, stop=lambda o: "watching" in o):
        equal(members(value) - parts["Looking"] - parts["Events"] - protocol, set(), f"of watch: {value}")
    for verb in ("retry", "hold", "release", "reroute", "requeue", "expire", "bounce", "remove"):
        request = {"do": verb, "ids": ["0" * 16], **({"upstream": None} if verb == "reroute" else {})}
        for value in ask(control, request):
            equal(members(value) - parts["Results"] - protocol, set(), f"of {request}: {value}")
    for request in ({"do": "suspend", "upstream": None, "reason": "x"}, {"do": "resume", "upstream": None},
                    {"do": "probe", "upstream": None}, {"do": "nothing"}):
        for value in ask(control, request):
            equal(members(value) - protocol, set(), f"of {request}: {value}")


if __name__ == "__main__":
    harness.main(__name__)
