# SPDX-License-Identifier: ISC
"""posthouse user: the file it keeps, the password it asks for, and what happens in between."""

import json
import os
import pty
import pwd
import random
import re
import signal
import subprocess
import time

import harness
import terminal
from harness import BUILDDIR, Skip, equal

POSTHOUSE = BUILDDIR / "posthouse"


def user(t, *args, data=None, check=0):
    """Runs it over the file "users" of the test; standard output, standard error."""
    run = t.run([POSTHOUSE, "user", *args, "--file", t.tmp / "users"], data=data, check=check,
                env={**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "200"})
    return run.stdout.decode(), run.stderr.decode()


def content(t):
    return (t.tmp / "users").read_text()


def write(t, text, mode=0o600):
    path = t.tmp / "users"
    path.write_bytes(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
    path.chmod(mode)
    return path


# ---- the actions ------------------------------------------------------------------------

def test_life_of_a_user(t):
    equal(user(t, "add", "--stdin", "alice", data=b"one\n")[0], "added alice\n", "add")
    line = content(t)
    assert re.fullmatch(r"alice:\{CRYPT\}\$y\$[^:]+::::::posthouse_credential=\{SCRAM-SHA-256\}20000,[^:,]+,[^:,]+,[^:,]+\n",
                        line), line
    assert "one" not in line
    equal((t.tmp / "users").stat().st_mode & 0o7777, 0o600 if not has_auth_user() else 0o640, "mode")
    _, err = user(t, "add", "--stdin", "ALICE", data=b"two\n", check=1)
    assert "user ALICE is there already" in err, err
    equal(content(t), line, "the file after a refused add")
    user(t, "passwd", "--stdin", "Alice", data=b"two\n")
    assert content(t).startswith("alice:{CRYPT}$y$") and content(t) != line, content(t)
    equal(user(t, "remove", "aLICE")[0], "removed aLICE\n", "remove")
    equal(content(t), "", "the file at the end")
    for action in ("remove", "passwd", "list"):
        data = {"data": b"x\n"} if action == "passwd" else {}
        _, err = user(t, action, *(["--stdin"] if data else []), "alice", check=1, **data)
        assert "there is no user alice" in err, err


def has_auth_user():
    try:
        return os.geteuid() == 0 and pwd.getpwnam("posthouse-auth") is not None
    except KeyError:
        return False


def test_group_of_a_new_file(t):
    harness.need_root()
    if not has_auth_user():
        raise Skip("there is no user posthouse-auth")
    user(t, "add", "--stdin", "alice", data=b"one\n")
    st = (t.tmp / "users").stat()
    equal((st.st_mode & 0o7777, st.st_uid, st.st_gid), (0o640, 0, pwd.getpwnam("posthouse-auth").pw_gid), "rights")


def test_what_is_kept(t):
    for options, wanted in (([], ["yescrypt", "SCRAM-SHA-256"]), (["--no-scram"], ["yescrypt"]),
                            (["--scram-only"], ["SCRAM-SHA-256"]), (["--scheme", "bcrypt"], ["bcrypt", "SCRAM-SHA-256"]),
                            (["--scheme", "sha512crypt", "--no-scram"], ["sha512crypt"]),
                            (["--cram-md5"], ["yescrypt", "SCRAM-SHA-256", "clear"]),
                            (["--cram-md5", "--no-scram", "--scheme=yescrypt"], ["yescrypt", "clear"]),
                            (["--iterations", "4096", "--scram-only"], ["SCRAM-SHA-256"])):
        (t.tmp / "users").unlink(missing_ok=True)
        user(t, "add", "--stdin", *options, "alice", data=b"one\n")
        found = json.loads(user(t, "list", "--json")[0])
        equal(found, {"user": "alice", "credentials": wanted, "locked": False, "line": 1, "error": None}, str(options))
    assert "{SCRAM-SHA-256}4096," in content(t), content(t)


def test_list(t):
    write(t, b"# people\n\nalice:{PLAIN}x\nshut:!\n\xff\x1b[31m:{PLAIN}y\nbad:{FOO}secret\nTWICE:*\ntwice:*\n")
    out, _ = user(t, "list", check=1)
    lines = [re.split(r"  +", line.strip(), maxsplit=2) for line in out.splitlines()]
    equal(lines[:3], [["USER", "CREDENTIALS", "NOTE"], ["alice", "clear"], ["shut", "crypt", "may not log in"]], "table")
    assert "\x1b" not in out and "secret" not in out and "\\x1b[31m" in out, out
    assert "line 6: unknown scheme {FOO}" in out and out.count("the user stands in line 7 already") == 2, out
    found = [json.loads(line) for line in user(t, "list", "--json", check=1)[0].splitlines()]
    equal([(o["line"], o["locked"], o["error"] is None) for o in found],
          [(3, False, True), (4, True, True), (5, None, False), (6, None, False), (7, True, False), (8, True, False)], "json")
    equal([o["user"] for o in found][2:4], ["\ufffd\x1b[31m", "bad"], "names")
    equal(json.loads(user(t, "list", "--json", "ALICE", check=1)[0])["user"], "alice", "one user")


def test_other_lines_stay(t):
    before = b"# x\r\n\nstrange \xff\xfe\nalice:{PLAIN}x:1000:1000:Alice:/home/a:/bin/sh:userdb_q=1 posthouse_credential=!\nbob:x"
    write(t, before)
    user(t, "passwd", "--stdin", "--no-scram", "alice", data=b"y\n")
    after = (t.tmp / "users").read_bytes()
    head, _, rest = after.partition(b"alice:")
    equal(head, b"# x\r\n\nstrange \xff\xfe\n", "in front")
    line, _, rest = rest.partition(b"\n")
    equal(line.split(b":")[1:], [b"1000", b"1000", b"Alice", b"/home/a", b"/bin/sh", b"userdb_q=1"], "other fields")
    equal(rest, b"bob:x", "behind")
    user(t, "add", "--stdin", "--no-scram", "carol", data=b"y\n")
    assert (t.tmp / "users").read_bytes().startswith(after + b"\ncarol:{CRYPT}"), content(t)


def test_rights_stay(t):
    path = write(t, "alice:{PLAIN}x\n", 0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 54321)
    (t.tmp / "link").symlink_to("users")
    before = path.stat()
    t.run([POSTHOUSE, "user", "passwd", "--stdin", "--file", t.tmp / "link", "alice"], check=0, data=b"y\n")
    after = path.stat()
    assert (t.tmp / "link").is_symlink() and after.st_ino != before.st_ino
    equal((after.st_mode, after.st_uid, after.st_gid), (before.st_mode, before.st_uid, before.st_gid), "rights")
    equal(sorted(p.name for p in t.tmp.iterdir()), ["link", "users"], "files")


# ---- refused -----------------------------------------------------------------------------

def test_usage(t):
    for args, what in (([], "expected add, passwd, remove or list"), (["delete", "x"], "expected add, passwd"),
                       (["add"], "name is missing"), (["remove"], "name is missing"), (["add", "a", "b"], "one user at a time"),
                       (["add", "a:b"], "cannot be the name"), (["add", "a b"], "cannot be the name"),
                       (["add", "#a"], "cannot be the name"), (["add", ""], "cannot be the name"),
                       (["add", "x" * 256], "cannot be the name"), (["add", "--json", "a"], "--json is for list"),
                       (["list", "--stdin"], "for add and passwd only"), (["remove", "--scheme", "bcrypt", "a"], "for add and"),
                       (["add", "--scheme", "md5", "a"], "expected yescrypt"), (["add", "--iterations", "4095", "a"], "from 4096"),
                       (["add", "--iterations", "1000001", "a"], "from 4096"), (["add", "--iterations", "x", "a"], "from 4096"),
                       (["add", "--scram-only", "--no-scram", "a"], "excludes"), (["add", "--scram-only", "--scheme", "bcrypt", "a"],
                                                                                  "excludes"),
                       (["add", "--no-scram", "--iterations", "5000", "a"], "excludes")):
        _, err = user(t, *args, check=2)
        assert what in err, (args, err)
    assert not (t.tmp / "users").exists()


def test_bad_passwords(t):
    for data, what in ((b"", "has nothing"), (b"\n", "has nothing"), (b"x" * 1024 + b"\n", "longer than 1023"),
                       (b"a\0b\n", "NUL"), (b"a\tb\n", "cannot be a password"), (b"ab\r\n", "cannot be a password"),
                       (b"\xff\xfe\n", "cannot be a password"), ("\u00ad\n".encode(), "is empty")):
        _, err = user(t, "add", "--stdin", "alice", data=data, check=3)
        assert what in err, (data, err)
    _, err = user(t, "add", "--stdin", "--scheme", "bcrypt", "alice", data=b"x" * 73, check=3)
    assert "too long for bcrypt" in err, err
    assert not (t.tmp / "users").exists()
    user(t, "add", "--stdin", "alice", data=b"no newline")
    user(t, "add", "--stdin", "bob", data=b"x" * 500 + b"\nmore\n")


def test_files_that_cannot_be_used(t):
    write(t, "alice:{PLAIN}x\n", 0o644)
    for args in (["add", "--stdin", "bob"], ["passwd", "--stdin", "alice"], ["remove", "alice"], ["list"]):
        _, err = user(t, *args, data=b"x\n", check=3)
        assert "can be read by everyone (mode 0644): chmod o-rwx " in err, err
    (t.tmp / "users").unlink()
    for args in (["passwd", "--stdin", "alice"], ["remove", "alice"], ["list"]):
        _, err = user(t, *args, data=b"x\n", check=3)
        assert "No such file" in err, err
    run = t.run([POSTHOUSE, "user", "add", "--stdin", "x", "--file", t.tmp / "none/users"], data=b"x\n", check=3)
    assert b"No such file" in run.stderr, run.stderr
    config = t.tmp / "x.conf"
    config.write_text('localaddr = "127.0.0.1:25"\nremoteaddr = "127.0.0.1:26"\n')
    run = t.run([POSTHOUSE, "--config", config, "user", "list"], check=3)
    assert b"auth_users_file is not set" in run.stderr, run.stderr
    config.write_text(config.read_text() + f'auth_users_file = "{t.tmp}/users"\n')
    t.run([POSTHOUSE, "--config", config, "user", "add", "--stdin", "alice"], data=b"x\n", check=0)
    assert content(t).startswith("alice:"), content(t)


def test_folder_that_cannot_be_written(t):
    """The old file stays, and nothing lies about."""
    harness.need_root()
    nobody = pwd.getpwnam("nobody")
    folder = t.tmp / "folder"
    folder.mkdir(mode=0o755)
    path = folder / "users"
    path.write_text("alice:{PLAIN}x\n")
    path.chmod(0o600)
    os.chown(path, nobody.pw_uid, nobody.pw_gid)
    run = t.run([*harness.as_user(nobody), POSTHOUSE, "user", "remove", "alice", "--file", path])
    if run.returncode == 126:
        raise Skip("nobody may not run the program here")
    equal(run.returncode, 3, run.stderr)
    assert b"no new file can be made beside it" in run.stderr, run.stderr
    equal((path.read_text(), [p.name for p in folder.iterdir()]), ("alice:{PLAIN}x\n", ["users"]), "the folder")


# ---- the terminal ----------------------------------------------------------------------------

def Terminal(t, *args):
    return terminal.Terminal(t, POSTHOUSE, "user", *args, "--file", t.tmp / "users")


def test_asked_on_the_terminal(t):
    term = Terminal(t, "add", "alice")
    term.type_at(b"Password for alice: ", b"geheim\n")
    term.type_at(b"The same again: ", b"geheim\n")
    term.read_until(b"added alice\r\n")
    equal(term.wait(), 0, "status")
    assert term.echo() and b"geheim" not in term.seen, term.seen
    check_password(t, "alice", "geheim")


def check_password(t, name, password):
    check = BUILDDIR / "tests/unit/auth_check"
    if check.exists():
        run = t.run([check, "users", t.tmp / "users"], data=f"verify\t{name}\t{password}\n".encode(), check=0)
        equal(run.stdout.decode(), f"ok\t{name}\n", "login")


def test_two_that_differ(t):
    term = Terminal(t, "add", "alice")
    term.type_at(b"Password for alice: ", b"one\n")
    term.type_at(b"The same again: ", b"two\n")
    term.read_until(b"the two passwords differ: nothing is changed")
    equal(os.waitstatus_to_exitcode(term.wait()), 3, "status")
    assert not (t.tmp / "users").exists() and term.echo()


def test_interrupted_at_the_prompt(t):
    for key, number in ((b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)):
        for again in (False, True):
            term = Terminal(t, "add", "alice")
            term.type_at(b"Password for alice: ", b"one\n" if again else key)
            if again:
                term.type_at(b"The same again: ", b"on" + key)
            status = term.wait()
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == number, status
            assert term.echo(), "the terminal stays without echo"
            assert not (t.tmp / "users").exists()
    term = Terminal(t, "add", "alice")
    term.type_at(b"Password for alice: ", b"\x04")
    term.read_until(b"nothing was entered")
    equal(os.waitstatus_to_exitcode(term.wait()), 3, "status at the end of file")
    assert term.echo()


def test_stopped_at_the_prompt(t):
    """The shell gets a terminal with echo; continued, it asks again."""
    pid, fd = pty.fork()
    if pid == 0:
        # a parent in the same session, in another group: else nobody could continue it, and it is not stopped
        command = f"set -m; '{POSTHOUSE}' user add --file '{t.tmp}/users' alice; echo stopped; read go; fg; echo done"
        os.execv("/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh", ["sh", "-c", command])
    term = terminal.Terminal.__new__(terminal.Terminal)
    term.pid, term.fd, term.seen = pid, fd, b""
    t.later(term.end)
    t.later(os.close, fd)
    term.type_at(b"Password for alice: ", b"\x1a")
    term.read_until(b"stopped\r\n")
    harness.wait_until(term.echo, "the echo to be on")
    os.write(fd, b"go\n")
    term.type_at(b"Password for alice: ", b"one\n")
    term.type_at(b"The same again: ", b"one\n")
    term.read_until(b"done\r\n")
    check_password(t, "alice", "one")


def test_without_a_terminal(t):
    run = subprocess.run([POSTHOUSE, "user", "add", "--file", t.tmp / "users", "alice"], stdin=subprocess.DEVNULL,
                         capture_output=True, start_new_session=True, timeout=harness.DEADLINE, check=False)
    equal(run.returncode, 3, "status")
    assert b"--stdin reads the password from standard input" in run.stderr, run.stderr


# ---- at once, and killed ------------------------------------------------------------------------

def test_many_at_once(t):
    processes = []
    password = t.tmp / "password"
    password.write_text("x\n")
    for n in range(40):
        args = [POSTHOUSE, "user", "add", "--stdin", "--scheme", "sha512crypt", "--no-scram", "--file", t.tmp / "users"]
        with password.open() as stdin:
            processes.append(subprocess.Popen([*args, f"user{n % 20}"], stdin=stdin, stdout=subprocess.DEVNULL,
                                              stderr=subprocess.DEVNULL))
    statuses = sorted(p.wait(harness.DEADLINE * 4) for p in processes)
    equal(statuses, [0] * 20 + [1] * 20, "each user is added once")
    equal(sorted(line.split(":")[0] for line in content(t).splitlines()), sorted(f"user{n}" for n in range(20)), "users")


def test_killed_at_any_time(t):
    """The file is the old one or the new one, and the next edit works."""
    write(t, "".join(f"user{n}:{{PLAIN}}{'x' * 100}\n" for n in range(2000)))
    size = len(content(t).splitlines())
    rest = random.Random(4)
    changed = 0
    for _ in range(25):
        before = content(t)
        process = subprocess.Popen([POSTHOUSE, "user", "remove", "--file", t.tmp / "users", before.split(":")[0]],
                                   stdout=subprocess.DEVNULL)
        time.sleep(rest.random() * 0.03)  # any moment will do
        process.kill()
        process.wait()
        after = content(t)
        assert after in (before, before.partition("\n")[2]), "neither old nor new"
        changed += after != before
    t.comment(f"{changed} of 25 were done")
    size -= changed
    user(t, "list")
    user(t, "remove", "user1999")
    equal(len(content(t).splitlines()), size - 1, "lines")


if __name__ == "__main__":
    harness.main(__name__)
