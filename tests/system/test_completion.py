# SPDX-License-Identifier: ISC
"""Completion: what the command says could follow, and the shells that ask it."""

import json
import os
import re
import shlex
import subprocess

import harness
from harness import BUILDDIR, SRCDIR, equal, need_program

SCRIPTS = SRCDIR / "contrib/completions"
MESSAGES = [{"from": "one@example.org", "to": [{"address": "a@example.net"}]},
            {"from": "", "to": [{"address": "b@example.net"}]}]


def place(t):
    """A folder with a spool of two messages, a configuration with two upstreams, and posthouse in its PATH."""
    text = "".join(json.dumps(m) + "\n" for m in MESSAGES)
    done = t.run([BUILDDIR / "tests/spool/make_spool", t.tmp / "spool"], check=0, data=text.encode())
    config = t.tmp / "two.conf"
    config.write_text(f'localaddr = "127.0.0.1:25"\nspool = "{t.tmp}/spool"\n'
                      'upstream "main" { remoteaddr = "192.0.2.1:25" }\nupstream "mail2" { remoteaddr = "192.0.2.2:25" }\n')
    (t.tmp / "folder").mkdir()
    (t.tmp / "file with blank.eml").write_text("x")
    return config, sorted(done.stdout.decode().split())


def environment(t):
    env = {"PATH": f"{BUILDDIR}:{os.environ['PATH']}", "HOME": str(t.tmp), "LC_ALL": "C.UTF-8"}
    env.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
    return env


def answer(t, *words):
    """What the command says to the shells: [(word, description)]."""
    run = t.run([BUILDDIR / "posthouse", "help", "--complete", "--", *words], env=environment(t))
    equal(run.returncode, 0, f"status for {words}")
    return [tuple((line + "\t").split("\t")[:2]) for line in run.stdout.decode().splitlines()]


def names(t, *words):
    return [word for word, _description in answer(t, *words)]


def help_of(t, verb):
    return t.run([BUILDDIR / "posthouse", verb, "--help"], check=0).stdout.decode()


def verbs(t):
    text = t.run([BUILDDIR / "posthouse", "help"], check=0).stdout.decode()
    return re.findall(r"^  ([a-z][a-z-]*) +\S", text.split("Verbs:\n")[1].split("\n\n")[0], re.M)


# ---- the answers ------------------------------------------------------------

def test_every_verb_and_option(t):
    """All that help tells can be completed, and nothing else is offered."""
    listed = verbs(t)
    equal(names(t, ""), listed, "verbs")
    equal(names(t, "help", ""), listed, "verbs behind help")
    for verb in listed:
        told = re.findall(r"^  (?:-\w,|   ) (--[a-z0-9-]+)", help_of(t, verb), re.M)
        equal(names(t, verb, "-"), told, f"options of {verb}")
        for option in told:
            equal(names(t, verb, option), [o for o in told if o.startswith(option)], f"{verb} {option}")
    for word, description in answer(t, "") + answer(t, "queue", "-"):
        if not description:
            raise AssertionError(f"{word} has no description")


def test_user(t):
    """What user can do first, then whom it can do it to."""
    config, _ids = place(t)
    users = t.tmp / "users"
    users.write_text("# x\nalice:!\nal\x1bex:!\nbob:nonsense\n")
    users.chmod(0o600)
    config.write_text(config.read_text() + f'auth_users_file = "{users}"\n')
    equal(names(t, "--config", config, "user", ""), ["add", "passwd", "remove", "list"], "first")
    equal(names(t, "--config", config, "user", "--stdin", "pa"), ["passwd"], "behind an option")
    equal(names(t, "--config", config, "user", "remove", ""), ["alice", "al?ex", "bob"], "users")
    equal(names(t, "--config", config, "user", "remove", "b"), ["bob"], "one user")
    equal(names(t, "user", "add", "--scheme", ""), ["yescrypt", "sha512crypt", "bcrypt"], "schemes")


