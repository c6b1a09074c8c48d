#!/usr/bin/env python3
"""Holds the documentation to the code: every C++ block stands in a file that is compiled, every
link and anchor leads somewhere, every enumerator and every test named is there, each policy's page
lists the options of its header with type and default and names each event, error and reason of its
source, CONTRIBUTING.md lists the gates of .ci/run, and no sentence speaks of unfinished work or of
somebody's machine.

    tests/docs/check_docs.py              # checks this tree; one line a finding
    tests/docs/check_docs.py --self-test  # breaks each rule in a small tree of its own

An options table is one whose head begins | option | type | default |. Its rows are named as the
fields are: `field` for the struct that the page is named after, `struct.field` for others of the
same header.

A block may leave out nothing in the middle: its lines stand in one file of examples/ or tests/docs/,
one after the other. Only blanks, empty lines and the place of #include lines do not count.
"""

import os
import re
import sys
import tempfile

PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
COMPILED = ("examples", "tests/docs")
ERROR_PAGE = "docs/guide/errors.md"
ENUMS = ("errc", "condition", "reason", "event_kind", "evidence", "effect", "verdict", "jitter",
         "circuit_state", "rate_algorithm", "queue_order", "mask_style")

# Page and header below POLICY_PAGES and POLICY_HEADERS -> the structs whose fields are options.
POLICY_PAGES = "docs/policies"
POLICY_HEADERS = "include/hawser/policy"
OPTIONS = {
    "backoff": ("constant", "linear", "exponential", "fibonacci"),
    "bulkhead": ("bulkhead",),
    "circuit_breaker": ("circuit_breaker", "count_window", "time_window"),
    "fallback": ("fallback",),
    "keyed": ("keyed_options",),
    "rate_limiter": ("rate_limiter",),
    "retry": ("retry",),
    "retry_budget": ("retry_budget", "token_budget"),
    "start_spread": ("start_spread",),
    "timeout": ("timeout",),
}

POLICY_SOURCES = "src/policy"
PART_OF = {"circuit_core": "circuit_breaker", "circuit_waiting": "circuit_breaker"}
SAID = re.compile(r"\b(?:event_kind|errc|reason)::(\w+)")

FENCE = re.compile(r"^ {0,3}(```+|~~~+)\s*(\S*)")
CODE_SPAN = re.compile(r"(`+)(?:(?!\1).)+?\1(?!`)")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)")
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$")
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:")
INCLUDE = re.compile(r"^\s*#\s*include\b")
QUOTED = re.compile(r'"(hawser/[^"]+)"')
CPP_NAMES = ("c++", "cc", "cxx", "hpp", "c")
ENUMERATOR = re.compile(r"\b(?:hawser::|http::)?(" + "|".join(ENUMS) + r")::(\w+)(?!\w*\()")
TRAPS = "docs/traps.md"
TEST_NAMED = re.compile(r"`(\w+)\.(\w+)`")
TEST = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)", re.M)
GATE = re.compile(r"^gate (\w+) ", re.M)
GATE_ROW = re.compile(r"^\|\s*`(\w+)`\s*\|", re.M)
MAKER = re.compile(r"\bmake_(?:policy|budget)\((\w+) \w+\)")
# A set of options that has a name: a function of the struct, and no field.
NAMED_SET = re.compile(r"  \[\[nodiscard\]\] HAWSER_API static \w+ \w+\(\);")
FIELD = re.compile(r"  ([A-Za-z_][\w:]*(?:<.*>)?) (\w+)(?: = ([^;]+)|(\{[^;]*\}))?;")
SPAN_OF_TIME = re.compile(r"std::chrono::(milliseconds|seconds|minutes|hours)\((\d+)\)")
UNITS = {"milliseconds": "ms", "seconds": "s", "minutes": "min", "hours": "h"}
OPTION_ROW = re.compile(r"^\|\s*`([\w.]+)`\s*\|([^|]*)\|([^|]*)\|")
OPTION_HEAD = re.compile(r"^\|\s*option\s*\|\s*type\s*\|\s*default\s*\|")
FORBIDDEN = (
    (re.compile(r"(?<![\w.~-])/(?:work|home|root|tmp|Users)/"), "a path of somebody's machine"),
    (re.compile(r"\b(?:TODO|FIXME|XXX|TBD)\b|\b[Ff]or now\b|\bnot (?:yet )?implemented\b"),
     "a word of unfinished work"),
    (re.compile(r"@@\w*@@"), "a placeholder"),
    (re.compile(r"(?<![\w&/#])#\d+\b|\bissues?/\d+|\bGH-\d+"), "the number of an issue"),
)


