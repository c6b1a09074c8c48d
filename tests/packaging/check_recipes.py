#!/usr/bin/env python3
"""Holds the vcpkg port and the Conan recipe to this tree, as far as can be without the tools.

    tests/packaging/check_recipes.py [--self-test]

What they name must be there: CMake options, components, libraries, the version; the manifest must
be JSON with keys that vcpkg knows, the recipe Python.
"""

import json
import os
import re
import shutil
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PORT = "packaging/vcpkg/ports/hawser"
RECIPE = "packaging/conan/conanfile.py"
# https://learn.microsoft.com/vcpkg/reference/vcpkg-json
MANIFEST_KEYS = {"$schema", "name", "version", "port-version", "description", "homepage", "license",
                 "supports", "dependencies", "default-features", "features", "documentation",
                 "maintainers", "summary", "overrides", "builtin-baseline"}
DEPENDENCY_KEYS = {"name", "default-features", "features", "host", "platform", "version>="}
FEATURE_KEYS = {"description", "dependencies", "supports", "license"}


class Checker:
    def __init__(self, root):
        self.root = root
        self.findings = []

    def report(self, where, what):
        self.findings.append(f"{where}: {what}")

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def run(self):
        self.options = set(re.findall(r"^option\((HAWSER_\w+)", self.read("CMakeLists.txt"), re.M))
        self.libraries = dict(re.findall(r"hawser_library\((\w+) EXPORT_NAME (\w+)",
                                         self.read("src/CMakeLists.txt")))
        version = self.read("include/hawser/version.hpp")
        self.version = ".".join(re.search(rf"#define HAWSER_VERSION_{part} (\d+)", version).group(1)
                                for part in ("MAJOR", "MINOR", "PATCH"))
        self.check_port()
        self.check_recipe()
        return self.findings

    def check_options(self, where, text):
        for option in sorted(set(re.findall(r"\bHAWSER_[A-Z_]+", text))):
            if option not in self.options and option not in ("HAWSER_SHARED", "HAWSER_VERSION_"):
                self.report(where, f"{option} is no option of CMakeLists.txt")

    def check_targets(self, where, text):
        for name in re.findall(r"hawser::(\w+)", text):
            if name not in self.libraries.values():
                self.report(where, f"there is no target hawser::{name}")

    # --- vcpkg ---------------------------------------------------------------------------------

    def check_port(self):
        where = f"{PORT}/vcpkg.json"
        try:
            manifest = json.loads(self.read(where))
        except ValueError as error:
            self.report(where, f"not JSON: {error}")
            return
        self.check_keys(where, manifest, MANIFEST_KEYS, "name", "version", "description", "license")
        if manifest.get("version") != self.version:
            self.report(where, f"the version is {self.version}, not {manifest.get('version')}")
        features = manifest.get("features", {})
        self.check_dependencies(where, manifest.get("dependencies", []), features)
        for name, feature in features.items():
            if name not in self.libraries.values():
                self.report(where, f"the feature {name} is no component")
            self.check_keys(where, feature, FEATURE_KEYS, "description")
            self.check_dependencies(where, feature.get("dependencies", []), features)
        for name in sorted(set(self.libraries.values()) - {"core", "hawser"} - set(features)):
            self.report(where, f"the component {name} is no feature")
        for name in manifest.get("default-features", []):
            if name not in features:
                self.report(where, f"the default feature {name} is not there")

        where = f"{PORT}/portfile.cmake"
        text = self.read(where)
        self.check_options(where, text)
        block = re.search(r"FEATURES\n(.*?)\n\)", text, re.S)
        passed = dict(re.findall(r"(\w+) (\w+)", block.group(1))) if block else {}
        for name in features:
            if passed.get(name) != f"HAWSER_{name.upper()}":
                self.report(where, f"the feature {name} sets {passed.get(name)}")
        for name in sorted(set(passed) - set(features)):
            self.report(where, f"the feature {name} is not in vcpkg.json")
        if f"${{CURRENT_PORT_DIR}}/{'/'.join(['..'] * (PORT.count('/') + 1))}" not in text:
            self.report(where, "SOURCE_PATH is not the root of the tree")
        self.check_targets(f"{PORT}/usage", self.read(f"{PORT}/usage"))

    def check_keys(self, where, given, known, *required):
        for key in sorted(set(given) - known):
            self.report(where, f"vcpkg knows no key {key}")
        for key in required:
            if not given.get(key):
                self.report(where, f"{key} is missing")

    def check_dependencies(self, where, dependencies, features):
        for dependency in dependencies:
            if isinstance(dependency, str):
                dependency = {"name": dependency}
            self.check_keys(where, dependency, DEPENDENCY_KEYS, "name")
            if not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", dependency.get("name", "")):
                self.report(where, f"{dependency.get('name')} cannot be a port's name")
            if dependency.get("name") == "hawser":
                for name in dependency.get("features", []):
                    if name not in features:
                        self.report(where, f"the feature {name} is not there")

    # --- Conan ---------------------------------------------------------------------------------

    def check_recipe(self):
        texts = {}
        for path in (RECIPE, "packaging/conan/test_package/conanfile.py"):
            texts[path] = self.read(path)
            try:
                compile(texts[path], path, "exec")
            except SyntaxError as error:
                self.report(path, f"not Python: {error}")
        text = texts[RECIPE]
        self.check_options(RECIPE, text)
        components = re.findall(r'_component\("(\w+)"', text)
        if sorted(components) != sorted(self.libraries.values()):
            self.report(RECIPE, f"components {components}, the tree has "
                                f"{sorted(self.libraries.values())}")
        for target, name in self.libraries.items():
            made = "hawser" if name == "hawser" else f"hawser_{name}"
            if target != made:
                self.report(RECIPE, f"the library of {name} is {target}, the recipe makes {made}")
        options = re.search(r"\n    options = \{(.*?)\n    \}", text, re.S)
        named = re.findall(r'"(\w+)":', options.group(1)) if options else []
        for name in named:
            if name not in ("shared", "fPIC") and f"HAWSER_{name.upper()}" not in self.options:
                self.report(RECIPE, f"the option {name} is none of CMakeLists.txt")
        for name in re.findall(r"self\.options\.(\w+)", text):
            if name not in named:
                self.report(RECIPE, f"self.options.{name} is not declared")
        for path in re.findall(r'for what in \((.*?)\)', text, re.S):
            for what in re.findall(r'"([^"*]+?)/?\*?"', path):
                if not os.path.exists(os.path.join(self.root, what)):
                    self.report(RECIPE, f"exports {what}, which is not there")
        where = "packaging/conan/test_package/CMakeLists.txt"
        self.check_targets(where, self.read(where))


