# SPDX-License-Identifier: ISC
"""The alert rules of contrib/prometheus: well formed, tested, and about figures that there are."""

import re

import harness
from harness import BUILDDIR, DEADLINE, SRCDIR, equal, need_program

FOLDER = SRCDIR / "contrib/prometheus"
RULES, TESTS = FOLDER / "posthouse.rules.yml", FOLDER / "posthouse.rules.test.yml"


def figures():
    """Name: type, {label: words} (none: any)."""
    found = {}
    for name, kind, _unit, labels, _help in harness.printed_table("figures"):
        found[name] = kind, {label.split("=")[0]: label.split("=")[1].split("|") for label in labels.split()}
    return found


def test_rules(t):
    promtool = need_program("promtool", "prometheus")
    t.run([promtool, "check", "rules", RULES], check=0)
    t.run([promtool, "test", "rules", TESTS], check=0, timeout=4 * DEADLINE)  # a day in steps of a minute: 5 s of CPU


def test_each_alert_is_tested_and_told_of(_t):
    text, tests = RULES.read_text(), TESTS.read_text()
    alerts = re.findall(r"- alert: (\w+)\n((?:(?! +- alert:).*\n)*)", text)
    assert len(alerts) > 15, alerts
    for name, body in alerts:
        assert re.search(r"severity: (critical|warning)\b", body), name
        assert re.search(r'^ +summary: "', body, re.M) and re.search(r'^ +description: "', body, re.M), name
        assert re.search(rf"- alertname: {name}\n +eval_time: \S+\n +exp_alerts:\n", tests), f"{name} is never seen to be told"
        assert re.search(rf"\{{alertname: {name}, eval_time:", tests), f"{name} is never seen to be silent"


def test_figures_are_there(_t):
    """A name or word that is mistyped is an alert that never comes."""
    known = figures()
    for path in (RULES, TESTS):
        text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith(("#", "description:")))
        for name, labels in re.findall(r"\b(posthouse_\w+)(?:\{([^}]*)\})?", text):
            assert name in known, f"{path.name}: {name}"
            for label, words in re.findall(r'(\w+)=~?"([^"]*)"', labels):
                if label in ("job", "instance"):
                    continue
                assert label in known[name][1], f"{path.name}: {name} has no label {label}"
                allowed = known[name][1][label]
                for word in words.split("|"):
                    assert allowed == [""] or word in allowed, f"{path.name}: {name}{{{label}={word}}}"


def test_commands_are_there(t):
    """What a description tells the operator to say is a verb."""
    verbs = set(re.findall(r"posthouse ([a-z]+)\b", " ".join(re.findall(r'description: "(.*)"', RULES.read_text()))))
    equal(sorted(v for v in verbs if t.run([BUILDDIR / "posthouse", v, "--help"]).returncode), [], "verbs that are none")


if __name__ == "__main__":
    harness.main(__name__)
