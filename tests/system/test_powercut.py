# SPDX-License-Identifier: ISC
"""The spool on real file systems whose power is cut while four writers are
committing: what they were told is durable must be there afterwards.

Two cuts. "shutdown" asks the file system to stop where it is and to forget what
it has not written (the ioctl that its own developers test crashes with).
"snapshot" stops the writers and copies what the block device holds at that
moment: all that was written to it, and nothing that is still in memory.
tests/spool/test_crash.c enumerates what here is left to chance."""

import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import time

import harness
from harness import Skip, equal, need_program, need_root, wait_until

POWERCUT = harness.BUILDDIR / "tests" / "spool" / "powercut"
WRITERS = 4
ROUNDS = 3
SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN
NO_LOG_FLUSH = 2
MKFS = {
    "ext4": (["mkfs.ext4", "-q", "-F"], 64, "e2fsprogs"),
    "xfs": (["mkfs.xfs", "-q", "-f"], 320, "xfsprogs"),
    "btrfs": (["mkfs.btrfs", "-q", "-f"], 256, "btrfs-progs"),
}


class Disk:
    """A file system in an image file, on a loop device, mounted."""

    def __init__(self, t, kind, options=()):
        need_root()
        command, megabytes, package = MKFS[kind]
        for program, of in ((command[0], package), ("losetup", "mount"), ("mount", "mount")):
            need_program(program, of)
        self.t, self.folder, self.loop = t, t.tmp / "mnt", None
        self.folder.mkdir(exist_ok=True)
        self.image = t.tmp / "image"
        with open(self.image, "wb") as f:
            f.truncate(megabytes << 20)
        t.run([*command, *options, self.image], check=0)
        t.later(self.umount)
        self.mount(kind)

    def mount(self, kind):
        done = self.t.run(["losetup", "-f", "--show", self.image])
        if done.returncode != 0:
            raise Skip(f"no loop device: {done.stderr.decode().strip()}")
        self.loop = done.stdout.decode().strip()
        done = self.t.run(["mount", "-t", kind, self.loop, self.folder])
        if done.returncode != 0:
            self.detach()
            raise Skip(f"cannot mount {kind}: {done.stderr.decode().strip()}")

    def detach(self):
        if self.loop:
            self.t.run(["losetup", "-d", self.loop])
            self.loop = None

    def umount(self):
        if self.loop:
            wait_until(lambda: self.t.run(["umount", self.folder]).returncode == 0, "umount")
            self.detach()

    def writes(self):
        """How much was ever written to the device."""
        with open(f"/sys/block/{os.path.basename(self.loop)}/stat", encoding="ascii") as f:
            return f.read().split()[4:7]

    def snapshot(self, copy):
        """The device as it is at one moment, to be mounted in its place."""
        for _ in range(20):
            before = self.writes()
            self.t.run(["cp", "--sparse=always", self.image, copy], check=0)
            if self.writes() == before:
                return
        raise Skip("the device does not come to rest")


class Writers:
    def __init__(self, t, spool, mode):
        self.t = t
        self.outputs = [t.tmp / f"said-{n}" for n in range(WRITERS)]
        self.processes = []
        for output in self.outputs:
            with open(output, "wb") as f:
                process = subprocess.Popen([POWERCUT, "write", spool, mode], stdout=f)
            self.processes.append(process)
            t.later(process.kill)

    def facts(self):
        """What they said so far: word -> set of ids."""
        facts = {"accepted": set(), "delivered": set(), "removing": set(), "stopped": set(), "failed": set()}
        for output in self.outputs:
            for line in output.read_text().split("\n")[:-1]:
                word, rest = line.split(" ", 1)
                facts[word].add(rest)
        equal(facts["failed"], set(), "writers that did not get to work")
        return facts

    def wait_for_load(self):
        wait_until(lambda: len(self.facts()["accepted"]) >= 40, "40 accepted messages")
        time.sleep(random.random() * 0.4)  # any moment is as good as another

    def freeze(self):
        for process in self.processes:
            process.send_signal(signal.SIGSTOP)
        for process in self.processes:
            wait_until(lambda pid=process.pid: harness_state(pid) in "TZ", "a writer to stop")

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()

    def wait(self):
        for process in self.processes:
            equal(process.wait(harness.DEADLINE), 0, "exit status of a writer whose file system went away")


