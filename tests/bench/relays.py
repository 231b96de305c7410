# SPDX-License-Identifier: ISC
"""The relays under test, behind one interface: start it on an empty spool, stop it.

    start(folder, upstream_port)  folder: an empty one on the disk under test
    port                          where it takes mail
    waiting()                     messages in the queue that wait for the upstream
    flush()                       asks it to try the whole queue now, where it has such a command
    stop()
"""
import json
import os
import re
import shutil
import subprocess
import time

from procs import BenchError, Child, free_port, greets, wait_until

LISTENING = re.compile(rb"\bevent=listening\b.*\blocaladdr=\"?127\.0\.0\.1:(\d+)")


class Relay:
    """What all have in common."""

    name = ""  # of its column
    child = None
    port = 0
    tls = None  # (certificate, key): STARTTLS is offered
    more = ""  # of its configuration

    def __init__(self, folder):
        self.folder = folder  # for configuration and log, not on the disk under test
        self.log = os.path.join(folder, "log")
        os.mkdir(folder, 0o755)

    def flush(self):
        """Nothing to do where the relay notices by itself."""

    def stop(self):
        if self.child:
            self.child.stop()
            self.child = None

    def tail(self):
        """The end of its log, for the message when something went wrong."""
        try:
            with open(self.log, "rb") as f:
                f.seek(max(0, os.path.getsize(self.log) - 2000))
                return f.read().decode(errors="replace")
        except OSError:
            return ""

    def wait_for_greeting(self):
        def up():
            if not self.child.running():
                raise BenchError(f"{self.name} did not start:\n{self.tail()}")
            return greets(self.port)
        wait_until(up, 20, f"{self.name} greets at 127.0.0.1:{self.port}")


