"""Conan 2 recipe for this source tree: conan create packaging/conan --build=missing"""

import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir


class HawserConan(ConanFile):
    name = "hawser"
    description = "Resilience policies for C++20: calls, Asio operations and REST"
    license = "MIT"
    topics = ("resilience", "retry", "circuit-breaker", "http", "asio")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {
        "shared": [True, False],
        "fPIC": [True, False],
        "http": [True, False],
        "spdlog": [True, False],
        "testing": [True, False],
    }
    default_options = {"shared": False, "fPIC": True, "http": True, "spdlog": True,
                       "testing": True}
    implements = ["auto_shared_fpic"]

    @property
    def _tree(self):
        return os.path.normpath(os.path.join(self.recipe_folder, "..", ".."))

    def set_version(self):
        text = load(self, os.path.join(self._tree, "include/hawser/version.hpp"))
        parts = [re.search(rf"HAWSER_VERSION_{part} (\d+)", text).group(1)
                 for part in ("MAJOR", "MINOR", "PATCH")]
        self.version = ".".join(parts)

    def export_sources(self):
        for what in ("CMakeLists.txt", "LICENSE", "cmake/*", "examples/fault_server/*", "include/*",
                     "src/*"):
            copy(self, what, self._tree, self.export_sources_folder)

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        self.requires("boost/[>=1.81.0]", transitive_headers=True)
        if self.options.http:
            self.requires("openssl/[>=3.0 <4]")
            self.requires("nlohmann_json/[>=3.11.0]", transitive_headers=True)
        if self.options.spdlog:
            self.requires("spdlog/[>=1.10.0]", transitive_headers=True)

    def validate(self):
        check_min_cppstd(self, 20)
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("only Linux is tested")
        if self.options.testing and not self.options.http:
            raise ConanInvalidConfiguration("testing=True needs http=True: its server speaks HTTP")

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["HAWSER_HTTP"] = bool(self.options.http)
        toolchain.cache_variables["HAWSER_SPDLOG"] = bool(self.options.spdlog)
        toolchain.cache_variables["HAWSER_TESTING"] = bool(self.options.testing)
        toolchain.cache_variables["HAWSER_BUILD_TESTS"] = False
        toolchain.cache_variables["HAWSER_BUILD_EXAMPLES"] = False
        toolchain.cache_variables["HAWSER_BUILD_BENCH"] = False
        toolchain.cache_variables["HAWSER_INSTALL"] = True
        toolchain.cache_variables["HAWSER_PCH"] = False
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()
        # Conan writes its own.
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))
        rmdir(self, os.path.join(self.package_folder, "share"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "hawser")
        self._component("core", ["boost::headers"])
        self._component("hawser", ["core", "boost::headers"])
        if self.options.http:
            self._component("http", ["hawser", "openssl::ssl", "openssl::crypto",
                                     "nlohmann_json::nlohmann_json"])
        if self.options.spdlog:
            self._component("spdlog", ["core", "spdlog::spdlog"])
        if self.options.testing:
            self._component("testing", ["http", "openssl::ssl", "openssl::crypto"])

    def _component(self, name, requires):
        own = "hawser" if name == "hawser" else f"hawser_{name}"
        component = self.cpp_info.components[name]
        component.libs = [own]
        component.requires = requires
        component.set_property("cmake_target_name", f"hawser::{name}")
        component.set_property("pkg_config_name", own.replace("_", "-"))
        if self.options.shared:
            component.defines = ["HAWSER_SHARED"]
        if name == "hawser":
            component.system_libs = ["pthread"]
