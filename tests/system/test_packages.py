# SPDX-License-Identifier: ISC
"""The packages of contrib/debian and contrib/rpm against what there is to be packaged: nothing that is installed is
forgotten, versions and libraries are those of configure.ac. That they build, are lint-free and live well is for
contrib/build-deb and contrib/test-deb."""

import fnmatch
import os
import re
import subprocess

import harness
from harness import BUILDDIR, SRCDIR, equal, need_program

DEBIAN = SRCDIR / "contrib/debian"
SPEC = SRCDIR / "contrib/rpm/posthouse.spec"
PLACES = {"prefix": "/usr", "exec_prefix": "/usr", "sysconfdir": "/etc", "localstatedir": "/var", "runstatedir": "/run",
          "libdir": "/usr/lib/here"}


def installed(t, **places):
    """What `make install` puts into a system."""
    root = t.tmp / "root"
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    words = [f"{name}={value}" for name, value in {**PLACES, **places}.items()]
    done = subprocess.run(["make", "-s", "install", f"DESTDIR={root}", *words], cwd=BUILDDIR, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-2000:]
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_symlink() or p.is_file())


def packaged_once(files, patterns):
    """patterns: (package, glob). Each file is in one package, and each pattern is about a file."""
    where = {f: [package for package, glob in patterns if fnmatch.fnmatchcase(f, glob)] for f in files}
    equal([f for f, packages in where.items() if not packages], [], "installed and in no package")
    equal([f for f, packages in where.items() if len(packages) > 1], [], "in more than one package")
    equal([glob for _, glob in patterns if not fnmatch.filter(files, glob)], [], "in a package and not installed")


def configured():
    text = (SRCDIR / "configure.ac").read_text()
    version = re.search(r"^AC_INIT\(\[posthouse\], \[([^]]+)\]", text, re.M)[1]
    # (module, least version, Debian's package) of each library
    return version, re.findall(r"PH_LIBRARY\(\[\w+\], \[(\S+) >= ([\d.]+)\], \[(\S+)\]", text)


def test_versions(t):
    version, _ = configured()
    changelog = (DEBIAN / "changelog").read_text()
    equal(re.match(r"posthouse \((.*)-\S+\) ", changelog)[1], version, "contrib/debian/changelog")
    equal(re.search(r"^Version: +(\S+)$", SPEC.read_text(), re.M)[1], version, "contrib/rpm/posthouse.spec")
    equal(re.search(r"^\* .* - (\S+)-1$", SPEC.read_text(), re.M)[1], version, "its changelog")


def test_libraries(t):
    _, libraries = configured()
    assert len(libraries) > 8, libraries
    wanted = re.search(r"^Build-Depends:\n((?: .*\n)+)", (DEBIAN / "control").read_text(), re.M)[1]
    debian = set(re.findall(r"^ (\S+?)(?: \(| \||,)", wanted, re.M))
    rpm = set(re.findall(r"^BuildRequires: +pkgconfig\((\S+)\) >= (\S+)$", SPEC.read_text(), re.M))
    equal([package for _, _, package in libraries if package not in debian], [], "not in Build-Depends")
    equal([(module, least) for module, least, _ in libraries if (module, least) not in rpm], [], "not in BuildRequires")


def test_debian_files(t):
    files = installed(t, systemdsystemunitdir="/lib/systemd/system",
                      zshcompletiondir="/usr/share/zsh/vendor-completions")
    patterns = [(path.name, glob) for path in DEBIAN.glob("*.install") for glob in path.read_text().split()]
    packaged_once(files, patterns)


def test_rpm_files(t):
    need_program("rpmspec", "rpm")
    text = t.run(["rpmspec", "-P", "-D", "_libdir /usr/lib/here", "-D", "_sysconfdir /etc", "-D", "_unitdir /usr/lib/systemd/system",
                  SPEC]).stdout.decode()
    files = [f for f in installed(t, systemdsystemunitdir="/usr/lib/systemd/system") if not f.startswith("usr/share/doc/")]
    patterns = []
    for section in re.findall(r"^%files(.*(?:\n(?!%(?:files|changelog)).*)*)", text, re.M):
        package, *lines = section.strip("\n").split("\n") if section[0] != "\n" else ["", *section.split("\n")]
        for line in lines:
            # the last one is installed by the spec itself
            if line.startswith(("%doc", "%license", "%dir", "%ghost")) or line.endswith("/logrotate.d/posthouse") or not line.strip():
                continue
            glob = line.split()[-1].lstrip("/")
            patterns.append((package.strip(), glob + "*" if glob.endswith("/") else glob))
    packaged_once(files, patterns)


def test_rpmlint(t):
    need_program("rpmlint")
    done = t.run(["rpmlint", "-r", SPEC.with_suffix(".rpmlintrc"), SPEC], check=None)
    said = done.stdout.decode()
    assert " 0 errors, 0 warnings" in said, said


def test_all_is_in_the_tarball(t):
    """automake packs what a local.am names, not what lies there."""
    for folder in (DEBIAN, SPEC.parent):
        named = set(re.findall(r"%D%/(\S+)", (folder / "local.am").read_text()))
        there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"local.am"}
        equal(there, named, f"files of {folder.name}")


if __name__ == "__main__":
    harness.main(__name__)
