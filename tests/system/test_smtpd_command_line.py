# SPDX-License-Identifier: ISC
"""`python -m smtpd` and `posthoused` with the same command lines: what starts, what it does, what is refused.
What Python's own does is looked at where there is one."""

import os
import re
import shutil
import socket
import subprocess

import harness
from harness import BUILDDIR, Skip, as_user, equal, need_root, python_with_smtpd, wait_until
from smtp_peers import Client, Upstream

POSTHOUSED = BUILDDIR / "posthoused"
LIMIT = 33554432
OPTIONS = "--nosetuid -n --version -V --class -c --size -s --smtputf8 -u --debug -d --help -h".split()


def python(t, *args, check=0):
    """python -m smtpd, to its end; None where there is none."""
    try:
        interpreter = python_with_smtpd()
    except Skip as e:
        t.comment(f"without Python's own: {e}")
        return None
    return t.run([interpreter, "-W", "ignore", "-m", "smtpd", *args], check=check)


def ours(t, *args, check=0):
    return t.run([POSTHOUSED, *args], check=check)


def started(t, *args, remote="127.0.0.1:1", local="127.0.0.1:0", name="posthoused"):
    """Ours, in the foreground."""
    spool = t.tmp / f"spool-{name}"
    return harness.Daemon(t, ["-F", "-n", "--spool", spool, *args, local, remote], name=name, spool=spool)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def their_server(t, *args, prefix=()):
    """python -m smtpd, which does not tell its port, and so gets one that was free."""
    interpreter = python_with_smtpd()
    port = free_port()
    process = t.start([*prefix, interpreter, "-u", "-W", "ignore", "-m", "smtpd", *args, f"127.0.0.1:{port}", "127.0.0.1:1"], name="python -m smtpd")
    process.port = port

    def listens():
        assert process.popen.poll() is None, f"it ended: {process.lines}"
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_until(listens, "python -m smtpd to listen")
    return process


def offers(server):
    with Client(server) as client:
        return client.ehlo.lines


def test_version(t):
    for option in ("-V", "--version"):
        equal(re.fullmatch(rb"posthouse \d[\w.~-]*\n", ours(t, option).stdout) is not None, True, "version")
        done = python(t, option)
        assert done is None or done.stdout == b"Python SMTP proxy version 0.3\n", done
    with Client(started(t, "-c", "debug")) as client:
        assert not re.search(r"\d+\.\d+\.\d+", client.greeting.text), client.greeting


def test_help(t):
    for option in ("-h", "--help"):
        text = ours(t, option).stdout.decode()
        done = python(t, option)
        names = re.findall(r"^ +(--\w+|-\w)\b", done.stderr.decode(), re.M) if done else OPTIONS
        equal(len(names), 14, "options of smtpd")
        for name in names:
            assert re.search(rf"(^|[ ,]){name}\b", text, re.M), f"{name} is not in our help"


def test_what_is_wrong(t):
    """Ours is status 2, or 1 where the line is right and what it names is not; smtpd's 1 in all cases."""
    for args, status in ((["-x"], 2), (["--nothing"], 2), (["-s", "many", "127.0.0.1:0"], 2), (["-s"], 2), (["127.0.0.1"], 2), (["127.0.0.1:x"], 2),
                         (["127.0.0.1:0", "127.0.0.1"], None), (["127.0.0.1:0", "127.0.0.1:x"], 2), (["127.0.0.1:0", "b:1", "c:2"], 2),
                         (["-c", "NoSuchClass", "127.0.0.1:0"], 1), (["-c", "nosuchmodule.Class", "127.0.0.1:0"], 1)):
        python(t, *args, check=1)
        if status is not None:
            done = ours(t, "-F", "--spool", str(t.tmp / "spool"), *args, check=status)
            assert done.stderr.startswith(b"posthoused: ") or b"posthoused" in done.stderr, done.stderr


def test_size(t):
    equal([line for line in offers(started(t, "-c", "debug", "-s", "1000", name="a")) if line.startswith("SIZE")], ["SIZE 1000"], "-s 1000")
    equal([line for line in offers(started(t, "-c", "debug", name="b")) if line.startswith("SIZE")], [f"SIZE {LIMIT}"], "the default")
    equal([line for line in offers(started(t, "-c", "debug", "--size", "0", name="c")) if line.startswith("SIZE")], ["SIZE"], "--size 0")
    equal([line for line in offers(their_server(t, "-n", "-c", "DebuggingServer", "-s", "1000")) if line.startswith("SIZE")], ["SIZE 1000"], "smtpd")
    # its help says the same default, which only the constructor has
    equal([line for line in offers(their_server(t, "-n", "-c", "DebuggingServer")) if line.startswith("SIZE")], [], "smtpd's default")


def test_smtputf8(t):
    assert "SMTPUTF8" in offers(started(t, "-c", "DebuggingServer", "-u", name="a"))
    assert "SMTPUTF8" not in offers(started(t, "-c", "DebuggingServer", name="b"))
    assert "SMTPUTF8" in offers(their_server(t, "-n", "-c", "DebuggingServer", "-u"))
    # PureProxy cannot there, and can here, when the upstream can
    upstream = Upstream(t, extensions=("SMTPUTF8", "8BITMIME"))
    assert "SMTPUTF8" in offers(started(t, "-c", "PureProxy", "-u", remote=f"127.0.0.1:{upstream.port}", name="c"))
    python(t, "-n", "-u", "-c", "PureProxy", "127.0.0.1:0", check=1)