def test_values(t):
    config, ids = place(t)
    equal(names(t, "--config", config, "oauth", "l"), ["login"], "what oauth can do")
    equal(names(t, "--config", config, "oauth", "login", ""), names(t, "--config", config, "suspend", "--upstream", ""),
          "upstreams")
    equal(answer(t, "--config", config, "show", ""), [(ids[0], "one@example.org"), (ids[1], "<>")], "ids")
    equal(answer(t, f"--config={config}", "show", ids[1]), [(ids[1], "<>")], "one id")
    equal(names(t, "show", "--spool", t.tmp / "spool", ""), ids, "ids, the option behind the verb")
    equal(names(t, "show", "--spo", "=", t.tmp / "spool", ""), ids, "words as bash cuts them, an option cut short")
    equal(names(t, "--config", config, "queue", ids[0]), ids[:1], "operands with a hyphen in their name")
    equal(names(t, "--config", config, "show", "!"), [], "no id begins so")
    equal(names(t, "--config", ""), [":files"], "files")
    equal(names(t, "--spool", ""), [":dirs"], "folders")
    equal(names(t, "send", ""), [":files"], "an operand")
    equal(names(t, "queue", "--color", "a"), ["auto", "always"], "words")
    equal(names(t, "queue", "--color=al"), ["--color=always"], "words behind a sign")
    equal(names(t, "queue", "--color", "="), ["auto", "always", "never"], "words as bash cuts them")
    equal(names(t, "--config", config, "queue", "--upstream", ""), ["main", "mail2"], "upstreams")
    equal(names(t, "--config", config, "queue", "--upstream=mail"), ["--upstream=mail2"], "upstreams behind a sign")
    equal(names(t, "summary", "--by", "sender"), ["sender", "sender-domain"], "words")
    equal(names(t, "queue", "--state", "de"), ["deferred", "delivered"], "states")
    equal(names(t, "send", "-v", "--tls", ""), ["none", "opportunistic", "required", "implicit"], "words")
    equal(names(t, "send", "--transcript", "py"), ["python", "python-times"], "words")
    equal(names(t, "send", "--auth", "SCRAM"), ["SCRAM-SHA-1", "SCRAM-SHA-256"], "mechanisms")
    equal(names(t, "send", "--has-extension", "S"), ["SIZE", "STARTTLS", "SMTPUTF8"], "extensions")
    equal(names(t, "--config", config, "show", "--", ids[0]), ids[:1], "behind --")


def test_nothing_to_say(t):
    equal(names(t, "nosuchverb", ""), [], "behind an unknown verb")
    equal(names(t, "queue", "--nosuch"), [], "unknown option")
    equal(names(t, "queue", "--nosuch="), [], "value of an unknown option")
    equal(names(t, "queue", "--json="), [], "value of an option without one")
    equal(names(t, "--spool", t.tmp / "none", "show", ""), [], "no spool")
    equal(names(t), verbs(t), "no words")


def test_hostile_descriptions(t):
    """A sender cannot reach the terminal, nor add a candidate."""
    message = {"from": "\xe2\x80\xae\x9b@x", "to": [{"address": "a@b"}]}
    made = t.run([BUILDDIR / "tests/spool/make_spool", t.tmp / "spool"], data=json.dumps(message).encode() + b"\n")
    equal(made.returncode, 0, "make_spool")
    [(_word, description)] = answer(t, "--spool", t.tmp / "spool", "show", "")
    if not description.endswith("@x") or not description.isascii() or not description.isprintable():
        raise AssertionError(f"description {description!r}")


# ---- the shells ----------------------------------------------------------------

