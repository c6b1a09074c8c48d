#!/usr/bin/env python3
"""Holds the table of docs/policies/standard.md against what the program prints.

check_table.py --check PROGRAM   exit code 1 when a row differs or does not hold
check_table.py --write PROGRAM   puts the program's table into the page
check_table.py --print PROGRAM   prints it
"""
import pathlib
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "policies" / "standard.md"
BEGIN, END = "<!-- storms: scripts/storm writes them -->\n", "<!-- /storms -->\n"


def main() -> int:
    how, program = sys.argv[1:]
    run = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=False)
    table = run.stdout
    if how == "--print":
        print(table, end="")
        return run.returncode
    page = PAGE.read_text()
    head, rest = page.split(BEGIN)
    stands, tail = rest.split(END)
    if how == "--write":
        PAGE.write_text(head + BEGIN + table + END + tail)
        return run.returncode
    if stands != table:
        for now, then in zip(table.splitlines(), stands.splitlines()):
            if now != then:
                print(f"is now: {now}\nstands: {then}")
        print("a default has changed what the storms do: scripts/storm --write")
        return 1
    return run.returncode


sys.exit(main())
