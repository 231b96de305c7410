# SPDX-License-Identifier: ISC
"""Spools made for a test, and the operator's command at work on them: what the tests of its verbs share."""

import json
import os

from harness import BUILDDIR

POSTHOUSE = BUILDDIR / "posthouse"


def make_spool(t, messages, name="spool"):
    """Writes messages (see make_spool.c) into a spool; returns it and their ids.
    Contents may be octets, recipients addresses."""
    spool = t.tmp / name
    for number, message in enumerate(messages):
        if isinstance(message.get("content"), bytes):
            path = t.tmp / f"{name}-{number}.content"
            path.write_bytes(message["content"])
            message["content"] = str(path)
        message["to"] = [{"address": to} if isinstance(to, str) else to for to in message["to"]]
    text = "".join(json.dumps(m) + "\n" for m in messages)
    done = t.run([BUILDDIR / "tests/spool/make_spool", spool], check=0, data=text.encode())
    return spool, done.stdout.decode().split()


def environment(t, **more):
    """Of the command: nothing of ours, but for sanitizers."""
    found = {"PATH": os.environ["PATH"], "HOME": str(t.tmp), "LC_ALL": "C.UTF-8"}
    found.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
    return {**found, **more}


def run_posthouse(t, *args, check=0, data=None, prefix=(), env=None, timeout=None):
    """Standard output and error, as octets."""
    done = t.run([*prefix, POSTHOUSE, *args], check=check, data=data, env=env or environment(t), timeout=timeout)
    assert b"Sanitizer" not in done.stderr and b"runtime error" not in done.stderr, done.stderr
    return done.stdout, done.stderr
