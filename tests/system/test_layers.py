# SPDX-License-Identifier: ISC
"""Who includes whom, against the tables of ARCHITECTURE.md: the dependencies that are written down are those there are."""

import re

import harness
from harness import SRCDIR, equal

SOURCES = sorted((SRCDIR / "src").glob("*/*.[ch]"))


def rows(heading):
    """The cells of the table that has this heading."""
    lines = (SRCDIR / "ARCHITECTURE.md").read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    for line in lines[begin + 2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def names(cell):
    """`spool`, `upstream/http.h`, `session/{io,policy}.h`"""
    for name in re.findall(r"`([^`]+)`", cell):
        before, choices, after = re.fullmatch(r"([^{]*)(?:\{(.*)\})?(.*)", name.rstrip("/")).groups()
        yield from (before + choice + after for choice in (choices or "").split(","))


def includes():
    """(source, what it includes) of the whole program, config.h and the like left out."""
    for source in SOURCES:
        for header in re.findall(r'^#include [<"]([^>"]+)[>"]', source.read_text(), re.M):
            yield source, header


def allowed():
    """Folder: what it may use; None: everything."""
    return {next(names(folder)): None if use == "all" else list(names(use))
            for folder, _what, use in rows("folder")}


def test_every_folder_has_a_row(t):
    equal(sorted(allowed()), sorted({s.parent.name for s in SOURCES}), "folders")
    known = set(allowed()) | {f"{s.parent.name}/{s.name}" for s in SOURCES}
    for folder, use in allowed().items():
        equal([name for name in use or () if name not in known], [], f"{folder} may use what is not there")


def test_includes(t):
    table = allowed()
    wrong = []
    for source, header in includes():
        folder, use = header.partition("/")[0], table[source.parent.name]
        if folder not in table or "/" not in header or folder == source.parent.name or use is None:
            continue
        if folder not in use and header not in use:
            wrong.append(f"{source.relative_to(SRCDIR)} includes {header}")
    equal(wrong, [], "not allowed by ARCHITECTURE.md")


def test_what_is_allowed_is_used(t):
    used = {(s.parent.name, n) for s, header in includes() for n in (header, header.partition("/")[0])}
    unused = [f"{folder}: {name}" for folder, use in allowed().items() for name in use or () if (folder, name) not in used]
    equal(unused, [], "allowed, and not used")


def test_no_circles(t):
    """The table goes from top to bottom, so far as whole folders may be used."""
    order = list(allowed())
    equal([f"{folder}: {name}" for folder, use in allowed().items() for name in use or ()
           if "/" not in name and order.index(name) < order.index(folder)], [], "uses what stands above it")


def test_single_users(t):
    for header, users, _why in rows("header"):
        wanted = next(names(header)) + ("/" if "/`" in header else "")
        found = {s.parent.name for s, h in includes() if h == wanted or (wanted.endswith("/") and h.startswith(wanted))}
        equal(sorted(found), sorted(names(users)), f"folders that include {wanted}")


def test_headers_are_distributed(t):
    """make dist takes what a local.am names: a header that none names is missing in the tarball, and only there."""
    named = set()
    for makefile in (SRCDIR / "src").glob("*/local.am"):
        named |= {f"{makefile.parent.name}/{name}" for name in re.findall(r"%D%/([\w.]+)", makefile.read_text())}
    forgotten = [f"{s.parent.name}/{s.name}" for s in SOURCES if f"{s.parent.name}/{s.name}" not in named]
    equal(forgotten, [], "in no local.am")


def test_tests_are_run(t):
    """A test that no local.am names is never run by make check."""
    named = "".join(makefile.read_text() for makefile in SRCDIR.glob("**/local.am"))
    forgotten = [s.name for s in (SRCDIR / "tests/system").glob("test_*.py") if f"{s.name}" not in named]
    forgotten += [s.name for s in (SRCDIR / "tests/unit").glob("test_*.c") if not re.search(rf"/{s.stem}\b[^._]", named)]
    equal(sorted(forgotten), [], "in no local.am")


def test_headers_stand_alone(t):
    """Each source includes its own header first, which proves that it compiles alone."""
    wrong, first_of = [], {}
    for source, header in includes():
        first_of.setdefault(source, header)
    for source in SOURCES:
        own = f"{source.parent.name}/{source.stem}.h"
        if source.suffix == ".c" and (SRCDIR / "src" / own).exists() and first_of.get(source) != own:
            wrong.append(f"{own[:-2]}.c begins with {first_of.get(source)}")
    equal(wrong, [], "another header first")


def test_descriptors_have_keepers(_t):
    """Each descriptor of the service has a row in the table that says which roles keep it (daemon/inherit.c)."""
    body = re.search(r"^struct service \{\n(.*?)^\};", (SRCDIR / "src/daemon/service.h").read_text(), re.S | re.M)[1]
    fields = re.findall(r"^\tint (\w+_fd)(\[2\])?;", body, re.M)
    expected = [f"{name}{end}" for name, pair in fields for end in (("[0]", "[1]") if pair else ("",))]
    assert len(expected) > 10, expected
    rows = re.findall(r"^\t\{ AT\(([^)]*)\), ", (SRCDIR / "src/daemon/inherit.c").read_text(), re.M)
    equal(sorted(rows), sorted(expected), "rows")


if __name__ == "__main__":
    harness.main(__name__)
