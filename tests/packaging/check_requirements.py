#!/usr/bin/env python3
"""Preprocesses every public header with too old a standard, and with too old a Boost: the first error
must say what to do. With the right ones there must be none.

    tests/packaging/check_requirements.py g++ [<folder with Boost's headers>...]
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

TREE = pathlib.Path(__file__).resolve().parents[2]


def public_headers():
    below = TREE / "include"
    return sorted(path.relative_to(below).as_posix() for path in below.rglob("*.hpp")
                  if "detail" not in path.parts)


def first_error(compiler, header, standard, folders):
    limit = "-ferror-limit=1" if "clang" in os.path.basename(compiler) else "-fmax-errors=1"
    command = [compiler, f"-std={standard}", limit, "-E", "-o", os.devnull, "-x", "c++", "-"]
    command[1:1] = [f"-I{folder}" for folder in [*folders, TREE / "include"]]
    done = subprocess.run(command, input=f'#include "{header}"\n', capture_output=True, text=True)
    found = re.search(r"error: (.*)", done.stderr)
    return found.group(1) if found else ""


def main():
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    compiler, boost = sys.argv[1], sys.argv[2:]
    findings = []
    with tempfile.TemporaryDirectory() as folder:
        old = pathlib.Path(folder, "boost", "version.hpp")
        old.parent.mkdir()
        old.write_text('#define BOOST_VERSION 108000\n#define BOOST_LIB_VERSION "1_80"\n')
        for header in public_headers():
            for standard, folders, wanted in (
                    ("c++17", boost, "needs C++20: compile with -std=c++20"),
                    ("c++20", [folder, *boost], "needs Boost 1.81 or newer: put the newer one's")):
                said = first_error(compiler, header, standard, folders)
                if wanted not in said:
                    findings.append(f"{header} with {standard}: '{said}', must say '{wanted}'")
    said = first_error(compiler, "hawser/core/error.hpp", "c++20", boost)
    if said:
        findings.append(f"hawser/core/error.hpp as it should be compiled: '{said}'")
    for finding in findings:
        print(finding)
    if not findings:
        print(f"{len(public_headers())} headers say what they need")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