def harness_state(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


def compare(t, facts, spool):
    """Restarts on what is left; returns the number of acknowledged messages that are not there, whole."""
    found = {"whole": {}, "torn": {}, "wrong": {}}
    for line in t.run([POWERCUT, "check", spool], check=0).stdout.decode().splitlines():
        word, name, rest = (line + " ").split(" ", 2)
        found[word][name] = rest.strip()
    equal(found["wrong"], {}, "messages with another's content")
    lost = facts["accepted"] - facts["removing"] - found["whole"].keys()
    for name in facts["delivered"] & found["whole"].keys():
        removing = ", and was being removed" if name in facts["removing"] else ""
        equal(found["whole"][name], "delivered", f"the recipient of {name} that was recorded as delivered{removing}")
    t.comment(f"{len(facts['accepted'])} accepted, {len(facts['delivered'])} delivered to one, "
              f"{len(facts['removing'])} removed; found {len(found['whole'])} whole, {len(found['torn'])} torn; "
              f"{len(lost)} lost")
    return len(lost)


def cut_by_shutdown(t, disk, kind, writers):
    # what they say after a power cut nobody hears, and a file system that is shut down may lie
    # (jbd2_complete_transaction takes a transaction that was given up for one that is complete)
    facts = writers.facts()
    fd = os.open(disk.folder, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, SHUTDOWN, struct.pack("=I", NO_LOG_FLUSH))
    except OSError as e:
        writers.end()
        raise Skip(f"{kind} cannot be shut down here: {e.strerror}") from e
    finally:
        os.close(fd)
    writers.wait()
    facts["removing"] = writers.facts()["removing"]
    disk.umount()
    return facts


def cut_by_snapshot(t, disk, kind, writers):
    writers.freeze()
    facts = writers.facts()
    copy = t.tmp / "copy"
    disk.snapshot(copy)
    writers.end()
    disk.umount()
    shutil.move(copy, disk.image)
    return facts


def rounds(t, kind, mode, cut, options=(), repair=None):
    lost = 0
    for _ in range(ROUNDS):
        disk = Disk(t, kind, options)
        spool = disk.folder / "a" / "spool"
        t.run([POWERCUT, "prepare", spool], check=0)
        writers = Writers(t, spool, mode)
        writers.wait_for_load()
        facts = cut(t, disk, kind, writers)
        if repair:
            repair(disk)
        disk.mount(kind)
        lost += compare(t, facts, spool)
        disk.umount()
    return lost


def test_what_a_file_system_promises(t):
    """One sync is enough where a journal keeps the order of names, and where that cannot be seen it is not."""
    seen = {}
    for kind, options in (("ext4", ()), ("ext4", ("-O", "^has_journal")), ("xfs", ()), ("btrfs", ())):
        try:
            disk = Disk(t, kind, options)
        except Skip as e:
            t.comment(f"{kind}: {e}")
            continue
        spool = disk.folder / "spool"
        t.run([POWERCUT, "prepare", spool], check=0)
        seen[(kind, options)] = t.run([POWERCUT, "describe", spool], check=0).stdout.decode().strip()
        disk.umount()
    wanted = {("ext4", ()): "sync_directory=0 keep_order=0", ("xfs", ()): "sync_directory=0 keep_order=0",
              ("ext4", ("-O", "^has_journal")): "sync_directory=1 keep_order=1",
              ("btrfs", ()): "sync_directory=0 keep_order=1"}
    if not seen:
        raise Skip("no file system could be made: " + "; ".join(t.comments))
    equal(seen, {key: wanted[key] for key in seen}, "what is done on each file system")


def test_ext4_shutdown(t):
    equal(rounds(t, "ext4", "auto", cut_by_shutdown), 0, "acknowledged messages lost")


def test_ext4_shutdown_strict(t):
    equal(rounds(t, "ext4", "strict", cut_by_shutdown), 0, "acknowledged messages lost")


def test_ext4_snapshot(t):
    equal(rounds(t, "ext4", "auto", cut_by_snapshot), 0, "acknowledged messages lost")


def test_ext4_without_journal(t):
    def repair(disk):
        done = t.run(["e2fsck", "-fy", disk.image])
        assert done.returncode < 4, done.stdout.decode()

    equal(rounds(t, "ext4", "auto", cut_by_snapshot, ("-O", "^has_journal"), repair), 0, "acknowledged messages lost")


def test_xfs_shutdown(t):
    equal(rounds(t, "xfs", "auto", cut_by_shutdown), 0, "acknowledged messages lost")


def test_xfs_snapshot(t):
    equal(rounds(t, "xfs", "auto", cut_by_snapshot), 0, "acknowledged messages lost")


def test_btrfs_snapshot(t):
    equal(rounds(t, "btrfs", "auto", cut_by_snapshot), 0, "acknowledged messages lost")


def test_btrfs_snapshot_strict(t):
    equal(rounds(t, "btrfs", "strict", cut_by_snapshot), 0, "acknowledged messages lost")


def test_a_careless_writer_is_seen(t):
    """One that says "accepted" before the commit: this test can fail."""
    assert rounds(t, "ext4", "careless", cut_by_shutdown) > 0, "nothing was lost, so nothing would be noticed"


if __name__ == "__main__":
    harness.main(__name__)
