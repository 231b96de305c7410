#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""posthouse-sendmail: what programs hand to /usr/sbin/sendmail arrives, or they are told."""

import harness
from harness import BUILDDIR, equal
from smtp_peers import Upstream

SENDMAIL = BUILDDIR / "posthouse-sendmail"


def test_submits_over_the_socket(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config="", listen=f"unix:{t.tmp}/submit").ready()
    t.run([SENDMAIL, "-C", t.tmp / "posthoused.conf", "-f", "a@b.test", "c@d.test"], check=0, data=b"Subject: x\n\nhi\n")
    relay.wait_for("delivered")


if __name__ == "__main__":
    harness.main(__name__)
