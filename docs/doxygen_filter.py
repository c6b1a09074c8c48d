#!/usr/bin/env python3
"""Hands a public header to Doxygen: its opening comment becomes the file's page, with the example
as code, and the inline namespace, an affair of the linker, is left out of the names.

Lines stay where they are, so that warnings name the right ones.
"""

import re
import sys


def opening(lines, name):
    """The leading `//` lines as one Doxygen comment; examples are indented by three blanks."""
    end = 0
    while end < len(lines) and re.match(r"//(?: |$)", lines[end]):
        end += 1
    if end == 0:
        return lines
    text = [line[2:] for line in lines[:end]]
    out, code = [], False
    for index, line in enumerate(text):
        indented = line.startswith("   ")
        if indented and not code:
            line, code = "\\code{.cpp} " + line if out else line, True
        elif not indented and code and line.strip():
            line, code = " \\endcode" + line, False
        elif not line.strip() and code:
            following = next((t for t in text[index:] if t.strip()), "")
            if not following.startswith("   "):
                line, code = " \\endcode", False
        out.append(line if code else re.sub(r"<(?=\w+>)", r"\<", line))
    head = [f"/** \\file {name} \\brief{out[0]}"] + out[1:]
    head[-1] += " \\endcode */" if code else " */"
    return head + lines[end:]


def without_specialisations(lines):
    """Blanks what is said of other libraries' templates: Doxygen finds no place for it."""
    out = list(lines)
    for index, line in enumerate(lines):
        if line.startswith("struct boost::"):
            above = index
            while above and lines[above - 1].startswith(("template <>", "///")):
                above -= 1
            out[above:index + 1] = [""] * (index + 1 - above)
    return out


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        lines = file.read().split("\n")
    if sys.argv[1].endswith(".hpp"):
        lines = opening(lines, re.sub(r".*\binclude/", "", sys.argv[1]))
        lines = [line.replace("namespace hawser::inline v0", "namespace hawser")
                 for line in without_specialisations(lines)]
    sys.stdout.write("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