# Path, what to replace, by what, and what the finding must say.
BREAKS = [
    (f"{PORT}/vcpkg.json", '"version": "0.1.0"', '"version": "9.9.9"', "the version is"),
    (f"{PORT}/vcpkg.json", '"license"', '"licence"', "no key licence"),
    (f"{PORT}/vcpkg.json", '"spdlog": {', '"speclog": {', "speclog is no component"),
    (f"{PORT}/vcpkg.json", '"features": {', '"features": {,', "not JSON"),
    (f"{PORT}/vcpkg.json", '"boost-asio"', '"Boost_Asio"', "cannot be a port's name"),
    (f"{PORT}/portfile.cmake", "http HAWSER_HTTP", "http HAWSER_TLS", "HAWSER_TLS is no option"),
    (f"{PORT}/portfile.cmake", "testing HAWSER_TESTING", "", "the feature testing sets None"),
    (f"{PORT}/portfile.cmake", "../../../..", "../../..", "SOURCE_PATH"),
    (f"{PORT}/usage", "hawser::hawser", "hawser::hawse", "no target hawser::hawse"),
    (RECIPE, 'self._component("testing"', 'self._component("tests"', "components"),
    (RECIPE, '"HAWSER_SPDLOG"', '"HAWSER_LOG"', "HAWSER_LOG is no option"),
    (RECIPE, "def build(self):", "def build(self)", "not Python"),
    (RECIPE, "self.options.testing and", "self.options.tests and", "tests is not declared"),
    (RECIPE, '"include/*"', '"includes/*"', "includes, which is not there"),
]


def self_test():
    wrong = [f"finding in the tree itself: {line}" for line in Checker(ROOT).run()]
    with tempfile.TemporaryDirectory() as root:
        for path in ("packaging", "cmake", "src", "include", "examples/fault_server"):
            shutil.copytree(os.path.join(ROOT, path), os.path.join(root, path))
        for path in ("CMakeLists.txt", "LICENSE"):
            shutil.copy(os.path.join(ROOT, path), root)
        for path, before, after, expected in BREAKS:
            full = os.path.join(root, path)
            with open(full, encoding="utf-8") as file:
                text = file.read()
            if before not in text:
                wrong.append(f"{path}: '{before}' is not there to be broken")
                continue
            with open(full, "w", encoding="utf-8") as file:
                file.write(text.replace(before, after, 1))
            if not any(expected in line for line in Checker(root).run()):
                wrong.append(f"{path}: {before} -> {after}: no finding with '{expected}'")
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
    return wrong


def main():
    findings = self_test() if sys.argv[1:] == ["--self-test"] else Checker(ROOT).run()
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
