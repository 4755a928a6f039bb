"""The native library, if this installation has it.

Without it `Handle` is a stand-in that can be subclassed but not used: importing the package and publishing by
`SocketPublisher` need nothing native. A library that is there but does not fit is an error at import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from ._encke import Handle as Handle

    AVAILABLE = True
else:
    try:
        from ._encke import Handle

        AVAILABLE = True
    except ModuleNotFoundError as error:
        if error.name != f"{__package__}._encke":
            raise
        AVAILABLE = False

        class Handle:
            """Stands where the native handle would."""

            _is_open = False

            def __getattr__(self, name: str) -> Any:
                missing()


def missing() -> NoReturn:
    """Says what this installation lacks, and what to do about it."""
    raise ImportError(
        "this installation of encke has no native library: it was built without a Rust toolchain. "
        "SocketPublisher works; for Server and NativePublisher, install Rust (https://rustup.rs) or set ENCKE_LIBRARY "
        "to a prebuilt libencke, and install encke again"
    )
