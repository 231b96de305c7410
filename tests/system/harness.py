# SPDX-License-Identifier: ISC
"""What the system tests share: test cases with a folder of their own, running
daemons whose log is read as it comes, and TAP on standard output.

A test file defines functions named test_*, each with one parameter, the Test,
and ends with

    if __name__ == "__main__":
        harness.main(__name__)

    PH_TOP_SRCDIR, PH_TOP_BUILDDIR   as `make check` sets them
    PH_JOBS=N    cases of one file at once (default 4)
    PH_ONLY=STR  only the cases whose name contains STR (as do arguments)
    PH_KEEP=1    leave the folders of the tests behind
    PH_SLOW=N    multiply every deadline, for valgrind and the like (default 1; 2 with a sanitizer)

Nothing here sleeps to be right: who waits, waits for an event or a state and
has a deadline. The deadlines are long, as they only matter when a test fails.
"""

import concurrent.futures
import datetime
import faulthandler
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
SRCDIR = pathlib.Path(os.environ.get("PH_TOP_SRCDIR", HERE.parent.parent)).resolve()
BUILDDIR = pathlib.Path(os.environ.get("PH_TOP_BUILDDIR", SRCDIR / "build")).resolve()


def sanitized():
    """Built with a sanitizer: memory, limits and times are not those of the real program."""
    makefile = BUILDDIR / "Makefile"
    return makefile.exists() and "-fsanitize=" in makefile.read_text()


SLOW = float(os.environ.get("PH_SLOW") or (2 if sanitized() else 1))
DEADLINE = 30.0 * SLOW  # seconds, of one wait
FILE_DEADLINE = 420.0 * SLOW  # seconds, of a whole test file

os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"


class Skip(Exception):
    """The case cannot run here; the argument says why."""


def printed_table(what):
    """A table of the code, by tests/unit/print_WHAT: the words of each line."""
    helper = BUILDDIR / f"tests/unit/print_{what}"
    if not helper.exists():
        raise Skip(f"{helper} is not built (make check builds it)")
    out = subprocess.run([helper], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line.split("\t") for line in out.splitlines()]


def need_program(name, package=None):
    found = shutil.which(name)
    if not found:
        raise Skip(f"{name} is missing (Debian package {package or name})")
    return found


