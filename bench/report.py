#!/usr/bin/env python3
"""Makes the page of benchmark results, or holds results to the least that must be true anywhere.

    bench/report.py pipeline.json http.json > docs/benchmarks.md
    bench/report.py --readme README.md pipeline.json http.json    # replaces its table of costs
    bench/report.py --check pipeline.json

The first file is Google Benchmark's, the second is what hawser-bench-http writes with --json.
scripts/bench calls both.
"""

import datetime
import json
import os
import platform
import re
import subprocess
import sys

YARDSTICK = "two_clock_reads_and_four_updates"
SIX = "pipeline_of_six"
POLICIES = ("timeout", "rate_limiter", "bulkhead", "retry", "retry_with_budget", "circuit_breaker",
            "fallback")
# Far above what is measured, so that a busy machine does not fail it.
MOST_SIX_TO_YARDSTICK = 6.0
# What may allocate, and how often a call: what an error can tell, an asynchronous call's own pieces.
ALLOCATES = {"refusal_by_": 1, "retry_of_a_failure": 2, "async_wrapped/empty": 2.1,
             "async_wrapped/six": 2.5, "async_bare": 0.01}


class Pipeline:
    """Google Benchmark's results: of each name the least disturbed repetition."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.context, runs = (lambda d: (d["context"], d["benchmarks"]))(json.load(file))
        self.ns, self.allocations = {}, {}
        for run in runs:
            if run["run_type"] != "iteration":
                continue
            name = run["run_name"]
            time = run["cpu_time"] / run.get("calls", 1)
            self.ns[name] = min(time, self.ns.get(name, time))
            if "allocations" in run:
                made = run["allocations"]
                self.allocations[name] = max(made, self.allocations.get(name, made))

    def ratio(self, name, to=YARDSTICK):
        return self.ns[name] / self.ns[to]

    def row(self, title, name):
        made = self.allocations.get(name)
        return (title, f"{self.ns[name]:.1f}", f"{self.ratio(name):.2f}",
                "" if made is None else f"{made:.0f}")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def first_line(*command):
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return out.splitlines()[0].strip()


def found(path, pattern, otherwise="unknown"):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            match = re.search(pattern, file.read(), re.M)
    except OSError:
        return otherwise
    return match.group(1) if match else otherwise


def machine():
    build = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                         "build", "release")
    cache = os.path.join(build, "CMakeCache.txt")
    compiler = found(cache, r"^CMAKE_CXX_COMPILER:\w+=(.*)$", "c++")
    boost = found("/usr/include/boost/version.hpp", r'BOOST_LIB_VERSION "(\w+)"').replace("_", ".")
    return [
        ("processor", found("/proc/cpuinfo", r"^model name\s*:\s*(.*)$")),
        ("cores", str(os.cpu_count())),
        ("load while measuring", f"{os.getloadavg()[1]:.1f} (5 minutes)"),
        ("system", f"{platform.system()} {platform.release()}"),
        ("compiler", first_line(compiler, "--version")),
        ("flags", found(cache, r"^CMAKE_CXX_FLAGS_RELEASE:\w+=(.*)$")),
        ("Boost", boost),
        ("OpenSSL", first_line("openssl", "version")),
        ("date", datetime.date.today().isoformat()),
    ]


def policies(p):
    nothing = p.ns["pipeline_empty"]
    rows = []
    for name in POLICIES:
        by_hand = f"by_hand_{name}"
        two = f"{by_hand}/threads:2"
        whole = f"pipeline_of/{name}"
        rows.append((f"`{name}`", f"{p.ns['stage_of/' + name]:.1f}",
                     f"{p.ns[by_hand]:.1f}" if by_hand in p.ns else "",
                     f"{p.ns[two]:.1f}" if two in p.ns else "",
                     f"{p.ns[whole] - nothing:.1f}", f"{p.allocations[whole]:.0f}"))
    return table(("policy", "its stage", "by hand", "by hand, two threads", "added to a pipeline",
                  "allocations"), rows)


def pipelines(p):
    return table(("around an empty callable", "ns a call", "x yardstick", "allocations"), [
        p.row("two steady clock reads", "two_clock_reads"),
        p.row("two clock reads and four atomic updates: the yardstick", YARDSTICK),
        p.row("pipeline without policies", "pipeline_empty"),
        p.row("**pipeline of six policies**", SIX),
        p.row("six policies, two threads", f"{SIX}/threads:2"),
        p.row("refused: breaker open", "refusal_by_circuit_breaker"),
        p.row("refused: bulkhead full", "refusal_by_bulkhead"),
        p.row("refused: limiter empty", "refusal_by_rate_limiter"),
        p.row("one failure, one retry without a wait", "retry_of_a_failure"),
    ])


def operations(p):
    rows = []
    for title, name in (("bare", "async_bare"), ("wrapped, no policies", "async_wrapped/empty"),
                        ("wrapped, six policies", "async_wrapped/six")):
        rows.append((title, f"{p.ns[name]:.1f}", f"{p.ratio(name, 'async_bare'):.2f}",
                     f"{p.allocations[name]:.2f}"))
    return table(("an operation that only posts", "ns a call", "x bare", "allocations"), rows)


def requests(layout):
    rows = [(r["name"], f"{r['microseconds']:.2f}", f"{r['to_floor']:.2f}", f"{r['to_beast']:.2f}",
             f"{r['allocations']:.2f}", f"{r['system_calls']:.2f}") for r in layout["rows"]]
    return f"### {layout['name']}\n\n" + table(
        ("client", "CPU us", "x floor", "x Beast callbacks", "allocations", "system calls"), rows)


PAGE = """# Benchmarks

