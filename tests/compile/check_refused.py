#!/usr/bin/env python3
"""Compiles a file and looks that each marked line is refused with its message.

usage: check_refused.py <compiler> <include directory> <refused.cpp>
"""

import pathlib
import re
import subprocess
import sys

MARK = re.compile(r"// refused: (.*)$")


def main() -> int:
    compiler, include, source = sys.argv[1:]
    run = subprocess.run([compiler, "-std=c++20", "-fsyntax-only", "-ferror-limit=0"
                          if "clang" in compiler else "-fmax-errors=0", "-I", include, source],
                         capture_output=True, text=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    # An error's text and the line of ours that it comes from stand apart; what lies between them
    # names nothing else of ours. g++ names the line before the error, clang after it.
    pieces = re.split(r"(?m)^(?=.*?error: )" if "clang" in compiler
                      else r"(?m)^(?=.*?In instantiation of)", run.stderr)
    wrong = 0
    marked = 0
    for number, line in enumerate(pathlib.Path(source).read_text().splitlines(), 1):
        mark = MARK.search(line)
        if not mark:
            continue
        marked += 1
        here = re.compile(rf"refused\.cpp:{number}:")
        if not any(here.search(piece) and mark[1] in piece for piece in pieces):
            print(f"refused.cpp:{number}: no error holds \"{mark[1]}\"")
            wrong += 1
    print(f"{marked} lines must not compile, {wrong} are not refused as they should be")
    if wrong:
        print(run.stderr)
    return 1 if wrong or not marked or run.returncode == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
