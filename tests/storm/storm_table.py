#!/usr/bin/env python3
"""The table of docs/policies/standard.md.

storm_table.py --write PROGRAM   puts the program's table into the page
storm_table.py --print PROGRAM   prints it

Exit code 1 when a row does not hold.
"""
import pathlib
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "policies" / "standard.md"
BEGIN, END = "<!-- storms: scripts/storm writes them -->\n", "<!-- /storms -->\n"


def main() -> int:
    how, program = sys.argv[1:]
    run = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=False)
    if how == "--write":
        head, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(head + BEGIN + run.stdout + END + rest.split(END)[1])
    else:
        print(run.stdout, end="")
    return run.returncode


sys.exit(main())
