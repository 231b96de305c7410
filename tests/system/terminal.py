# SPDX-License-Identifier: ISC
"""Programs that ask a person: what they show, whether they echo, what signals do to them."""

import os
import pty
import select
import signal
import termios
import time

import harness


class Terminal:
    """A program with a terminal of its own."""

    def __init__(self, t, *argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
                signal.signal(number, signal.SIG_DFL)  # a suite in the background (make check &) ignores them
            os.execv(argv[0], [str(a) for a in argv])
        self.seen = b""
        t.later(self.end)
        t.later(os.close, self.fd)

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def read_until(self, text):
        end = time.monotonic() + harness.DEADLINE
        while text not in self.seen:
            assert time.monotonic() < end, f"waited in vain for {text}: {self.seen}"
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.fd, 4096)
                except OSError:
                    raise AssertionError(f"ended without {text}: {self.seen}") from None
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def echo(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def type_at(self, prompt, text):
        """Types when it is asked, and that nothing is shown."""
        self.read_until(prompt)
        harness.wait_until(lambda: not self.echo(), "the echo to be off")
        os.write(self.fd, text)

    def wait(self):
        """Its status as os.waitpid has it."""
        status = harness.wait_until(lambda: os.waitpid(self.pid, os.WNOHANG)[1:] if self.gone() else None, "its end")[0]
        self.pid = 0
        return status

    def gone(self):
        return not harness.process_alive(self.pid)
