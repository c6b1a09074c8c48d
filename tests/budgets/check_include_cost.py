#!/usr/bin/env python3
"""What the public headers cost whoever includes them, against what they may.

    tests/budgets/check_include_cost.py            # the budgets; a table, one line a finding
    tests/budgets/check_include_cost.py --exact    # tokens only: the same on every machine
    tests/budgets/check_include_cost.py --self-test

Two measures. CPU seconds of the compiler (the least of several runs) drift with the machine, so
they are taken as multiples of a yardstick compiled in the same rounds: Asio's any_completion_handler,
any_io_executor and async_result, which took 657 ms where the budgets were set, beside 464 ms for
usual standard headers. The number of preprocessed tokens is the same everywhere with the same
compiler and libraries: it has a limit too, a little above what it was when it was set, and a header
that grows past it is looked at.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMPILER = os.environ.get("CXX", "g++")
FLAGS = ["-std=c++20", "-I", os.path.join(ROOT, "include")]
ROUNDS = 3
MORE_ROUNDS = 4        # for what is over its budget at first
FLOOR_MS = 464         # usual standard headers, on the machine that the budgets were set on
YARDSTICK_MS = 657     # the yardstick, on the same machine
GET_SHARE = 0.15       # of raw_beast.cpp's
STANDARD = ("chrono", "functional", "memory", "optional", "string", "string_view", "vector")
YARDSTICK = "boost/asio/any_completion_handler.hpp", "boost/asio/any_io_executor.hpp", \
    "boost/asio/async_result.hpp"

# Header -> (ms over the standard headers, thousands of tokens in all).
BUDGETS = {
    "hawser/core/error.hpp": (100, 430),
    "hawser/policy/retry.hpp": (120, 450),
    "hawser/policy/circuit_breaker.hpp": (120, 450),
    "hawser/policy/bulkhead.hpp": (120, 440),
    "hawser/policy/rate_limiter.hpp": (120, 440),
    "hawser/policy/timeout.hpp": (120, 435),
    "hawser/policy/fallback.hpp": (120, 440),
    "hawser/policy/retry_budget.hpp": (120, 435),
    "hawser/policy/backoff.hpp": (120, 430),
    "hawser/run/pipeline.hpp": (200, 440),
    "hawser/run/async.hpp": (430, 630),
    "hawser/http/client.hpp": (470, 655),
    "hawser/hawser.hpp": (550, 653),
}


def allowed(header):
    """The most that a header may cost, as a multiple of the yardstick."""
    return (FLOOR_MS + BUDGETS[header][0]) / YARDSTICK_MS


def unit(*headers):
    return "".join(f"#include <{name}>\n" for name in (*STANDARD, *headers)) + "int main() {}\n"


def run(command, text=None):
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout


def cpu_of(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def tokens_of(text):
    """How many preprocessed tokens, in thousands."""
    out = run([COMPILER, *FLAGS, "-E", "-P", "-x", "c++", "-"], text)
    return len(re.findall(r"\w+|[^\w\s]", out)) / 1000


def judge_tokens(counts):
    return [f"{header}: {counts[header]:.0f} thousand tokens, {most} are allowed"
            for header, (_, most) in BUDGETS.items() if counts[header] > most]


def judge_cpu(multiples):
    """`multiples` of the yardstick, header by header."""
    findings = []
    for header in BUDGETS:
        if multiples[header] > allowed(header):
            findings.append(f"{header}: {multiples[header]:.2f} x the yardstick, "
                            f"{allowed(header):.2f} are allowed")
    return findings


def measure_cpu(folder, rounds, least):
    """Adds rounds to `least`: seconds of each header and of the yardstick (None), interleaved."""
    for _ in range(rounds):
        for header in least:
            path = os.path.join(folder, re.sub(r"\W", "_", header or "yardstick") + ".cpp")
            with open(path, "w", encoding="utf-8") as file:
                file.write(unit(header) if header else unit(*YARDSTICK))
            seconds = cpu_of([COMPILER, *FLAGS, "-O0", "-c", path, "-o", path + ".o"])
            least[header] = min(least[header], seconds)


def check(exact):
    counts = {header: tokens_of(unit(header)) for header in BUDGETS}
    findings = judge_tokens(counts)
    if exact:
        for header, (_, most) in BUDGETS.items():
            print(f"{header:36} {counts[header]:6.0f} of {most} thousand tokens")
        return findings

    with tempfile.TemporaryDirectory() as folder:
        least = {header: float("inf") for header in (None, *BUDGETS)}
        measure_cpu(folder, ROUNDS, least)
        multiples = {header: least[header] / least[None] for header in BUDGETS}
        if judge_cpu(multiples):
            measure_cpu(folder, MORE_ROUNDS, least)
            multiples = {header: least[header] / least[None] for header in BUDGETS}
        findings += judge_cpu(multiples)

        here = os.path.dirname(os.path.abspath(__file__))
        gets = {}
        for name, times in (("http_get", 3), ("raw_beast", 1)):
            source = os.path.join(here, name + ".cpp")
            gets[name] = min(cpu_of([COMPILER, *FLAGS, "-O2", "-c", source, "-o",
                                     os.path.join(folder, name + ".o")]) for _ in range(times))
    print(f"yardstick: {least[None] * 1000:.0f} ms")
    for header, (_, most) in BUDGETS.items():
        print(f"{header:36} {multiples[header]:5.2f} of {allowed(header):.2f} x the yardstick, "
              f"{counts[header]:4.0f} of {most} thousand tokens"
              + (", OVER ITS BUDGET" if multiples[header] > allowed(header) else ""))
    share = gets["http_get"] / gets["raw_beast"]
    print(f"{'one awaited HTTPS GET':36} {share:5.3f} of {GET_SHARE} x raw Beast "
          f"({gets['http_get']:.1f} s, {gets['raw_beast']:.1f} s)"
          + (", OVER ITS BUDGET" if share > GET_SHARE else ""))
    if share > GET_SHARE:
        findings.append(f"http_get.cpp: {share:.3f} x raw_beast.cpp, {GET_SHARE} are allowed")
    return findings


def self_test():
    wrong = []
    fine = {header: allowed(header) - 0.01 for header in BUDGETS}
    if judge_cpu(fine):
        wrong.append("finding though all are within their budgets")
    for header in BUDGETS:
        if len(judge_cpu({**fine, header: allowed(header) + 0.01})) != 1:
            wrong.append(f"not found: {header} over its budget")
        counts = {name: most for name, (_, most) in BUDGETS.items()}
        if judge_tokens(counts) or len(judge_tokens({**counts, header: 1e6})) != 1:
            wrong.append(f"not found: {header} over its tokens")
    if not tokens_of("int a;") < tokens_of("#include <string>\n"):
        wrong.append("tokens are not counted")
    for header in BUDGETS:
        if not os.path.exists(os.path.join(ROOT, "include", header)):
            wrong.append(f"{header} is not there")
    return wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        findings = self_test()
    else:
        findings = check(sys.argv[1:] == ["--exact"])
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
