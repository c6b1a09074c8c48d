#!/usr/bin/env python3
"""Looks at the Debian packages of a build tree: names, dependencies, and which file is in which.

    tests/packaging/check_deb.py 0.1 build/package
"""

import glob
import os
import re
import subprocess
import sys


def field(deb, name):
    return subprocess.run(["dpkg-deb", "--field", deb, name], check=True, capture_output=True,
                          text=True).stdout.strip()


def files(deb):
    listing = subprocess.run(["dpkg-deb", "--contents", deb], check=True, capture_output=True,
                             text=True).stdout
    paths = [line.split(None, 5)[5].split(" -> ")[0] for line in listing.splitlines()]
    return [path.lstrip(".") for path in paths if not path.endswith("/")]


def check(soversion, folder):
    debs = {field(deb, "Package"): deb for deb in glob.glob(os.path.join(folder, "*.deb"))}
    runtime, dev, testing = f"libhawser{soversion}", "libhawser-dev", "hawser-testing"
    if sorted(debs) != sorted([runtime, dev, testing]):
        return [f"packages {sorted(debs)}, must be {runtime}, {dev} and {testing}"]
    version = field(debs[dev], "Version")
    findings = []

    needs = {name: field(deb, "Depends") for name, deb in debs.items()}
    wanted = {runtime: ["libc6 (>=", "libstdc++6 (>=", "libssl3 (>=", "libspdlog1.10"],
              dev: [f"{runtime} (= {version})", "libboost1.81-dev", "nlohmann-json3-dev (>= 3.11)",
                    "libssl-dev (>= 3.0)", "libspdlog-dev", f"{testing} (= {version})"],
              testing: [f"{runtime} (= {version})", "libc6 (>=", "libstdc++6 (>=", "libssl3 (>="]}
    for name, wants in wanted.items():
        findings += [f"{name} depends on '{needs[name]}', not on {want}"
                     for want in wants if want not in needs[name]]
    for name in (runtime, testing):
        if "-dev" in needs[name] or testing in needs[name]:
            findings.append(f"{name} depends on '{needs[name]}'")

    # What services are run with holds nothing that only tests need.
    for path in files(debs[runtime]):
        if not re.fullmatch(r"/usr/lib/[^/]+/libhawser(_core|_http|_spdlog)?\.so\.[\d.]+", path):
            findings.append(f"{runtime} holds {path}")
    for must in (r"/usr/bin/hawser-fault-server",
                 rf"/usr/lib/[^/]+/libhawser_testing\.so\.{re.escape(soversion)}"):
        if not any(re.fullmatch(must, path) for path in files(debs[testing])):
            findings.append(f"{testing} lacks {must}")
    for path in files(debs[testing]):
        if not re.fullmatch(r"/usr/bin/hawser-fault-server|/usr/lib/[^/]+/libhawser_testing\.so"
                            r"\.[\d.]+", path):
            findings.append(f"{testing} holds {path}")
    names = files(debs[dev])
    if any(re.search(r"\.so\.\d", path) for path in names):
        findings.append(f"{dev} holds a versioned library")
    for must in (r"/usr/include/hawser/hawser\.hpp", r"/usr/include/hawser/http/client\.hpp",
                 r"/usr/lib/[^/]+/libhawser_core\.so", r"/usr/lib/[^/]+/libhawser_testing\.so",
                 r"/usr/lib/[^/]+/cmake/hawser/hawserConfig\.cmake",
                 r"/usr/lib/[^/]+/pkgconfig/hawser-spdlog\.pc", r"/usr/share/doc/.*LICENSE"):
        if not any(re.fullmatch(must, path) for path in names):
            findings.append(f"{dev} lacks {must}")
    if not findings:
        for name in (runtime, testing, dev):
            print(f"{name} {version}: {needs[name]}")
    return findings


def main():
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    findings = check(*sys.argv[1:])
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