def shell(t, argv, script):
    run = subprocess.run([*argv], input=script, env=environment(t), cwd=t.tmp, text=True, timeout=harness.DEADLINE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    equal((run.returncode, run.stderr), (0, ""), f"{argv[0]} on\n{script}")
    return sorted(run.stdout.splitlines())


def bash(t, command, *words):
    """COMPREPLY of a real bash in which the cursor stands behind the last word."""
    line = " ".join(shlex.quote(str(word)) for word in (command, *words))
    return shell(t, ["bash", "--norc", "--noprofile"], f"""
        compopt() {{ :; }} # may only be called while readline completes
        . {shlex.quote(str(SCRIPTS / command))}.bash
        set -- $(complete -p {command}); [ "$2" = -F ] || exit 1
        COMP_WORDS=({line}); COMP_CWORD=$(({len(words)}))
        "$3" {command} "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
        for word in "${{COMPREPLY[@]}}"; do printf '%s\\n' "$word"; done
        """)


def test_bash(t):
    need_program("bash")
    config, ids = place(t)
    equal(bash(t, "posthouse", ""), sorted(verbs(t)), "verbs")
    equal(bash(t, "posthouse", "que"), ["queue"], "a verb")
    equal(bash(t, "posthouse", "queue", "--js"), ["--json"], "an option")
    equal(bash(t, "posthouse", "--config", config, "show", ids[0][:15]),
          [i for i in ids if i.startswith(ids[0][:15])], "ids")
    equal(bash(t, "posthouse", "queue", "--color", "=", "n"), ["never"], "behind a sign, as bash cuts the line")
    equal(bash(t, "posthouse", "send", "file"), ["file with blank.eml"], "files")
    equal(bash(t, "posthouse", "--spool", "f"), ["folder"], "folders")
    equal(bash(t, "posthoused", "--sp"), ["--spool"], "an option of posthoused")
    equal(bash(t, "posthoused", "-f", "two"), ["two.conf"], "files of posthoused")
    equal(bash(t, "posthoused", "--spool", "f"), ["folder"], "folders of posthoused")
    equal(bash(t, "posthoused", "-c", "Pu"), ["PureProxy"], "handlers of posthoused")
    told = re.findall(r"^  (?:-\w,|   ) (--[a-z0-9-]+)",
                      t.run([BUILDDIR / "posthoused", "--help"], check=0).stdout.decode(), re.M)
    equal(bash(t, "posthoused", "--"), sorted(told), "all options of posthoused")


def zsh(t, *words):
    """What the function hands to zsh's completion, whose builtins are replaced by some that print."""
    line = " ".join(shlex.quote(str(word)) for word in ("posthouse", *words))
    return shell(t, ["zsh", "-f"], f"""
        compadd() {{ print -rl -- "${{(P@)@[-1]}}"; }}
        _files() {{ print -r -- "files $*"; }}
        words=({line}) CURRENT=$#words service=posthouse
        . {shlex.quote(str(SCRIPTS / "posthouse.zsh"))}
        """)


def test_zsh(t):
    need_program("zsh")
    config, ids = place(t)
    shell(t, ["zsh", "-n", str(SCRIPTS / "posthouse.zsh")], "")
    equal(zsh(t, ""), sorted(verbs(t)), "verbs")
    equal(zsh(t, "--config", config, "show", ""), ids, "ids")
    equal(zsh(t, "--spool", ""), ["files -/"], "folders")
    equal(zsh(t, "queue", "--js"), ["--json"], "an option")


def fish(t, line):
    """The candidates of a real fish for the line."""
    script = "".join(f"source {shlex.quote(str(SCRIPTS / name))}\n" for name in ("posthouse.fish", "posthoused.fish"))
    out = shell(t, ["fish", "--no-config"], f"{script}complete -C {shlex.quote(line)}")
    return [word.split("\t")[0] for word in out]


def test_fish(t):
    need_program("fish")
    config, ids = place(t)
    for name in ("posthouse.fish", "posthoused.fish"):
        shell(t, ["fish", "--no-execute", str(SCRIPTS / name)], "")
    equal(fish(t, "posthouse "), sorted(verbs(t)), "verbs")
    equal(fish(t, f"posthouse --config {config} show "), ids, "ids")
    equal(fish(t, "posthouse queue --js"), ["--json"], "an option")
    equal(fish(t, "posthouse --spool f"), ["folder/"], "folders")
    equal(fish(t, "posthoused --sp"), ["--spool"], "an option of posthoused")


def test_installed(t):
    """make install puts each where its shell looks, and nothing is left out."""
    root = t.tmp / "root"
    t.run(["make", "-C", BUILDDIR, "install-completions", f"DESTDIR={root}"], check=0)
    found = {path.name for path in root.rglob("*") if path.is_file()}
    equal(found, {"posthouse", "posthoused", "_posthouse", "posthouse.fish", "posthoused.fish"}, "files")
    equal(len([path for path in root.rglob("*") if path.is_file()]), len(list(SCRIPTS.iterdir())), "how many")


if __name__ == "__main__":
    harness.main(__name__)