def bare(line):
    """Without what does not count: blanks, and how an include of ours is quoted."""
    line = " ".join(line.split())
    return QUOTED.sub(r"<\1>", line) if INCLUDE.match(line) else line


def slug(heading, taken):
    """The anchor that GitHub gives a heading."""
    text = LINK.sub(lambda m: m.group(0)[m.group(0).index("[") + 1:m.group(0).rindex("](")], heading)
    text = re.sub(r"[^\w\- ]", "", text.replace("`", "").lower()).replace(" ", "-")
    count = taken.get(text, 0)
    taken[text] = count + 1
    return f"{text}-{count}" if count else text


class Page:
    """A Markdown file, taken apart into prose, fenced blocks and anchors."""

    def __init__(self, text):
        self.prose = []     # (line, text without code spans)
        self.blocks = []    # (line, language, lines)
        self.anchors = set(re.findall(r"<a\s+(?:name|id)=\"([^\"]+)\"", text))
        self.unclosed = 0
        taken = {}
        fence = ""
        for number, line in enumerate(text.split("\n"), 1):
            match = FENCE.match(line)
            if fence:
                if match and match.group(1).startswith(fence) and not match.group(2):
                    fence = ""
                    self.unclosed = 0
                else:
                    self.blocks[-1][2].append(line)
                continue
            if match:
                fence = match.group(1)
                self.unclosed = number
                self.blocks.append((number, match.group(2).lower(), []))
                continue
            heading = HEADING.match(line)
            if heading:
                self.anchors.add(slug(heading.group(1), taken))
            self.prose.append((number, CODE_SPAN.sub("``", line)))