class Posthouse(Relay):
    """posthoused with the smallest configuration file: all else is at its default."""

    def __init__(self, folder, program, name="posthouse"):
        super().__init__(folder)
        self.program = program
        self.name = name
        self.spool = None

    def start(self, folder, upstream_port):
        self.spool = os.path.join(folder, "spool")
        config = os.path.join(self.folder, "posthouse.conf")
        with open(config, "w", encoding="utf-8") as f:
            f.write(f'localaddr = "127.0.0.1:0"\nremoteaddr = "127.0.0.1:{upstream_port}"\n'
                    f'spool = "{self.spool}"\nhostname = "bench.example"\nlog = "stderr"\n')
            if self.tls:
                f.write(f'tls = starttls\ntls_cert = "{self.tls[0]}"\ntls_key = "{self.tls[1]}"\n')
            f.write(self.more)
            if os.geteuid() == 0:
                # separate users, as an installation has them; any will do
                f.write('user = "nobody"\nsmtp_user = "daemon"\n')
                if self.tls and self._knows("keys_user"):
                    f.write('keys_user = "bin"\n')
        with open(self.log, "wb") as log:
            self.child = Child([self.program, "-F", "-f", config], stdin=subprocess.DEVNULL, stdout=log,
                               stderr=log)
        self.port = wait_until(self._listening, 20, f"{self.name} listens")
        self.wait_for_greeting()

    def _knows(self, key):
        """Whether it has this configuration key: what we are measured against may be older."""
        with open(self.program, "rb") as f:
            return key.encode() in f.read()

    def _listening(self):
        with open(self.log, "rb") as f:
            found = LISTENING.search(f.read())
        if not found and not self.child.running():
            raise BenchError(f"{self.name} did not start:\n{self.tail()}")
        return int(found.group(1)) if found else 0

    def waiting(self):
        return len(os.listdir(os.path.join(self.spool, "queue")))

    def tool(self, *words):
        """The operator's command beside the daemon, on its spool."""
        return [os.path.join(os.path.dirname(self.program), "posthouse"), "--spool", self.spool, *words]

    def list_command(self):
        return self.tool("queue")

    def remove_half(self, timed, messages):
        took, _ = timed(self.tool("remove", "--tries", "0+", "--limit", str(messages // 2)))
        return took


# Postfix as Debian's package configures a satellite system: its main.cf and master.cf, plus where things are.
STOCK = """
# ours: where this instance lives, and that it is a relay
queue_directory = {folder}/spool
data_directory = {folder}/data
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = bench.example
mydestination =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
mailbox_size_limit = 0
relayhost = [127.0.0.1]:{upstream}
"""

# What an operator with some knowledge would do for a busy relay; nothing that touches durability.
TUNED = """
default_process_limit = 500
in_flow_delay = 0
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
receive_override_options = no_unknown_recipient_checks, no_header_body_checks, no_address_mappings, no_milters
enable_original_recipient = no
local_header_rewrite_clients =
disable_dns_lookups = yes
smtp_tls_security_level = none
smtp_destination_concurrency_limit = 100
initial_destination_concurrency = 50
qmgr_message_active_limit = 50000
qmgr_message_recipient_limit = 50000
smtp_connection_cache_destinations = static:all
max_use = 1000
"""


class Postfix(Relay):
    """Debian's Postfix as an instance of our own, with its own configuration, queue and data."""

    daemons = "/usr/lib/postfix/sbin"
    share = "/usr/share/postfix"

    def __init__(self, folder, tuned, log_to_file):
        super().__init__(folder)
        self.tuned = tuned
        self.name = "postfix-tuned" if tuned else "postfix"
        self.log_to_file = log_to_file
        self.spool = None
        self.skeleton = []  # (path, mode, uid, gid) of the queue's folders

    @classmethod
    def why_not(cls):
        """Why it cannot run here, or an empty string."""
        if os.geteuid() != 0:
            return "Postfix's master wants root"
        for name in (f"{cls.daemons}/master", f"{cls.share}/main.cf.debian", f"{cls.share}/master.cf.dist"):
            if not os.path.exists(name):
                return f"{name} is missing (Debian package postfix)"
        return ""

    @staticmethod
    def version():
        run = subprocess.run(["postconf", "-dh", "mail_version"], capture_output=True, text=True, check=False)
        return run.stdout.strip()

    def start(self, folder, upstream_port):
        self.port = free_port()
        self.spool = os.path.join(folder, "spool")
        self._configure(folder, upstream_port)
        data = os.path.join(folder, "data")
        os.mkdir(data, 0o700)
        shutil.chown(data, "postfix", "postfix")
        self._make_queue()
        with open(self.log, "ab") as log:
            # -d: stays our child instead of becoming a daemon
            self.child = Child([f"{self.daemons}/master", "-c", self.folder, "-d"], stdin=subprocess.DEVNULL,
                               stdout=log, stderr=log)
        self.wait_for_greeting()

    def _configure(self, folder, upstream_port):
        with open(f"{self.share}/main.cf.debian", encoding="utf-8") as f:
            main = f.read()
        main += STOCK.format(folder=folder, upstream=upstream_port)
        if self.tuned:
            main += TUNED
        if self.tls:
            main += ("smtpd_tls_security_level = may\nsmtpd_tls_loglevel = 0\n"
                     f"smtpd_tls_cert_file = {self.tls[0]}\nsmtpd_tls_key_file = {self.tls[1]}\n")
        if self.log_to_file:
            main += f"maillog_file = {self.log}\nmaillog_file_prefixes = {self.folder}\n"
        with open(f"{self.share}/master.cf.dist", encoding="utf-8") as f:
            master = f.read()
        master, changed = re.subn(r"(?m)^smtp( +)inet( .*)$", rf"127.0.0.1:{self.port}\1inet\2", master)
        if changed != 1:
            raise BenchError(f"{self.share}/master.cf.dist has no smtp service")
        if self.tuned:
            # no chroot
            master = re.sub(r"(?m)^(\S+ +\S+ +\S+ +\S+ +)y ", r"\1n ", master)
        for name, text in (("main.cf", main), ("master.cf", master)):
            path = os.path.join(self.folder, name)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            # Postfix reads a file that changed just now again and again, until it looks old enough
            then = time.time() - 60
            os.utime(path, (then, then))
        for name in ("postfix-files", "dynamicmaps.cf"):
            if os.path.exists(f"/etc/postfix/{name}") and not os.path.exists(f"{self.folder}/{name}"):
                shutil.copy(f"/etc/postfix/{name}", self.folder)

    def list_command(self):
        return ["postqueue", "-c", self.folder, "-p"]

    def remove_half(self, timed, messages):
        """As its manual shows it: ids out of the list, to postsuper."""
        listing, out = timed(["postqueue", "-c", self.folder, "-j"])
        ids = [json.loads(line)["queue_id"] for line in out.splitlines()][:messages // 2]
        removing, _ = timed(["postsuper", "-c", self.folder, "-d", "-"], "\n".join(ids).encode() + b"\n")
        return listing + removing

    def _make_queue(self):
        """The folders of the queue: made by Postfix once; later, as that takes seconds, like those."""
        os.mkdir(self.spool, 0o755)
        if not self.skeleton:
            self._run("postfix", "check")
            for folder, _, _ in os.walk(self.spool):
                st = os.stat(folder)
                self.skeleton.append((os.path.relpath(folder, self.spool), st.st_mode & 0o7777, st.st_uid,
                                      st.st_gid))
        for name, mode, uid, gid in self.skeleton:
            folder = os.path.join(self.spool, name)
            os.makedirs(folder, exist_ok=True)
            os.chown(folder, uid, gid)
            os.chmod(folder, mode)
        self._fill_chroot()

    def _fill_chroot(self):
        """What Debian's start script copies into the chroot, so that names resolve there too."""
        etc = os.path.join(self.spool, "etc")
        os.mkdir(etc, 0o755)
        for name in ("localtime", "services", "resolv.conf", "hosts", "host.conf", "nsswitch.conf"):
            if os.path.isfile(f"/etc/{name}"):
                shutil.copy(f"/etc/{name}", etc)

    def _run(self, program, *words):
        run = subprocess.run([program, "-c", self.folder, *words], stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise BenchError(f"{program} {' '.join(words)}: {run.stderr.strip()}\n{self.tail()}")
        return run.stdout

    def waiting(self):
        return sum(len(files) for _, _, files in os.walk(os.path.join(self.spool, "deferred")))

    def flush(self):
        self._run("postqueue", "-f")

    def multiply(self, count):
        """Copies the one message that is deferred until there are so many; their queue ids."""
        deferred = os.path.join(self.spool, "deferred")
        (source,) = [os.path.join(folder, name) for folder, _, names in os.walk(deferred) for name in names]
        with open(source, "rb") as f:
            content = f.read()
        owner, tomorrow, ids = os.stat(source), time.time() + 86400, [os.path.basename(source)]
        for number in range(count - 1):
            temporary = os.path.join(deferred, "new")
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o700)
            os.write(fd, content)
            os.fchmod(fd, 0o700)  # executable: it is complete
            os.fchown(fd, owner.st_uid, owner.st_gid)
            os.utime(fd, (tomorrow, tomorrow))  # its next attempt
            # the name of a queue file: microseconds and its inode
            ids.append(f"{number % 1000000:05X}{os.fstat(fd).st_ino:X}")
            os.close(fd)
            folder = os.path.join(deferred, ids[-1][0])
            if not os.path.isdir(folder):
                os.mkdir(folder, 0o700)
                os.chown(folder, owner.st_uid, owner.st_gid)
            os.rename(temporary, os.path.join(folder, ids[-1]))
        return ids