Written by `scripts/bench`, which builds the release preset, runs `hawser-bench-pipeline` and
`hawser-bench-http`, and replaces this page. Nothing on it is edited by hand.

{machine}
## How to read it

Absolute times drift between machines, and on a shared one from minute to minute. **Ratios** within
one run are what holds. Nanoseconds are CPU time, of {repetitions} short interleaved repetitions the
least disturbed one: a neighbour on the same core can halve its speed for some tens of milliseconds.
Requests are measured in {rounds} interleaved rounds of {requests} each; a ratio is
the median of the ratios within the rounds. Allocations are counted, and the same on every machine.
System calls are counted too; with many connections they depend on how many answers have come by the
time one looks, and so on how busy client and server are.

## Policies

A stage is what one policy does in one healthy call. By hand is the same policy used without a
pipeline. Added to a pipeline is what a pipeline of this one policy costs over an empty one: where a
policy is cheap the noise of two measurements is larger than it.

{policies}
Six policies are: timeout, rate limiter, bulkhead, retry, circuit breaker, timeout. The yardstick is
what no such pipeline can do without: a clock read at admission and one at completion, and four
updates of shared words.

{pipelines}
A refusal allocates once, for what its error can tell; the text is made for those who ask. No healthy
call takes a lock.

## Asio operations

{operations}
## HTTP requests

Kept-alive loopback connections; the answer is 200 bytes of JSON, a POST carries 1 KiB. Only the
client's thread counts. The floor is a loop written by hand on epoll that trusts the server and has
no time limit; over TLS it is OpenSSL on epoll. Beast's callbacks run on a plain socket without a
time limit; its coroutines are as documented, on `tcp_stream` with `expires_after`. Hawser has its
pool, its limits and a deadline on in both rows. With one connection, client and server share a CPU;
with 64 they have one each. Beast and Hawser read once in vain where the answer is not there yet,
which the floor does not; and before a POST, which must not go out twice, Hawser looks whether the
server has hung up.

