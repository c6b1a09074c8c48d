#!/usr/bin/env python3
"""Looks at shared libraries as the dynamic linker sees them.

    tests/packaging/check_symbols.py 0.1 build/package/src    # the soname's version; a folder
    tests/packaging/check_symbols.py --self-test

Each libhawser*.so carries a soname with the version, exports names of Hawser's inline namespace
and of Boost only what must be one in a process (cmake/exports.map), and finds the others beside it.
"""

import glob
import os
import re
import subprocess
import sys

# What the linker makes for a name.
MADE_FOR = (r"(?:(?:typeinfo|typeinfo name|vtable|VTT|guard variable) for |"
            r"(?:non-)?virtual thunk to )?")
OWN = re.compile(MADE_FOR + r"hawser::v0::")
ONE_IN_A_PROCESS = re.compile(
    r"boost::asio::.*::(?:instance_?|top_|id)$|guard variable for boost::asio::"
    r"|boost::system::detail::\w+_cat_holder<void>::instance$"
    r"|typeinfo (?:name )?for boost::")
# What programs must be able to derive from, catch and compare.
NEEDED_BY_PROGRAMS = {
    "vtable for hawser::v0::policy", "typeinfo for hawser::v0::call_error",
    "typeinfo for boost::system::system_error",
    "boost::asio::error::get_netdb_category()::instance",
}


def exported(library):
    """Demangled names that the library defines for others."""
    lines = subprocess.run(["nm", "--dynamic", "--defined-only", "--demangle", "--format=posix",
                            library], check=True, capture_output=True, text=True).stdout
    # name, type, value, size; the name may hold blanks.
    return sorted(re.sub(r" [A-Za-z?] [0-9a-f]+(?: [0-9a-f]+)?\s*$", "", line)
                  for line in lines.split("\n") if line)


def dynamic(library):
    """(soname, needed, run path) of the dynamic section."""
    text = subprocess.run(["readelf", "--dynamic", "--wide", library], check=True,
                          capture_output=True, text=True).stdout
    def all_of(tag):
        return re.findall(rf"\({tag}\)[^\[]*\[([^\]]*)\]", text)
    return (all_of("SONAME") or [""])[0], all_of("NEEDED"), all_of("RUNPATH") + all_of("RPATH")


def judge_names(names):
    findings = [f"exports {name}" for name in names
                if not OWN.match(name) and not ONE_IN_A_PROCESS.match(name)]
    if not any(OWN.match(name) for name in names):
        findings.append("exports nothing of hawser::v0")
    return findings


def judge_dynamic(file, version, soname, needed):
    findings = []
    wanted = re.sub(r"\.so.*", ".so", file) + "." + version
    if soname != wanted:
        findings.append(f"its soname is '{soname}', must be {wanted}")
    for other in needed:
        if other.startswith("libhawser") and not other.endswith(".so." + version):
            findings.append(f"needs {other}, whose name carries no version")
    return findings


def check(version, folder):
    libraries = sorted(glob.glob(os.path.join(folder, "libhawser*.so")))
    findings = [] if libraries else [f"{folder}: no libhawser*.so"]
    missing = set(NEEDED_BY_PROGRAMS)
    for library in libraries:
        soname, needed, _ = dynamic(library)
        file = os.path.basename(library)
        names = exported(library)
        missing -= set(names)
        mine = judge_names(names) + judge_dynamic(file, version, soname, needed)
        findings += [f"{file}: {what}" for what in mine]
    findings += [f"no library exports {name}" for name in sorted(missing)]
    if not findings:
        print(f"{len(libraries)} shared libraries, soname .so.{version}")
    return findings


GOOD = ["hawser::v0::retry_policy::retry_policy(hawser::v0::retry)",
        "vtable for hawser::v0::policy", "typeinfo for boost::system::system_error",
        "non-virtual thunk to hawser::v0::http::client::~client()",
        "boost::asio::error::get_netdb_category()::instance"]
BAD = ["std::_Sp_make_shared_tag::_S_ti()", "hawser::retry_policy::kind() const",
       "boost::asio::io_context::run()", "main", "vtable for std::bad_variant_access"]


def self_test():
    wrong = [f"finding in harmless names: {f}" for f in judge_names(GOOD)]
    wrong += [f"not found: {name}" for name in BAD if not judge_names(GOOD + [name])]
    if not judge_names([]):
        wrong.append("not found: no name at all")
    if judge_dynamic("libhawser.so", "0.1", "libhawser.so.0.1", ["libhawser_core.so.0.1"]):
        wrong.append("finding in a harmless dynamic section")
    if not judge_dynamic("libhawser.so", "0.1", "libhawser.so", []):
        wrong.append("not found: a soname without version")
    if not judge_dynamic("libhawser.so", "0.1", "libhawser.so.0.1", ["libhawser_core.so"]):
        wrong.append("not found: a need without version")
    return wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        findings = self_test()
    elif len(sys.argv) == 3:
        findings = check(*sys.argv[1:])
    else:
        print(__doc__)
        return 2
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
