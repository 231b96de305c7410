# SPDX-License-Identifier: ISC
"""The programs as the compiler and linker made them."""

import re

import harness
from harness import BUILDDIR, Skip, need_program


def test_hardening(t):
    """configure's flags took effect: position independent, and the tables of the linker read-only from the start."""
    need_program("readelf")
    configured = t.run([BUILDDIR / "config.status", "--config"], check=0).stdout.decode()
    if re.search(r"--(disable-hardening|enable-hardening=no)", configured):
        raise Skip("configured without hardening")
    for program in ("posthoused", "posthouse"):
        seen = t.run(["readelf", "-dlW", BUILDDIR / program], check=0).stdout.decode()
        for what in (r"\bGNU_RELRO\b", r"FLAGS_1.*\bNOW\b", r"FLAGS_1.*\bPIE\b", r"GNU_STACK +.* RW "):
            assert re.search(what, seen), f"{program}: no {what} in\n{seen}"


if __name__ == "__main__":
    harness.main(__name__)
