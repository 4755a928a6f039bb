"""Builds the native half of the package: libencke by cargo, and the extension module that calls it.

The library is bundled beside the extension under its soname, where the extension finds it by its run path. The variable
ENCKE_LIBRARY changes where it comes from: a path is a prebuilt libencke, `none` builds without one. Without a Rust
toolchain, and without that variable, the package is pure Python: the publisher, and no server.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SUFFIX = "dylib" if sys.platform == "darwin" else "so"
ORIGIN = "@loader_path" if sys.platform == "darwin" else "$ORIGIN"


def find_library():
    """The path of a prebuilt library, `build` to build it, or None to go without."""
    chosen = os.environ.get("ENCKE_LIBRARY", "")
    if chosen == "none":
        return None
    if chosen:
        return Path(chosen).resolve(strict=True)
    if shutil.which("cargo") and (ROOT / "Cargo.toml").exists():
        return "build"
    reason = "no Rust toolchain" if (ROOT / "Cargo.toml").exists() else "this is not Encke's repository"
    print(
        f"encke: {reason}: installing the publisher in plain Python, without the server.\n"
        "encke: for the server, install Rust (https://rustup.rs) or set ENCKE_LIBRARY to a prebuilt libencke.",
        file=sys.stderr,
    )
    return None


def cargo_build():
    """Builds the library, and says where it is."""
    command = ["cargo", "rustc", "--locked", "--release", "--lib", "--crate-type", "cdylib", "--features", "library"]
    subprocess.run(command, cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR") or ROOT / "target"
    return (ROOT / target / "release" / f"libencke.{SUFFIX}").resolve(strict=True)


def soname(library):
    """The name that whoever links with the library will ask the loader for."""
    if sys.platform == "darwin":
        return library.name
    told = subprocess.run(
        ["readelf", "-d", library], check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    )
    found = re.search(r"SONAME.*\[(.+)\]", told.stdout)
    return found.group(1) if found else library.name


class BuildWithLibrary(build_ext):
    """Puts the library where the extension will look for it, then builds the extension against that copy."""

    def build_extension(self, extension):
        library = LIBRARY if LIBRARY != "build" else cargo_build()
        bundled = Path(self.get_ext_fullpath(extension.name)).parent / soname(library)
        bundled.parent.mkdir(parents=True, exist_ok=True)
        # Unlinked first: a process that has the old one mapped keeps it.
        bundled.unlink(missing_ok=True)
        shutil.copyfile(library, bundled)
        if sys.platform == "darwin":
            subprocess.run(["install_name_tool", "-id", f"@rpath/{bundled.name}", bundled], check=True)
        extension.extra_objects = [str(bundled)]
        super().build_extension(extension)


VERSION = re.search(r'VERSION = "(.+)"', (HERE / "src" / "encke" / "version.py").read_text()).group(1)
LIBRARY = find_library()
NATIVE = Extension(
    "encke._encke",
    sources=["src/encke/_encke.c"],
    depends=[str(ROOT / "include" / "encke.h")],
    include_dirs=[str(ROOT / "include")],
    define_macros=[("ENCKE_BINDING_VERSION", f'"{VERSION}"')],
    extra_compile_args=["-std=c11", "-O2", "-Wall", "-Wextra", "-Wno-missing-field-initializers"],
    extra_link_args=[f"-Wl,-rpath,{ORIGIN}"],
)

setup(ext_modules=[NATIVE] if LIBRARY else [], cmdclass={"build_ext": BuildWithLibrary})