def python_with_smtpd():
    """A Python that still has the module smtpd, which went away with 3.12."""
    for name in (sys.executable, "/usr/bin/python3.11", "python3.11", "python3.10", "python3.9"):
        found = shutil.which(name)
        if found and subprocess.run([found, "-W", "ignore", "-c", "import smtpd"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return found
    raise Skip("no Python with smtpd (it went away with 3.12)")


def as_user(account):
    """The words in front of a command that make it run as that user (from root)."""
    return [need_program("setpriv", "util-linux"), f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}",
            "--clear-groups"]


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root")


def can_look_into(pid):
    """Our processes are not dumpable: what they have open, and their memory, is for root alone to see."""
    return os.access(f"/proc/{pid}/fd", os.R_OK)


def executable(pid):
    """The inode of the file that the process runs; None: it is not for us to see."""
    try:
        return os.stat(f"/proc/{pid}/exe").st_ino
    except PermissionError:
        return None


def equal(seen, expected, what):
    """Compares; the message of a failure shows where long values part."""
    if seen == expected:
        return
    if isinstance(seen, (bytes, str)) and isinstance(expected, (bytes, str)) and len(seen) + len(expected) > 400:
        at = next((i for i, (a, b) in enumerate(zip(seen, expected)) if a != b), min(len(seen), len(expected)))
        cut = slice(max(0, at - 40), at + 60)
        raise AssertionError(f"{what}: differs at {at} (lengths {len(seen)}, {len(expected)}): "
                             f"{seen[cut]!r} instead of {expected[cut]!r}")
    raise AssertionError(f"{what}: {seen!r} instead of {expected!r}")


def wait_until(question, what, timeout=None):
    """Asks until the answer is true, for states that nobody announces."""
    end = time.monotonic() + (timeout or DEADLINE)
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for: {what}")
        time.sleep(0.02)


# ---- the log -------------------------------------------------------------

_PAIR = re.compile(r'([a-z0-9_]+)=(?:"((?:[^"\\]|\\.)*)"|([^ "\\]*))(?: |$)')
_ESCAPE = re.compile(r'\\(x[0-9A-Fa-f]{2}|.)')


def parse_kv(text):
    """The notation of base/kv.h as a dict; None when the text is not in it."""
    pairs, at = {}, 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if not match:
            return None
        key, quoted, token = match.groups()
        if quoted is not None:
            token = _ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" else m[1], quoted)
        pairs[key] = token
        at = match.end()
    return pairs


class Event(dict):
    """One log line; .when it was written (seconds since 1970), .pid by which process, .at its place in the log."""
    when = 0.0
    pid = 0
    at = 0


_LINE = re.compile(r"^(\S+) posthoused?\[(\d+)\]: (event=.*)$")


def parse_time(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def parse_event(line):
    match = _LINE.match(line)
    pairs = parse_kv(match[3]) if match else None
    if pairs is None:
        return None
    event = Event(pairs)
    event.pid = int(match[2])
    event.when = parse_time(match[1])
    return event


# ---- processes -----------------------------------------------------------

def put_program(path, content):
    """
    Writes a file that will be executed, in the place of one that may be there. Not by this process: a descriptor of
    ours goes, for a moment, to whatever another case starts, and what somebody has open for writing cannot be
    executed ("Text file busy").
    """
    subprocess.run(["sh", "-c", 'cat >"$1.put" && chmod 755 "$1.put" && mv -f "$1.put" "$1"', "sh", str(path)],
                   input=content if isinstance(content, bytes) else content.encode(), check=True)
    return path


def processes_of_session(sid):
    """PIDs in the session (setsid) of one daemon, zombies left out."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as f:
                fields = f.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == sid and fields[0] not in (b"Z", b"X"):
            found.append(int(entry))
    return sorted(found)


def process_title(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("latin-1").strip()
    except OSError:
        return ""


def parent_of(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def process_alive(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return False
    return stat[0] not in (b"Z", b"X")


def peak_memory_kb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.M)[1])


class Process:
    """A program in a session of its own whose output is read by threads as it comes."""

    def __init__(self, test, argv, name, cwd=None, env=None, stdin=subprocess.DEVNULL, umask=-1, limits=None,
                 pass_fds=()):
        self.test, self.name, self.argv = test, name, [str(a) for a in argv]
        self.stdout = b""
        self.lines = []  # standard error
        self.events_seen = []
        self.changed = threading.Condition()
        argv = self.argv
        if limits:
            argv = [need_program("prlimit", "util-linux"), *limits, "--", *argv]
        self.popen = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      cwd=cwd or test.tmp, env=env, umask=umask, start_new_session=True,
                                      pass_fds=pass_fds)
        self.pid = self.popen.pid
        self.readers = [threading.Thread(target=self._read_stdout, daemon=True),
                        threading.Thread(target=self._read_stderr, daemon=True)]
        for reader in self.readers:
            reader.start()
        test.processes.append(self)

    def _read_stdout(self):
        while data := os.read(self.popen.stdout.fileno(), 65536):
            with self.changed:
                self.stdout += data
                self.changed.notify_all()

    def _read_stderr(self):
        for raw in self.popen.stderr:
            line = raw.decode("utf-8", "backslashreplace").rstrip("\n")
            event = parse_event(line)
            with self.changed:
                self.lines.append(line)
                if event is not None:
                    event.at = len(self.lines)
                    self.events_seen.append(event)
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    # -- what it said

    def events(self, name=None, after=None, **fields):
        """The events so far with this name and these fields (str, or a compiled pattern to search for)."""
        start = after.at if after is not None else 0
        with self.changed:
            return [e for e in self.events_seen
                    if e.at > start and (name is None or e.get("event") == name) and _matches(e, fields)]

    def wait_for(self, name, after=None, count=1, timeout=None, **fields):
        """Waits for the event; with count=N for N of them, which it returns in a list."""
        end = time.monotonic() + (timeout or DEADLINE)
        with self.changed:
            while True:
                found = self.events(name, after=after, **fields)
                if len(found) >= count:
                    return found[0] if count == 1 else found
                if self.popen.poll() is not None and not any(r.is_alive() for r in self.readers):
                    raise AssertionError(f"{self.name} ended (status {self.popen.returncode}) "
                                         f"without event={name} {fields or ''}")
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{self.name}: no event={name} {fields or ''}"
                                         f"{f' x{count}, only {len(found)}' if count > 1 else ''} in time")
                self.changed.wait(min(left, 0.2))

    def wait_stdout(self, question, what, timeout=None):
        """Waits until question(standard output so far) is true, and returns that answer."""
        end = time.monotonic() + (timeout or DEADLINE)
        with self.changed:
            while not (answer := question(self.stdout)):
                if time.monotonic() > end:
                    raise AssertionError(f"{self.name}: waited in vain for {what} on standard output")
                self.changed.wait(0.2)
            return answer

    # -- its end

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, timeout=None):
        """Its exit status, as Popen has it: negative for a signal."""
        try:
            status = self.popen.wait(timeout or DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} (pid {self.pid}) does not end") from None
        for reader in self.readers:
            reader.join(DEADLINE)
        return status

    def leftovers(self):
        return [pid for pid in processes_of_session(self.pid) if pid != self.pid or self.popen.poll() is None]

    def kill_all(self):
        """Everything of its session, for the end of a test. Only processes that it started itself."""
        for pid in processes_of_session(self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            self.popen.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            pass


def _matches(event, fields):
    for key, wanted in fields.items():
        value = event.get(key)
        if value is None:
            return False
        if isinstance(wanted, re.Pattern):
            if not wanted.search(value):
                return False
        elif value != str(wanted):
            return False
    return True


class Daemon(Process):
    """A running posthoused."""

    def __init__(self, test, args, name="posthoused", spool=None, prefix=(), program=None, **options):
        if not program and not (BUILDDIR / "posthoused").exists():
            raise AssertionError(f"{BUILDDIR}/posthoused is not built")
        program = program or BUILDDIR / "posthoused"
        super().__init__(test, [*prefix, program, *args], name, **options)
        self.spool = pathlib.Path(spool) if spool else None
        self.stopped = False
        self.violations_expected = False  # what the sandbox refuses is a bug of the program, or of its table

    @property
    def port(self):
        """Of its first listener; waits until it listens."""
        return self.ports()[0]

    def ports(self, count=1):
        seen = self.wait_for("listening", count=count)
        return [int(e["localaddr"].rpartition(":")[2]) for e in (seen if count > 1 else [seen])
                if not e["localaddr"].startswith("unix:")]

    def ready(self):
        self.wait_for("ready")
        return self

    def children(self, role=None):
        """PIDs of the running children by the role in their process title."""
        found = []
        for pid in processes_of_session(self.pid):
            if pid == self.pid:
                continue
            title = process_title(pid)
            if role is None or f": {role}" in title:
                found.append(pid)
        return found

    def child(self, role):
        """The one that the master started: auth and programs fork more of their name, and pids begin anew at times."""
        return wait_until(lambda: next((pid for pid in self.children(role) if parent_of(pid) == self.pid), 0),
                          f"a {role} process")

    def stop(self, number=signal.SIGTERM, status=0):
        """Ends it in an orderly way, and insists on that it was orderly."""
        self.stopped = True
        if self.popen.poll() is None:
            self.signal(number)
        equal(self.wait(), status, f"exit status of {self.name}")
        wait_until(lambda: not self.leftovers(), f"the children of {self.name} to be gone", 5)
        self.check_sane()

    def kill9(self):
        """As the kernel's OOM killer would do it to the master."""
        self.stopped = True
        os.kill(self.pid, signal.SIGKILL)
        # not self.wait(): its children still hold its standard error, for as long as their sessions last
        equal(self.popen.wait(DEADLINE), -signal.SIGKILL, f"exit status of {self.name}")

    def check_sane(self):
        bad = [line for line in self.lines if "Sanitizer" in line or "runtime error:" in line
               or "assertion" in line.lower()
               or "event=sandbox_violation" in line and not self.violations_expected]
        assert not bad, f"{self.name}: {bad[0]}"

    def queue(self):
        """Message IDs in the spool."""
        return sorted(p.name for p in (self.spool / "queue").iterdir())

    def wait_empty(self, timeout=None):
        wait_until(lambda: not self.queue(), "the spool to be empty", timeout)


# ---- one case ------------------------------------------------------------

class Test:
    """What a test_* function gets: a folder, and ways to start things that end with the test."""

    def __init__(self, name):
        self.name = name
        self.comments = []
        self.processes = []
        self.cleanups = []
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-test-"))
        # a daemon that gave up root's rights must reach what lies in here
        self.tmp.chmod(0o711)

    def comment(self, text):
        self.comments.append(text)

    def later(self, function, *args):
        """At the end of the test, the last one first."""
        self.cleanups.append((function, args))

    def start(self, argv, name=None, **options):
        return Process(self, argv, name or os.path.basename(str(argv[0])), **options)

    def run(self, argv, check=None, timeout=None, data=None, env=None):
        """Runs a program to its end; check: the exit status it must have."""
        argv = [str(a) for a in argv]
        done = subprocess.run(argv, input=data, stdin=subprocess.DEVNULL if data is None else None,
                              capture_output=True, timeout=timeout or DEADLINE, cwd=self.tmp, env=env)
        if check is not None and done.returncode != check:
            raise AssertionError(f"{' '.join(argv)}: exit status {done.returncode} instead of {check}\n"
                                 + (done.stdout + done.stderr).decode("utf-8", "backslashreplace")[-4000:])
        return done

    def daemon(self, remote=None, *, config=None, spool=None, args=(), name="posthoused", listen="127.0.0.1:0",
               **options):
        """posthoused in the foreground: the quick command line to `remote`, or with a configuration
        (its text; localaddr, spool, log and the upstream's address are added when it has none)."""
        spool = pathlib.Path(spool or self.tmp / f"spool-{name}")
        if config is None:
            argv = ["-F", "--spool", spool, *args, listen]
            if remote is not None:
                argv.append(address(remote))
        else:
            argv = ["-F", *args, "-f", self.config(config, remote, spool=spool, name=name, listen=listen)]
        return Daemon(self, argv, name=name, spool=spool, **options)

    def config(self, text, remote=None, *, spool, name="posthoused", listen="127.0.0.1:0"):
        lines = []
        top_level = re.sub(r'^\s*\w+\s*("[^"]*")?\s*\{.*?^\}', lambda m: m[0].split("{")[0], text, flags=re.M | re.S)

        def has(key):
            return re.search(rf"^\s*{key}\b", top_level, re.M)

        if not has("localaddr") and not has("listener"):
            lines.append(f'localaddr = "{listen}"')
        if remote is not None and not has("remoteaddr") and not has("upstream"):
            lines.append(f'remoteaddr = "{address(remote)}"')
        if not has("spool"):
            lines.append(f'spool = "{spool}"')
        if not has("hostname"):
            lines.append('hostname = "relay.test"')
        if os.geteuid() == 0 and not has("user"):
            lines += [f'user = "{ROOT_USERS[0]}"', f'smtp_user = "{ROOT_USERS[1]}"']
            if not has("auth_user"):
                lines.append(f'auth_user = "{AUTH_USER}"')
            if not has("program_user"):
                lines.append(f'program_user = "{PROGRAM_USER}"')
            if not has("keys_user"):
                lines.append(f'keys_user = "{KEYS_USER}"')
        path = self.tmp / f"{name}.conf"
        path.write_text("\n".join([*lines, text]) + "\n")
        return path

    def posthouse(self, *args, check=0, data=None):
        """The operator's command; returns its standard output as text."""
        done = self.run([BUILDDIR / "posthouse", *args], check=check, data=data)
        return done.stdout.decode("utf-8", "backslashreplace")

    def finish(self, failed):
        """Stops what still runs; a leftover of a daemon that said it stopped is a failure of its own."""
        trouble = []
        for process in self.processes:
            if isinstance(process, Daemon) and not failed:
                try:
                    if process.popen.poll() is None and not process.stopped:
                        process.stop()
                    if process.leftovers():
                        trouble.append(f"{process.name} left processes behind: "
                                       + ", ".join(process_title(p) for p in process.leftovers()))
                    process.check_sane()
                except AssertionError as e:
                    trouble.append(str(e))
            process.kill_all()
            for stream in (process.popen.stdout, process.popen.stderr):
                for reader in process.readers:
                    reader.join(5)
                stream.close()
        for function, args in reversed(self.cleanups):
            try:
                function(*args)
            except Exception as e:  # what one cleanup did must not keep the others from running
                trouble.append(f"cleanup: {e!r}")
        return trouble

    def logs(self):
        for process in self.processes:
            yield f"--- {process.name} (pid {process.pid}): {' '.join(process.argv)}"
            yield from process.lines[-80:]
            if process.stdout:
                yield f"--- standard output of {process.name}"
                yield from process.stdout[-2000:].decode("utf-8", "backslashreplace").splitlines()

    def remove(self):
        if not os.environ.get("PH_KEEP"):
            shutil.rmtree(self.tmp, ignore_errors=True)


def address(remote):
    """"127.0.0.1:PORT" of a number, a daemon, a server; other text as it is."""
    if isinstance(remote, int):
        return f"127.0.0.1:{remote}"
    if hasattr(remote, "port"):
        return f"127.0.0.1:{remote.port}"
    return str(remote)


def system_users():
    """Unprivileged users that exist everywhere, for tests that start as root."""
    import pwd
    found = []
    for name in ("nobody", "daemon", "bin", "sys", "mail"):
        try:
            pwd.getpwnam(name)
            found.append(name)
        except KeyError:
            pass
    return found


ROOT_USERS = (system_users() + ["nobody", "nobody"])[:2]
AUTH_USER = (system_users() + ["nobody"] * 3)[2]
KEYS_USER = (system_users() + ["nobody"] * 5)[4]
PROGRAM_USER = (system_users() + ["nobody"] * 4)[3]


# ---- running a file ------------------------------------------------------

_running = []


def _attempt(name, function):
    """One run of a case: its comments, SKIP directive, trouble (lines; none: it passed) and logs."""
    test = Test(name)
    _running.append(test)
    directive, trouble = "", []
    try:
        function(test)
    except Skip as e:
        directive = f" # SKIP {e}"
    except BaseException:
        trouble = traceback.format_exc().splitlines()
    trouble += test.finish(bool(trouble))
    _running.remove(test)
    logs = test.logs() if trouble else []
    test.remove()
    return test, directive, [line for text in [*trouble, *logs] for line in text.splitlines()]


def _run_case(case):
    """With PH_AGAIN a case that failed has a second chance, which is told: see HACKING.md, "Unsteady tests"."""
    name, function = case
    started = time.monotonic()
    test, directive, trouble = _attempt(name, function)
    if trouble and os.environ.get("PH_AGAIN"):
        first = trouble
        test, directive, trouble = _attempt(name, function)
        if not trouble:
            test.comments += [f"UNSTEADY {name}: failed, and passed when it was run again; the first time:", *first]
    lines = [f"{'not ok' if trouble else 'ok'} {{number}} - {test.name}{directive if not trouble else ''}"]
    lines += [f"# {line}" for line in [*test.comments, *trouble]]
    if os.environ.get("PH_TIMES"):
        lines.append(f"# {test.name} took {time.monotonic() - started:.1f} s")
    return bool(trouble), "\n".join(line.replace("\r", "\\r") for line in lines)


def _give_up():
    sys.stdout.write("Bail out! the test file does not end: "
                     + ", ".join(test.name for test in list(_running)) + "\n")
    faulthandler.dump_traceback(file=sys.stdout)
    for test in list(_running):
        for line in test.logs():
            sys.stdout.write(f"# {line}\n")
        for process in test.processes:
            process.kill_all()
        test.remove()
    sys.stdout.flush()
    os._exit(1)


def main(module="__main__", jobs=4):
    """Runs the test_* functions of a file, or those named as arguments, and ends the process."""
    cases = [(name, f) for name, f in vars(sys.modules[module]).items()
             if name.startswith("test_") and callable(f) and os.environ.get("PH_ONLY", "") in name]
    if sys.argv[1:]:
        unknown = set(sys.argv[1:]) - {name for name, _f in cases}
        if unknown:
            sys.exit(f"{sys.argv[0]}: there is no {', '.join(sorted(unknown))}")
        cases = [case for case in cases if case[0] in sys.argv[1:]]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # `make check &`: what we start would ignore it too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"1..{len(cases)}", flush=True)
    watchdog = threading.Timer(FILE_DEADLINE, _give_up)
    watchdog.daemon = True
    watchdog.start()
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("PH_JOBS", jobs))) as pool:
        for number, (bad, text) in enumerate(pool.map(_run_case, cases), 1):
            failed += bad
            print(text.replace("{number}", str(number), 1), flush=True)
    sys.exit(1 if failed else 0)


class ReservedPort:
    """A bound port that does not listen: connections are refused, and nobody else gets it."""

    def __init__(self, test):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        test.later(self.socket.close)