class Checker:
    def __init__(self, root):
        self.root = root
        self.findings = []
        self.pages = {}

    def report(self, path, line, what):
        self.findings.append(f"{path}:{line}: {what}")

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def below(self, top, ending):
        for folder, folders, names in os.walk(os.path.join(self.root, top)):
            folders.sort()
            for name in sorted(names):
                if name.endswith(ending):
                    yield os.path.relpath(os.path.join(folder, name), self.root)

    def run(self):
        paths = [path for path in PAGES if os.path.exists(os.path.join(self.root, path))]
        paths += self.below("docs", ".md")
        texts = {path: self.read(path) for path in paths}
        self.pages = {path: Page(text) for path, text in texts.items()}
        sources = self.compiled_sources()
        enumerators = self.enumerators()
        for path, page in self.pages.items():
            if page.unclosed:
                self.report(path, page.unclosed, "a fenced block without an end")
            self.check_blocks(path, page, sources)
            self.check_links(path, page)
            self.check_words(path, texts[path])
            self.check_enumerators(path, texts[path], enumerators)
        self.check_tests(texts.get(TRAPS))
        self.check_gates(texts.get("CONTRIBUTING.md"))
        self.check_error_table(texts.get(ERROR_PAGE), enumerators.get("errc", ()))
        self.check_options(texts)
        self.check_said(texts)
        return self.findings

    # --- blocks --------------------------------------------------------------------------------

    def compiled_sources(self):
        """Path -> (its include lines, its other lines), of each file that a build list names."""
        found = {}
        for top in COMPILED:
            lists = ""
            for path in ("CMakeLists.txt", f"{top}/CMakeLists.txt", "tests/CMakeLists.txt"):
                if os.path.exists(os.path.join(self.root, path)):
                    lists += self.read(path)
            for path in self.below(top, ".cpp"):
                name = path[len("examples/"):] if top == "examples" else path[len("tests/"):]
                if name not in lists:
                    continue
                lines = [bare(line) for line in self.read(path).split("\n")]
                found[path] = ({line for line in lines if INCLUDE.match(line)},
                               [line for line in lines if line and not INCLUDE.match(line)])
        return found

    def check_blocks(self, path, page, sources):
        for number, language, lines in page.blocks:
            if language in CPP_NAMES:
                self.report(path, number, f"```{language}: write ```cpp, so that it is checked")
            elif language in ("", "text") and any("hawser::" in line for line in lines):
                self.report(path, number, "C++ in a block without ```cpp")
            if language != "cpp":
                continue
            wanted = [bare(line) for line in lines if line.strip()]
            includes = {line for line in wanted if INCLUDE.match(line)}
            code = [line for line in wanted if not INCLUDE.match(line)]
            if not wanted:
                self.report(path, number, "an empty block")
                continue
            best, where = -1, ""
            for source, (has, body) in sources.items():
                if not includes <= has:
                    continue
                length = self.longest_match(code, body)
                if length > best:
                    best, where = length, source
            if best == len(code):
                continue
            if best <= 0:
                self.report(path, number, "this block stands in no compiled file of "
                            + " or ".join(COMPILED))
            else:
                self.report(path, number, f"this block leaves {where} at: {code[best]}")

    @staticmethod
    def longest_match(code, body):
        """How many lines of `code` from its first stand in `body` in a row, at best."""
        best = 0
        for start in range(len(body)):
            length = 0
            while (length < len(code) and start + length < len(body)
                   and code[length] == body[start + length]):
                length += 1
            if length > best:
                best = length
            if best == len(code):
                break
        return best

    # --- links ---------------------------------------------------------------------------------

    def check_links(self, path, page):
        for number, line in page.prose:
            targets = [match.group(1) for match in LINK.finditer(line)]
            reference = REFERENCE.match(line)
            if reference:
                targets.append(reference.group(1))
            for target in targets:
                if not ELSEWHERE.match(target):
                    self.check_target(path, number, target)

    def check_target(self, path, number, target):
        file, _, anchor = target.partition("#")
        other = path
        if file:
            other = os.path.normpath(os.path.join(os.path.dirname(path), file))
            if other.startswith("..") or file.startswith("/"):
                self.report(path, number, f"{target} leaves the repository")
                return
            if not os.path.exists(os.path.join(self.root, other)):
                self.report(path, number, f"{target} does not exist")
                return
        if not anchor:
            return
        if other not in self.pages:
            if other.endswith(".md"):
                self.pages[other] = Page(self.read(other))
            else:
                return
        if anchor not in self.pages[other].anchors:
            self.report(path, number, f"{target}: {other} has no heading for #{anchor}")

    # --- words ---------------------------------------------------------------------------------

    def check_words(self, path, text):
        for number, line in enumerate(text.split("\n"), 1):
            for pattern, what in FORBIDDEN:
                for match in pattern.finditer(line):
                    self.report(path, number, f"{match.group(0).strip()}: {what}")

    def enumerators(self):
        """Enum -> its enumerators, as the public headers have them."""
        found = {}
        for path in self.below("include", ".hpp"):
            text = re.sub(r"//[^\n]*", "", self.read(path))
            for name, body in re.findall(r"\benum (?:class )?(\w+)(?: : [\w:]+)? \{(.*?)\}", text,
                                         re.S):
                found.setdefault(name, set()).update(re.findall(r"(?:^|,)\s*(\w+)", body))
        return found

    def check_enumerators(self, path, text, known):
        for number, line in enumerate(text.split("\n"), 1):
            for enum, name in ENUMERATOR.findall(line):
                if enum in known and name not in known[enum]:
                    self.report(path, number, f"{enum}::{name} is not there")

    def check_error_table(self, text, codes):
        """Each error code has a row that says what to do about it."""
        if text is None:
            return
        rows = [row.split("|")[1] for row in text.split("\n") if row.count("|") == 4]
        listed = re.findall(r"`(\w+)`", " ".join(rows))
        for name in sorted(codes):
            if listed.count(name) != 1:
                self.report(ERROR_PAGE, 1, f"{listed.count(name)} rows say what to do about {name}")

    # --- options -------------------------------------------------------------------------------

    def fields_of(self, path, text, struct):
        """Field -> (type, default), as the struct declares them; nothing is skipped in silence."""
        head = re.search(r"^(struct|class HAWSER_API) " + struct + r" \{$", text, re.M)
        if not head:
            self.report(path, 1, f"no struct {struct} here, which {__file__.split('/')[-1]} lists")
            return {}
        body = text[head.end():text.index("\n};", head.end())].split("\n private:")[0]
        fields = {}
        for line in body.split("\n"):
            line = re.sub(r"\s*//.*", "", line)
            match = FIELD.fullmatch(line)
            if match:
                kind, name, given, braced = match.groups()
                fields[name] = (kind.replace("std::", "").replace("hawser::", ""),
                                self.default_of(struct, name, kind, given or braced or "{}"))
            elif NAMED_SET.fullmatch(line):
                continue
            elif line.strip() and head.group(1) == "struct":
                self.report(path, 1, f"cannot read this field of {struct}: {line.strip()}")
        return fields

    @staticmethod
    def default_of(struct, name, kind, given):
        """The default as a page says it."""
        if name == "name":
            return f'"{struct}"'
        time = SPAN_OF_TIME.fullmatch(given)
        if time:
            return f"{time.group(2)} {UNITS[time.group(1)]}"
        if given == "{}":
            return "0" if kind == "duration" else "off" if "std::optional" in kind[:13] else "none"
        if given in ("true", "false"):
            return "yes" if given == "true" else "no"
        given = SPAN_OF_TIME.sub(lambda t: f"{t.group(2)} {UNITS[t.group(1)]}", given)
        given = given.split("::")[-1]
        return re.sub(r"\.0$", "", given) if kind == "double" else given

    def check_options(self, texts):
        for path in self.below(POLICY_HEADERS, ".hpp"):
            listed = OPTIONS.get(os.path.basename(path)[:-len(".hpp")], ())
            for struct in MAKER.findall(self.read(path)):
                if struct not in listed:
                    self.report(path, 1, f"{struct} has no page with its options")
        for policy, structs in OPTIONS.items():
            header = f"{POLICY_HEADERS}/{policy}.hpp"
            if os.path.exists(os.path.join(self.root, header)):
                self.check_options_of(policy, structs, header, texts)

    def check_said(self, texts):
        """Each event, error and reason that a policy's source names stands in its page."""
        for source in self.below(POLICY_SOURCES, ".cpp"):
            policy = os.path.basename(source)[:-len(".cpp")]
            path = f"{POLICY_PAGES}/{PART_OF.get(policy, policy)}.md"
            if path not in texts:
                continue
            for name in sorted(set(SAID.findall(self.read(source))) - {"none"}):
                if not re.search(rf"`(?:\w+::)?{name}`", texts[path]):
                    self.report(path, 1, f"{name}, which {source} names, is not on this page")

    def check_options_of(self, policy, structs, header, texts):
        path = f"{POLICY_PAGES}/{policy}.md"
        if path not in texts:
            self.report(header, 1, f"{path} does not exist")
            return
        text = self.read(header)
        wanted = {}
        for struct in structs:
            for name, field in self.fields_of(header, text, struct).items():
                wanted[name if struct == policy else f"{struct}.{name}"] = field
        inside = False
        for number, line in enumerate(texts[path].split("\n"), 1):
            inside = bool(OPTION_HEAD.match(line)) or inside and line.startswith("|")
            row = OPTION_ROW.match(line) if inside else None
            if not row:
                continue
            option, kind, default = (cell.strip().replace("`", "") for cell in row.groups())
            if option not in wanted:
                self.report(path, number, f"{option} is no option, or stands here twice")
                continue
            has_kind, has_default = wanted.pop(option)
            if kind != has_kind:
                self.report(path, number, f"{option} is of type {has_kind}, not {kind}")
            if default != has_default:
                self.report(path, number, f"{option} is {has_default} by default, not {default}")
        for option in wanted:
            self.report(path, 1, f"the option {option} is in no table")

    # --- tests ---------------------------------------------------------------------------------

    def check_tests(self, traps):
        if traps is None:
            return
        known = set()
        for path in self.below("tests", ".cpp"):
            known.update(TEST.findall(self.read(path)))
        for number, line in enumerate(traps.split("\n"), 1):
            for suite, name in TEST_NAMED.findall(line):
                if (suite, name) not in known:
                    self.report(TRAPS, number, f"there is no test {suite}.{name}")

    # --- gates ---------------------------------------------------------------------------------

    def check_gates(self, contributing):
        ci = os.path.join(self.root, ".ci/run")
        if contributing is None or not os.path.exists(ci):
            return
        gates = GATE.findall(self.read(".ci/run"))
        listed = GATE_ROW.findall(contributing)
        for name in gates:
            if name not in listed:
                self.report("CONTRIBUTING.md", 1, f"the gate {name} of .ci/run is missing")
        for name in listed:
            if name not in gates:
                self.report("CONTRIBUTING.md", 1, f"{name} is no gate of .ci/run")


