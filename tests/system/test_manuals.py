# SPDX-License-Identifier: ISC
"""The manuals: well formed, and complete against the tables in the code."""

import json
import re
import subprocess

import harness
from harness import BUILDDIR, SRCDIR, equal, need_program


def pages():
    """Built and written ones, each once, by name."""
    found = {}
    for folder in (SRCDIR / "man", BUILDDIR / "man"):
        for page in sorted(folder.glob("*.[1-9]")):
            found[page.name] = page
    return found


def page(name):
    return pages()[name].read_text()


def table(kind):
    return [row[1:] for row in harness.printed_table("keys") if row[0] == kind]


def plain(mdoc):
    """The text of the macro arguments on a line, as a reader sees it."""
    words = [w for w in mdoc.split() if w not in ("Li", "Cm", "Pa", "Ar", "Fl", "No", "Ic")]
    return " ".join(words).replace(r"\(dq", '"').replace(r"\&", "")


def test_lint(t):
    need_program("mandoc")
    if not pages():
        raise AssertionError("no manuals")
    for name, path in pages().items():
        t.comment(name)
        run = subprocess.run(["mandoc", "-Tlint", "-Wwarning", path], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
        equal((run.returncode, run.stdout), (0, ""), f"mandoc about {name}")


def test_paths_are_substituted(_t):
    for name, path in pages().items():
        text = path.read_text()
        left = re.findall(r"@[A-Za-z]+@|\$\{[a-z_]*prefix\}", text)
        equal(left, [], f"left in {name}")
        if not text.startswith('.\\" SPDX-License-Identifier: ISC\n'):
            raise AssertionError(f"{name} does not begin with its licence")


def test_references(_t):
    """Each .Xr to a posthouse page names one that is there, in its section; each .Sx a heading of its page."""
    ours = set(pages())
    for name, path in pages().items():
        for title, section in re.findall(r"\.?\bXr (posthouse\S*) (\d)", path.read_text()):
            if f"{title}.{section}" not in ours:
                raise AssertionError(f"{name} refers to {title}({section}), which is not there")
        headings = re.findall(r"^\.S[hs] (.*)$", path.read_text(), re.M)
        for heading in re.findall(r"^\.(?:.* )?Sx (.*?)(?: [.,;:)]+)*$", path.read_text(), re.M):
            if heading not in headings:
                raise AssertionError(f"{name} refers to its section {heading!r}, which is not there")


def test_keys(_t):
    """posthouse.conf(5) has every key in its section, once, with its default, and no other."""
    documented, section = {}, None
    for line in page("posthouse.conf.5").splitlines():
        if line.startswith(".Sh "):
            section = {"KEYS": "top", "LISTENER SECTIONS": "listener", "UPSTREAM SECTIONS": "upstream",
                       "ROUTE SECTIONS": "route", "REWRITE SECTIONS": "rewrite"}.get(line[4:])
        found = re.fullmatch(r"\.It Ic ([a-z_0-9]+)\b(.*)", line)
        if not found:
            continue
        key = (section, found[1])
        if section is None or key in documented:
            raise AssertionError(f"{key} stands twice, or in the wrong section")
        default = re.search(r" Pq (.*)", found[2])
        documented[key] = plain(default[1]) if default else ""
    expected = {(section, key): default for section, key, default in table("key")}
    equal(sorted(documented), sorted(expected), "keys in posthouse.conf(5)")
    for key, default in expected.items():
        equal(documented[key], default, f"default of {key}")


def test_packages(_t):
    """README's list for building by hand has what contrib/run and contrib/check would install."""
    needed = re.findall(r"^\s+build\s+(\S+)", (SRCDIR / "contrib/functions.sh").read_text(), re.M)
    if "libssl-dev" not in needed:
        raise AssertionError(f"no table of packages: {needed}")
    listed = re.search(r"apt-get install (.*?)\n +autoreconf", (SRCDIR / "README").read_text(), re.S)[1].split()
    equal([name for name in needed if name not in listed], [], "packages that README does not name")


def logged_events():
    """The events that the daemon's code names: in calls of log_begin and log_msg, of what stands in front of them, and in tables."""
    events = set()
    for path in SRCDIR.glob("src/*/*.c"):
        if path.parent.name in ("cli", "doctor", "sendmail", "base", "config"):
            continue
        text = path.read_text()
        for name, call in re.findall(r"\b((?:\w+_)?log(?:_\w+)?|begin)\(((?:[^;\"]|\"(?:[^\"\\]|\\.)*\")*)\);", text):
            if name not in ("log_str", "log_strn", "log_int", "log_seconds", "log_end", "log_open", "log_open_with", "log_file", "log_rule",
                            "rewrite_log_failed"):
                events.update(re.findall(r'"([a-z]+(?:_[a-z]+)*)"', call))
        events.update(re.findall(r'"(\w+)", LOG_LEVEL_', text))
        events.update(re.findall(r'\[ACTION_\w+\] = \{ "\w+", "(\w+)", \w+, \w+, ', text))
    return events


def test_events(_t):
    """LOG of posthoused(8) has every event."""
    section = page("posthoused.8").split(".Sh LOG\n")[1].split("\n.Sh ")[0]
    documented = {word for line in re.findall(r"^\.(?:It )?Li (.*)$", section, re.M) for word in re.findall(r"[a-z_0-9]+", line)}
    events = logged_events()
    if len(events) < 60:
        raise AssertionError(f"only {sorted(events)} were found in the code")
    equal(sorted(events - documented), [], "events that posthoused(8) does not tell of")
    table = re.search(r"events\[LOG_PART_COUNT\].*?^};", (SRCDIR / "src/base/log_level.c").read_text(), re.S | re.M)[0]
    equal(sorted(set(re.findall(r'"(\w+)"', table)) - documented), [], "events that have a part of log_level, and are none")


def test_figures(_t):
    """posthouse-metrics(7) has every figure with its type, unit, labels and their words, and no other."""
    expected = {}
    for name, kind, unit, labels, _help in harness.printed_table("figures"):
        expected[name] = (", ".join(filter(None, (kind, unit))),
                          {label.split("=")[0]: label.split("=")[1].replace("|", " , ") for label in labels.split()})
    section = page("posthouse-metrics.7").split(".Sh FIGURES\n")[1].split("\n.Sh ")[0]
    documented = {}
    for name, what, body in re.findall(r"^\.It Li (\S+) Pq (.*)\n((?:(?!\.It |\.El).*\n)*)", section, re.M):
        words = dict(re.findall(r"^\.Sy (\w+) :\n(?:\.Cm (.*) \.\n)?", body, re.M))
        if name in documented:
            raise AssertionError(f"{name} stands twice")
        documented[name] = (what, words)
    equal(sorted(documented), sorted(expected), "figures in posthouse-metrics(7)")
    for name, value in expected.items():
        equal(documented[name], value, name)


def test_presets(_t):
    """PRESETS of posthouse.conf(5) has each preset with its values and its sources, and no other."""
    section = page("posthouse.conf.5").split(".Sh PRESETS\n")[1].split("\n.Sh ")[0]
    documented = {}
    for name, body in re.findall(r"^\.It Cm (\S+)\n((?:(?!\.It |\.El).*\n)*)", section, re.M):
        values = [f"{key}={value}" for key, value in re.findall(r"^\.Ic (\S+)\n\.Li (?:\\\(dq)?(.*?)(?:\\\(dq)?(?: [.,;])?$", body, re.M)]
        host = re.search(r":\n\.Li (\S+:\d+)", body)
        values = [v for v in values if not v.startswith("remoteaddr=")]
        values.append("remoteaddr=" + ("?" if ".Ic remoteaddr" in body else host[1]))
        documented[name] = (sorted(values), re.findall(r"^\.Lk (\S+)$", body, re.M))
    expected = {name: (sorted(values.strip("|").split("|")), source.split()) for name, values, source in table("preset")}
    equal(sorted(documented), sorted(expected), "presets in posthouse.conf(5)")
    for name, values in expected.items():
        equal(documented[name], values, name)


def test_examples(t):
    """The examples of posthouse.conf(5) are configurations that posthoused takes."""
    secret = t.tmp / "secret"
    secret.write_text("word\n")
    secret.chmod(0o600)
    section = page("posthouse.conf.5").split(".Sh EXAMPLES\n")[1].split("\n.Sh ")[0]
    examples = re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$", section, re.M)
    if len(examples) < 3:
        raise AssertionError(f"only {len(examples)} examples")
    for example in examples:
        path = t.tmp / "example.conf"
        path.write_text('localaddr = "127.0.0.1:25"\n' + re.sub(r'"/[^"]*secret"', f'"{secret}"', example))
        run = t.run([BUILDDIR / "posthoused", "-t", "-n", "-f", path])
        equal((run.returncode, run.stderr), (0, b""), example)


def test_coming_from(t):
    """What posthouse(1) tells those who know other programs does something, on a queue that is stuck."""
    section = page("posthouse.1").split(".Sh COMING FROM")[1].split("\n.Sh ")[0]
    commands = [c.replace("\\-", "-") for c in re.findall(r"Ta Li (posthouse .*)$", section, re.M)]
    if len(commands) < 30:
        raise AssertionError(f"only {len(commands)} commands")
    message = {"from": "from@example.org", "to": [{"address": "to@site.example", "status": "pending", "tries": 1,
                                                   "reply": "450 4.2.0 no"}], "tries": 1, "count": 3}
    for number, command in enumerate(commands):
        spool = t.tmp / f"spool-{number}"
        verb = command.split()[1]
        if verb == "top":  # a terminal's
            continue
        made = t.run([BUILDDIR / "tests/spool/make_spool", spool], check=0, data=json.dumps(message).encode() + b"\n")
        found = made.stdout.decode().split()[0]
        for undone, first in (("release", ["hold", found]), ("resume", ["suspend"])):
            if verb == undone:
                t.run([BUILDDIR / "posthouse", "--spool", spool, *first], check=0)
        values = {"ID": found, "FROM": "from@example.org", "SITE": "site.example"}
        argv = [values.get(word, word) for word in command.split()[1:]]
        run = t.run([BUILDDIR / "posthouse", "--spool", spool, *argv])
        if run.returncode not in ((0, 1) if verb == "status" else (0,)):  # 1: no daemon
            raise AssertionError(f"{command}: exit status {run.returncode}\n{run.stdout}\n{run.stderr}")
        if not run.stdout:
            raise AssertionError(f"{command}: no output")
        left = t.run([BUILDDIR / "posthouse", "--spool", spool, "queue", "--ids"]).stdout.decode().split()
        if verb == "remove" and (found in left or ("--all" in argv) != (left == [])):
            raise AssertionError(f"{command}: {left} is left")


def test_commands(t):
    """What manuals, messages and figures tell the operator to say is a verb."""
    verbs = set(re.findall(r"^  ([a-z]+) ", t.run([BUILDDIR / "posthouse", "--help"], check=0).stdout.decode(), re.M))
    texts = {path.name: path.read_text() for path in [*pages().values(), *sorted((SRCDIR / "src").rglob("*.c"))]}
    told = {(name, verb) for name, text in texts.items() for verb in re.findall(r"(?:[(']|\bQl )posthouse ([a-z]+)\b", text)}
    if len(told) < 20:
        raise AssertionError(f"only {told} were found")
    equal(sorted((name, verb) for name, verb in told if verb not in verbs), [], "commands that are not there")


def test_options_in_manual(_t):
    """posthoused(8) has every option by letter and by name, and no other."""
    documented = set()
    for line in page("posthoused.8").splitlines():
        if line.startswith(".It Fl "):
            words = re.sub(r" Ar \S+", "", line[4:]).split()
            documented.add(frozenset(word for word in words if word not in ("Fl", ",")))
    expected = {frozenset(x for x in (letter, "-" + name) if x) for letter, name, _argument in table("option")}
    equal(sorted(map(sorted, documented)), sorted(map(sorted, expected)), "options in posthoused(8)")


def test_options_in_help(t):
    run = t.run([BUILDDIR / "posthoused", "--help"], check=0)
    text = run.stdout.decode()
    seen = {(letter, name) for letter, name in re.findall(r"^  (?:-(\w),|   ) --([a-z0-9-]+)", text, re.M)}
    equal(sorted(seen), sorted((letter, name) for letter, name, _argument in table("option")), "options in --help")


def test_exit_statuses(t):
    """The statuses of posthoused(8) are those that the program ends with."""
    section = page("posthoused.8").split(".Sh EXIT STATUS\n")[1].split("\n.Sh ")[0]
    documented = sorted(int(number) for number in re.findall(r"^\.It (\d+)$", section, re.M))
    seen = {t.run([BUILDDIR / "posthoused", *arguments]).returncode
            for arguments in (["-V"], ["-t", "-f", t.tmp / "none"], ["--no-such-option"])}
    equal(documented, sorted(seen), "exit statuses")


if __name__ == "__main__":
    harness.main(__name__)
