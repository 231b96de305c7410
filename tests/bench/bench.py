#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""make bench: Posthouse and Postfix, side by side, on the same disk.

Read this file first: it makes the temporary folder and the disk, decides
what can be measured here, runs the measures and prints the report.
"""
import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time

from auths import measure_auth
from crowds import measure_crowd
from disk import Disk
from measures import MEASURES, Bench
from procs import BenchError
from relays import Postfix, Posthouse
from report import figures, print_report, targets
from scale import measure_scale

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MEASURES = {**MEASURES, "auth": measure_auth, "crowd": measure_crowd}
ALL = {**MEASURES, "scale": measure_scale}  # the long queues take minutes: only when asked for
IMAGE_MEGABYTES = 8192  # sparse; a round of 1 MB messages takes some of it


def arguments():
    parser = argparse.ArgumentParser(prog='make bench BENCH_ARGS="..."',
                                     description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default=".", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: at most two minutes")
    parser.add_argument("--only", metavar="MEASURE[,MEASURE]", default=",".join(MEASURES),
                        help="of " + ", ".join(ALL) + " (default: all but scale)")
    parser.add_argument("--scale-messages", metavar="N", type=int,
                        help="length of the long queues of scale (default 1000000, with --quick 100000)")
    parser.add_argument("--relays", metavar="NAME[,NAME]", default="posthouse,postfix,postfix-tuned",
                        help="columns of the table (default %(default)s)")
    parser.add_argument("--posthoused", metavar="FILE", help="measure this one instead of the one just built")
    parser.add_argument("--against", metavar="FILE",
                        help="one more column: another posthoused, for example an older one")
    parser.add_argument("--json", metavar="FILE", help="write all samples and the summary to FILE as well")
    parser.add_argument("--strict", action="store_true", help="exit status 1 when a target is missed")
    parser.add_argument("--postfix-log", choices=("file", "syslog"), default="file",
                        help="Postfix logs by its postlogd to a file of ours, or to this machine's syslog "
                        "as Debian has it (default %(default)s)")
    parser.add_argument("--no-image", action="store_true",
                        help="spools in the temporary folder (TMPDIR) itself, also for root")
    parser.add_argument("--verbose", "-v", action="store_true", help="a line for each run as it ends")
    args = parser.parse_args()
    args.only = args.only.split(",")
    args.relays = args.relays.split(",")
    for name in args.only:
        if name not in ALL:
            parser.error(f"there is no measure '{name}'")
    for name in args.relays:
        if name not in ("posthouse", "postfix", "postfix-tuned"):
            parser.error(f"there is no relay '{name}'")
    return args


def make_relays(args, folder):
    """The relays that can run here, and sentences about those that cannot."""
    relays, notes = [], []

    def add_posthouse(name, program):
        if not os.access(program, os.X_OK):
            notes.append(f"{name}: {program} is not there")
            return
        relays.append(Posthouse(os.path.join(folder, name), program, name))

    if "posthouse" in args.relays:
        add_posthouse("posthouse", args.posthoused or os.path.join(args.build, "posthoused"))
    if args.against:
        add_posthouse("against", args.against)
    for name in ("postfix", "postfix-tuned"):
        if name in args.relays:
            if why := Postfix.why_not():
                notes.append(f"{name}: {why}")
            else:
                relays.append(Postfix(os.path.join(folder, name), name == "postfix-tuned",
                                      args.postfix_log == "file"))
    return relays, notes


def machine(disk):
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
        models = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    with open("/proc/meminfo", encoding="ascii") as f:
        memory = int(f.readline().split()[1]) >> 20
    return {"kernel": platform.release(), "cpus": os.cpu_count(), "cpu": models[0] if models else "unknown",
            "memory_gib": memory, "disk": disk.words,
            "postfix": Postfix.version() if not Postfix.why_not() else None}


def run(args, folder):
    disk = Disk(folder, IMAGE_MEGABYTES, not args.no_image)
    try:
        relays, notes = make_relays(args, folder)
        facts = machine(disk)
        facts["postfix_log"] = args.postfix_log
        bench = Bench(tools=os.path.join(args.build, "tests", "bench"), folder=folder, disk=disk,
                      relays=relays, quick=args.quick,
                      scale_messages=args.scale_messages, say=print if args.verbose else lambda _: None)
        began = time.monotonic()
        for name in args.only:
            print(f"measuring: {name} ...", flush=True)
            # accept measures the raw limit in its own rounds
            if name != "raw" or "accept" not in args.only:
                ALL[name](bench)
        facts["others"] = sum(bench.busy) / max(1, len(bench.busy))
        facts["seconds"] = round(time.monotonic() - began)
    finally:
        disk.close()
    report = {"figures": figures(bench.results), "targets": targets(bench.results)}
    print_report(report, facts, notes, [relay.name for relay in relays])
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump({"machine": facts, "notes": notes, **report, "samples": bench.results}, f, indent=1)
    return 1 if args.strict and any(row["met"] is False for row in report["targets"]) else 0


def interrupted(*_):
    # once is enough: what follows is tidying up
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    args = arguments()
    for number in ENDS:
        signal.signal(number, interrupted)
    folder = tempfile.mkdtemp(prefix="posthouse-bench-")
    os.chmod(folder, 0o755)
    try:
        return run(args, folder)
    except BenchError as e:
        print(f"bench: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