# --- self-test ---------------------------------------------------------------------------------

EXAMPLE = """#include <hawser/run/execute.hpp>

#include <iostream>

int main() {
  hawser::environment env;

  const auto p = hawser::pipeline_builder{"a"}.build(env);  // a pipeline
  return p.execute([] { return 1; }).value();
}
"""
TREE = {
    "examples/CMakeLists.txt": "hawser_program(a SOURCES a.cpp)\n",
    "examples/a.cpp": EXAMPLE,
    "examples/unlisted.cpp": "int lonely = 1;\n",
    "tests/CMakeLists.txt": "hawser_test(docs SOURCES docs/b.cpp)\n",
    "tests/docs/b.cpp": "#include \"hawser/core/error.hpp\"\n\nvoid f() {\n  int only_here = 1;\n}\n"
                        "TEST(a, is_there) {}\nTEST_F(b,\n       so_is_this) {}\n",
    "include/hawser/core/error.hpp":
        "enum class errc {\n  one = 1,  // two, three\n  four,\n};\n",
    ".ci/run": "gate tests 900 scripts/test\ngate floors 60 floors\n",
    "include/hawser/policy/timeout.hpp": """
/// Not options: a struct that no list names.
struct timeout_snapshot {
  int left = 0;
};

struct timeout {
  std::string name{};                             ///< Empty: "timeout".
  duration after = std::chrono::milliseconds(30); ///< Over 0.
  duration reserve{};
  double share = 2.0;
  std::optional<int> most{};
  jitter spread = jitter::full;
  bool strict = false;
  std::function<std::optional<bool>(const outcome&)> decide{};
};

std::shared_ptr<policy> make_policy(timeout options);
""",
    "include/hawser/policy/bulkhead.hpp": """
struct bulkhead {
  int a, b;
};
std::shared_ptr<policy> make_policy(bulkhead options);
std::shared_ptr<policy> make_policy(hidden options);
""",
    "src/policy/timeout.cpp": "e.kind = event_kind::gone_by; return errc::four;",
    "src/policy/circuit_core.cpp": "return reason::forced == reason::none;",
    "include/hawser/policy/retry.hpp": "struct nothing {\n};\n",
    "include/hawser/policy/fallback.hpp": "struct fallback {\n  int a, b;\n};\n",
}
TIMEOUT_PAGE = """
It ends with `errc::four`, and emits `gone_by`.

| option | type | default | bounds |
|---|---|---|---|
| `name` | `string` | `"timeout"` | |
| `after` | `duration` | 31 ms | over 0 |
| `reserve` | `int` | 0 | at least 0 |
| `share` | `double` | 2 | |
| `most` | `optional<int>` | off | |
| `spread` | `jitter` | `full` | |
| `gone` | `int` | 1 | |
| `spread` | `jitter` | `full` | |
| `decide` | `function<optional<bool>(const outcome&)>` | none | |

| event | type | default |
|---|---|---|
| `other` | `int` | 7 |
"""
# All that is wrong with the options of that tree: path, and what the finding must say.
OPTION_FINDINGS = (
    ("docs/policies/timeout.md", "after is 30 ms by default, not 31 ms"),
    ("docs/policies/timeout.md", "reserve is of type duration, not int"),
    ("docs/policies/timeout.md", "gone is no option"),
    ("docs/policies/timeout.md", "spread is no option, or stands here twice"),
    ("docs/policies/timeout.md", "the option strict is in no table"),
    ("include/hawser/policy/bulkhead.hpp", "hidden has no page"),
    ("include/hawser/policy/bulkhead.hpp", "docs/policies/bulkhead.md does not exist"),
    ("include/hawser/policy/retry.hpp", "no struct retry here"),
    ("include/hawser/policy/fallback.hpp", "cannot read this field of fallback: int a, b;"),
)
PREFIX = "# A page, and its `first` heading!\n\n"
# Each page's text after PREFIX, and what the finding must say; None: there must be none.
CASES = {
    "docs/whole.md": (f"```cpp\n{EXAMPLE}```\n", None),
    "docs/part.md": ("```cpp\n#include <iostream>\n\nhawser::environment env;\n"
                     "const auto p = hawser::pipeline_builder{\"a\"}.build(env);   // a pipeline\n"
                     "```\n", None),
    "docs/test.md": ("```cpp\n#include <hawser/core/error.hpp>\nint only_here = 1;\n```\n", None),
    "docs/good_links.md": ("[a](whole.md) [b](whole.md#a-page-and-its-first-heading) [c](../docs)\n"
                           "[d](#a-page-and-its-first-heading) [e](https://example.com/#x) "
                           "`[f](nowhere.md)`\n\n[g]: part.md\n", None),
    "docs/good_words.md": ("A fingerprint #12ab, errc::four, and `errc::one`.\n", None),
    "docs/changed.md": ("```cpp\nhawser::environment env;\n"
                        "const auto p = hawser::pipeline_builder{\"b\"}.build(env);\n```\n",
                        'leaves examples/a.cpp at: const auto p'),
    "docs/gap.md": ("```cpp\nhawser::environment env;\n"
                    "return p.execute([] { return 1; }).value();\n```\n", "leaves examples/a.cpp"),
    "docs/longer.md": ("```cpp\nint only_here = 1;\nint nowhere = 2;\n```\n", "int nowhere"),
    "docs/include.md": ("```cpp\n#include <vector>\nhawser::environment env;\n```\n",
                        "stands in no compiled file"),
    "docs/unlisted.md": ("```cpp\nint lonely = 1;\n```\n", "stands in no compiled file"),
    "docs/comment.md": ("```cpp\nhawser::environment env;  // else\n```\n", "no compiled file"),
    "docs/empty.md": ("```cpp\n```\n", "an empty block"),
    "docs/language.md": ("```c++\nint a;\n```\n", "write ```cpp"),
    "docs/untagged.md": ("```\nhawser::environment env;\n```\n", "without ```cpp"),
    "docs/open.md": ("```text\nabc\n", "without an end"),
    "docs/no_file.md": ("See [it](nowhere.md).\n", "nowhere.md does not exist"),
    "docs/no_anchor.md": ("See [it](whole.md#second).\n", "no heading for #second"),
    "docs/own_anchor.md": ("See [it](#second).\n", "no heading for #second"),
    "docs/reference.md": ("[it]: nowhere.md\n", "nowhere.md does not exist"),
    "docs/outside.md": ("See [it](../../x.md).\n", "leaves the repository"),
    "docs/path.md": ("In " + "/wo" + "rk/tree.\n", "somebody's machine"),
    "docs/unfinished.md": ("TO" + "DO\n", "unfinished work"),
    "docs/later.md": ("Slow for " + "now.\n", "unfinished work"),
    "docs/placeholder.md": ("Here: @@TABLE@@\n", "a placeholder"),
    "docs/issue.md": ("Fixed in #" + "12.\n", "the number of an issue"),
    "docs/enumerator.md": ("It ends with `errc::five`.\n", "errc::five is not there"),
    "docs/guide/errors.md": ("| code | what | do |\n|---|---|---|\n| `one` | a | b |\n",
                             "0 rows say what to do about four"),
    "docs/commented.md": ("It ends with `errc::three`.\n", "errc::three is not there"),
    "docs/policies/retry.md": ("", None),
    "docs/policies/circuit_breaker.md": ("It was enforced.\n", "forced, which src/policy"),
    "docs/policies/fallback.md": ("", None),
    "docs/traps.md": ("| one | `a.is_there`, `b.so_is_this` |\n| two | `a.so_is_this` |\n",
                      "there is no test a.so_is_this"),
    "README.md": ("```cpp\nint nowhere = 1;\n```\n", "stands in no compiled file"),
    "CHANGELOG.md": ("```cpp\nint nowhere = 1;\n```\n", "stands in no compiled file"),
    "CONTRIBUTING.md": ("| `tests` | all |\n| `magic` | some |\n", "the gate floors"),
}


