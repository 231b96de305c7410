# SPDX-License-Identifier: ISC
"""Where `make bench` keeps the spools: a journaled ext4 of its own when root can have one.

The image file is mounted in a mount namespace that only the bench and its
children see, so that the mount goes with them whatever happens.
"""
import os
import shutil
import subprocess

from procs import LIBC, BenchError

CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def filesystem(path):
    """(type, options) of the file system below a path, from /proc/self/mountinfo."""
    best, kind = "", ("unknown", "")
    path = os.path.realpath(path)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
        for line in f:
            left, _, right = line.partition(" - ")
            mount = left.split()[4]
            if (path + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best):
                best, kind = mount, (right.split()[0], right.split()[-1])
    return kind


class Disk:
    """The folder for spools; `words` tells what is measured on."""

    def __init__(self, folder, megabytes, use_image, mkfs_options=()):
        self.image = os.path.join(folder, "disk.img")
        self.path = os.path.join(folder, "disk")
        self.mounted = False
        os.mkdir(self.path, 0o755)
        why = "asked not to mount one" if not use_image else self._mount(megabytes, mkfs_options)
        kind, options = filesystem(self.path)
        self.words = f"{kind} ({options}) in a loop-mounted image" if self.mounted else \
            f"{kind} ({options}) of the temporary folder, no image of our own: {why}"
        if not self.mounted and kind in ("tmpfs", "ramfs", "overlay"):
            self.words += "; fsync costs little or nothing there: set TMPDIR to a folder on a real disk"

    def _mount(self, megabytes, mkfs_options):
        if os.geteuid() != 0:
            return "not root"
        if not shutil.which("mkfs.ext4"):
            return "mkfs.ext4 is missing (Debian package e2fsprogs)"
        if LIBC.unshare(CLONE_NEWNS) == 0:
            LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
        with open(self.image, "wb") as f:
            f.truncate(megabytes << 20)
        device = None
        # direct: the image's own pages are not cached a second time, as a real disk's are not
        for argv in (["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0",
                      *mkfs_options, self.image],
                     ["losetup", "--find", "--show", "--direct-io=on", self.image],
                     ["mount", None, self.path]):
            run = subprocess.run([word or device for word in argv], capture_output=True, text=True,
                                 check=False)
            if run.returncode != 0:
                break
            device = run.stdout.strip() or device
        if device:
            # now that it is mounted this only asks the kernel to let go of it after the last use
            subprocess.run(["losetup", "--detach", device], check=False)
        if run.returncode != 0:
            return f"{argv[0]}: {run.stderr.strip()}"
        self.mounted = True
        os.chmod(self.path, 0o755)
        return ""

    def empty(self):
        """Removes all below, and lets the disk come to rest."""
        for name in os.listdir(self.path):
            if name != "lost+found":
                shutil.rmtree(os.path.join(self.path, name))
        self.settle()

    def settle(self):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            if LIBC.syncfs(fd) != 0:
                raise BenchError(f"{self.path}: cannot sync")
        finally:
            os.close(fd)

    def close(self):
        if self.mounted:
            # a process that still holds it must not keep the image for ever: detach lazily
            if subprocess.run(["umount", self.path], capture_output=True, check=False).returncode != 0:
                subprocess.run(["umount", "--lazy", self.path], check=False)
            self.mounted = False
        if os.path.exists(self.image):
            os.unlink(self.image)
