"""Compares what Autobahn's cases found with what is expected of them, and counts it.

verdicts.py REPORT EXPECTED [--include CASE]… [--exclude CASE]…

REPORT is the index that a run leaves. EXPECTED maps each case to its verdict on the messages, and behind a comma to that on
how the connection closed where it is another. With UPDATE=1, EXPECTED is written instead. Cases are named
by their numbers or by patterns; without any --include all are looked at.
"""

import argparse
import collections
import fnmatch
import json
import os
import sys


def place(case):
    return [int(part) for part in case.split(".")]


def verdict(found):
    messages, close = found["behavior"], found["behaviorClose"]
    return messages if close == messages else f"{messages}, {close}"


def main(report, expected_path, include, exclude):
    def is_selected(case):
        def is_one_of(patterns):
            return any(fnmatch.fnmatch(case, pattern) for pattern in patterns)

        return is_one_of(include or ["*"]) and not is_one_of(exclude)

    with open(report, encoding="utf-8") as file:
        (cases,) = json.load(file).values()
    found = {case: verdict(cases[case]) for case in sorted(cases, key=place)}
    expected = {}
    if os.path.exists(expected_path):
        with open(expected_path, encoding="utf-8") as file:
            expected = json.load(file)
    due = [case for case in expected if is_selected(case)]

    for name, majors in (("echo", range(1, 12)), ("permessage-deflate", range(12, 14))):
        counts = collections.Counter(verdict for case, verdict in found.items() if place(case)[0] in majors)
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()) or "none"
        print(f"{name}: {sum(counts.values())} cases: {told}")

    if os.environ.get("UPDATE") == "1":
        merged = expected | found
        with open(expected_path, "w", encoding="utf-8") as file:
            json.dump({case: merged[case] for case in sorted(merged, key=place)}, file, indent=1)
            file.write("\n")
        return 0
    differences = [case for case in sorted({*due, *found}, key=place) if expected.get(case) != found.get(case)]
    for case in differences:
        print(f"{case}: expected {expected.get(case)}, found {found.get(case)}", file=sys.stderr)
    print(f"{len(found) - len(differences)} passed, {len(differences)} failed")
    return 1 if differences or not found else 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("report")
    arguments.add_argument("expected")
    arguments.add_argument("--include", action="append", default=[])
    arguments.add_argument("--exclude", action="append", default=[])
    given = arguments.parse_args()
    sys.exit(main(given.report, given.expected, given.include, given.exclude))