{layouts}
Policies on against off, CPU per request: {on_off}.
"""


def page(p, http):
    layouts = http["layouts"]
    on_off = []
    for layout in layouts:
        by_name = {r["name"]: r["microseconds"] for r in layout["rows"]}
        times = by_name["hawser, standard pipeline"] / by_name["hawser, no policies"]
        on_off.append(f"{times:.2f} ({layout['name']})")
    return PAGE.format(
        machine=table(("", ""), machine()), repetitions=REPETITIONS,
        rounds=http["rounds"], requests=f"{http['requests']:,}", policies=policies(p),
        pipelines=pipelines(p), operations=operations(p),
        layouts="\n".join(requests(x) for x in layouts), on_off=", ".join(on_off))


COSTS = re.compile(r"(?<=<!-- costs: scripts/bench writes them -->\n).*?(?=<!-- /costs -->)", re.S)


def costs(p, http):
    """The few rows that stand in the README."""
    busy = {x["name"]: {r["name"]: r for r in x["rows"]} for x in http["layouts"]
            if "64 connections" in x["name"]}

    def to_beast(client):
        return ", ".join(f"{rows[client]['to_beast']:.2f} ({name.removesuffix(', 64 connections')})"
                         for name, rows in busy.items())

    made = max(rows["hawser, standard pipeline"]["allocations"] for rows in busy.values())
    facts = dict(machine())
    compiler = facts["compiler"].split()
    where = (f"Measured by `scripts/bench` on {facts['cores']} shared cores ({facts['processor']}, "
             f"{compiler[0]} {compiler[-1]} {facts['flags']}, {facts['date']}):\n\n")
    return where + table(("", ""), [
        ("`http::client` with the whole standard pipeline against raw Beast callbacks, 64 connections, "
         "CPU per request", to_beast("hawser, standard pipeline")),
        ("raw Beast coroutines, as documented, against the same", to_beast("beast coroutines")),
        ("timeout, limiter, bulkhead, retry, breaker, timeout around an empty callable",
         f"{p.ns[SIX]:.0f} ns, where two steady clock reads alone take "
         f"{p.ns['two_clock_reads']:.0f}; {p.ratio(SIX):.1f} times these and four atomic additions"),
        ("allocations: for policies; for a GET or POST with a reused response, in steady state",
         f"{p.allocations[SIX]:.0f}; {made:.2f}"),
    ])


def check(p):
    findings = []
    ratio = p.ratio(SIX)
    if ratio > MOST_SIX_TO_YARDSTICK:
        findings.append(f"{SIX}: {ratio:.2f} x the yardstick, at most "
                        f"{MOST_SIX_TO_YARDSTICK}")
    for name, made in p.allocations.items():
        most = next((n for start, n in ALLOCATES.items() if name.startswith(start)), 0)
        if made > most:
            findings.append(f"{name}: {made:.2f} allocations a call, at most {most}")
    return findings


def main(arguments):
    global REPETITIONS
    if len(arguments) == 2 and arguments[0] == "--check":
        findings = check(Pipeline(arguments[1]))
        print("\n".join(f"FAILED: {f}" for f in findings) or "allocations and ratios hold")
        return 1 if findings else 0
    readme = None
    if len(arguments) == 4 and arguments[0] == "--readme":
        readme, arguments = arguments[1], arguments[2:]
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with open(arguments[0], encoding="utf-8") as file:
        REPETITIONS = max(b.get("repetitions", 1) for b in json.load(file)["benchmarks"])
    pipeline = Pipeline(arguments[0])
    with open(arguments[1], encoding="utf-8") as file:
        http = json.load(file)
    if readme is None:
        print(page(pipeline, http), end="")
        return 0
    with open(readme, encoding="utf-8") as file:
        text = file.read()
    text, found = COSTS.subn(lambda _: costs(pipeline, http), text)
    if found != 1:
        print(f"{readme}: no place for the costs", file=sys.stderr)
        return 1
    with open(readme, "w", encoding="utf-8") as file:
        file.write(text)
    return 0


REPETITIONS = 1

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