def test_debug(t):
    daemon = started(t, "-d", "-c", "debug")
    with Client(daemon) as client:
        client.cmd("NOOP", 250)
        client.quit()
    wait_until(lambda: any("event=dialogue" in line and "NOOP" in line for line in daemon.lines), "NOOP in the log")
    theirs = their_server(t, "-n", "-d", "-c", "DebuggingServer")
    with Client(theirs) as client:
        client.cmd("NOOP", 250)
    wait_until(lambda: any("NOOP" in line for line in theirs.lines), "NOOP on standard error")


def test_class(t):
    """Each class of smtpd by its name, alone and behind the module's; and what is none."""
    content = b"Subject: x\r\n\r\nbody\r\n"
    for number, name in enumerate(("DebuggingServer", "smtpd.DebuggingServer")):
        outputs = []
        for server in (started(t, "-c", name, name=f"debug{number}"), their_server(t, "-n", "-c", name)):
            with Client(server) as client:
                client.message(content)
            outputs.append(server.wait_stdout(lambda out: b"END MESSAGE" in out and out, "the message"))
        equal(outputs[0], outputs[1], f"what {name} prints")
    for number, name in enumerate(("PureProxy", "smtpd.PureProxy", "proxy")):
        upstream = Upstream(t)
        with Client(started(t, "-c", name, remote=f"127.0.0.1:{upstream.port}", name=f"proxy{number}")) as client:
            client.message(content)
        equal(len(upstream.messages), 1, f"messages of {name}")
    for number, name in enumerate(("MailmanProxy", "smtpd.MailmanProxy", "mailman")):
        started(t, "-c", name, name=f"mailman{number}").ready()
    for name, hint in (("SMTPServer", "posthouse-smtpd(7)"), ("smtpd.SMTPServer", "posthouse-smtpd(7)"),
                       ("SMTPChannel", "debug"), ("Options", "debug")):
        done = ours(t, "-F", "-n", "--spool", str(t.tmp / "none"), "-c", name, "127.0.0.1:0", check=1).stderr.decode()
        assert name in done and hint in done, done


def test_default_class(t):
    """Ours keeps the message until it is delivered; smtpd's answers nothing at all, as its PureProxy needs decode_data."""
    upstream = Upstream(t)
    daemon = started(t, "-s", "1000000", remote=f"127.0.0.1:{upstream.port}")
    with Client(daemon) as client:
        client.message()
    upstream.wait_messages(1)
    theirs = their_server(t, "-n")
    with Client(theirs) as client:
        client.mail()
        client.cmd("DATA", 354)
        client.send(b"x\r\n.\r\n")
        equal(client.at_eof(), b"", "what smtpd says")


def test_class_of_a_module(t):
    """A file, as a class of one's own is in Python; a class of Python's is none of ours."""
    module = BUILDDIR / "contrib/modules/maildir.so"
    if module.exists():
        folder = t.tmp / "maildir"
        folder.mkdir()
        shutil.copy(module, t.tmp / "maildir.so")
        # which wants to be told a folder, as a class its arguments; the quick form has none for it
        done = ours(t, "-F", "-n", "--spool", str(t.tmp / "none"), "-c", str(t.tmp / "maildir.so"), "127.0.0.1:0", check=1).stderr.decode()
        assert "maildir" in done and "handler" not in done, done
    else:
        t.comment(f"{module} is not built")
    for name, hint in ((str(t.tmp / "missing.so"), "cannot find"), ("my.module.Class", "posthouse-module(3)")):
        done = ours(t, "-F", "-n", "--spool", str(t.tmp / "none"), "-c", name, "127.0.0.1:0", check=1).stderr.decode()
        assert name in done and hint in done, done


def test_addresses(t):
    upstream = Upstream(t)
    daemon = started(t, remote=f"localhost:{upstream.port}", local="localhost:0")
    assert daemon.wait_for("listening")["localaddr"].rpartition(":")[0] in ("127.0.0.1", "[::1]", "localhost"), "localhost"
    port = daemon.port
    family = socket.AF_INET6 if "[::1]" in daemon.wait_for("listening")["localaddr"] else None
    assert port > 0
    with Client(daemon, family=family) as client:
        client.message()
    upstream.wait_messages(1)


def test_setuid(t):
    """Without -n: root becomes nobody, and who is not root goes on here, where smtpd ends."""
    need_root()
    import pwd
    nobody = pwd.getpwnam("nobody")
    daemon = harness.Daemon(t, ["-F", "--spool", t.tmp / "spool", "-c", "DebuggingServer", "127.0.0.1:0"], spool=t.tmp / "spool")
    with Client(daemon) as client:
        client.cmd("NOOP", 250)
        workers = [pid for pid in daemon.children("worker")] or daemon.children()
        # one is ready before the others have begun
        wait_until(lambda: {os.stat(f"/proc/{pid}").st_uid for pid in workers} == {nobody.pw_uid},
                   "users of the workers")
    theirs = their_server(t, "-c", "DebuggingServer")
    wait_until(lambda: os.stat(f"/proc/{theirs.pid}").st_uid == nobody.pw_uid, "smtpd to become nobody")
    daemon = pwd.getpwnam("daemon")
    done = subprocess.run([*as_user(daemon), python_with_smtpd(), "-W", "ignore", "-m", "smtpd", "127.0.0.1:0"], capture_output=True, check=False,
                          timeout=harness.DEADLINE)
    assert done.returncode == 1 and b"-n option" in done.stderr, done.stderr


if __name__ == "__main__":
    harness.main(__name__)
