"""The package itself: its versions, what it does without the native library, and with one that does not fit."""

from __future__ import annotations

import importlib.metadata
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conditions import SECONDS
from peer import Peer

import encke

PACKAGE = Path(encke.__file__).parent
SOURCE = Path(__file__).resolve().parent.parent
ROOT = SOURCE.parent.parent


def test_there_is_one_version():
    crate = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    assert encke.__version__ == crate == importlib.metadata.version("encke")
    from encke._encke import library_version

    assert library_version == crate


def test_what_is_exported_exists_and_is_documented():
    for name in encke.__all__:
        assert getattr(encke, name).__doc__, name
    for kind in (encke.Server, encke.NativePublisher, encke.SocketPublisher):
        for name in ("publish", "publish_many", "publish_pairs", "flush"):
            assert getattr(kind, name).__doc__, (kind, name)


def test_every_code_of_the_header_has_an_exception():
    header = (ROOT / "include" / "encke.h").read_text()
    codes = {int(code) for code in re.findall(r"ENCKE_E[A-Z]+ = (-\d+)", header)}
    assert codes == set(encke.errors.BY_CODE)
    kinds = {name: int(number) for name, number in re.findall(r"ENCKE_EVENT_(\w+) = (\d+)", header)}
    assert kinds == {kind.name: kind.value for kind in encke.EventKind}


def run_with(path, script):
    environment = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=SECONDS
    )


def test_without_a_native_library_the_publisher_works_and_the_server_says_what_is_missing(tmp_path):
    site, source = tmp_path / "site", tmp_path / "source"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "tests", "examples"))
    build = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        site,
        source,
    ]
    environment = {name: value for name, value in os.environ.items() if name != "ENCKE_LIBRARY"}
    subprocess.run(build, check=True, timeout=SECONDS * 4, env={**environment, "ENCKE_LIBRARY": "none"})
    assert not list(site.glob("encke/*.so*"))
    with Peer(str(tmp_path / "peer.sock")) as peer:
        done = run_with(
            site,
            f"import encke; assert encke.__file__.startswith({str(site)!r})\n"
            "assert encke.Publisher is encke.SocketPublisher\n"
            f"with encke.Publisher({peer.address!r}) as publisher: publisher.publish('/a', 'x')\n"
            "for kind in (encke.Server, encke.NativePublisher):\n"
            "    try: kind('unix:x')\n"
            "    except ImportError as error: print(error)\n",
        )
        assert done.stderr == ""
        assert done.stdout.count("without a Rust toolchain") == 2
        assert peer.data == [b"x"]


@pytest.mark.parametrize("abi, version, complaint", [(99, "0.1.0", "ABI version 99"), (1, "9.9.9", "version 9.9.9")])
def test_a_library_that_does_not_fit_is_refused_at_import(tmp_path, abi, version, complaint):
    site = tmp_path / "site"
    shutil.copytree(PACKAGE, site / "encke")
    [bundled] = (site / "encke").glob("libencke*")
    names = set(re.findall(r"\b(encke_\w+)\(", (ROOT / "include" / "encke.h").read_text()))
    names -= {"encke_abi_version", "encke_version"}
    stub = tmp_path / "stub.c"
    stub.write_text(
        f'int encke_abi_version(void) {{ return {abi}; }}\nconst char *encke_version(void) {{ return "{version}"; }}\n'
        + "".join(f"void {name}(void) {{}}\n" for name in sorted(names))
    )
    bundled.unlink()
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", bundled, f"-Wl,-soname,{bundled.name}", stub], check=True)
    done = run_with(site, "import encke")
    assert done.returncode == 1
    assert "ImportError: libencke" in done.stderr and complaint in done.stderr


def test_errors_can_be_pickled():
    error = encke.Unconfirmed("text", 1, 2)
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.refused, again.doubtful, again.code) == ("text", 1, 2, error.code)
    assert pickle.loads(pickle.dumps(encke.Full("full"))).message == "full"