def self_test():
    wrong = []
    with tempfile.TemporaryDirectory() as root:
        files = dict(TREE)
        files.update((path, PREFIX + text) for path, (text, _) in CASES.items())
        files["docs/policies/timeout.md"] = PREFIX + TIMEOUT_PAGE
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        found = Checker(root).run()
    about_options = [line for line in found if line.startswith((POLICY_PAGES, POLICY_HEADERS))
                     and "circuit" not in line]
    for path, expected in OPTION_FINDINGS:
        mine = [line for line in about_options if line.startswith(path + ":") and expected in line]
        if len(mine) != 1:
            wrong.append(f"{path}: expected one finding with '{expected}', got {mine}")
        about_options = [line for line in about_options if line not in mine]
    wrong += [f"unexpected finding: {line}" for line in about_options]
    for path, (_, expected) in CASES.items():
        mine = [line for line in found if line.startswith(path + ":")]
        if expected is None:
            wrong += [f"finding in a harmless page: {line}" for line in mine]
        elif not any(expected in line for line in mine):
            wrong.append(f"{path}: expected a finding with '{expected}', got {mine}")
    if sum("there is no test" in line for line in found) != 1:
        wrong.append("docs/traps.md: a test that is there was not found")
    if not any("magic is no gate" in line for line in found):
        wrong.append("CONTRIBUTING.md: a gate that is not there was not found")
    return wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        findings = self_test()
    else:
        here = os.path.dirname(os.path.abspath(__file__))
        findings = Checker(os.path.dirname(os.path.dirname(here))).run()
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
