"""Writes files so that none is ever seen half-written."""

import contextlib
import os
import pathlib
import tempfile


def write(path, content):
    """Text or bytes, beside its place first, then renamed; folders are made where they are missing.
    An OSError names the path, which that of a full disk does not do by itself."""
    path = pathlib.Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_beside_and_rename(path, content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_beside_and_rename(path, content):
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(temporary, 0o644)  # mkstemp's own is for its owner only
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first fault is the one to tell
            os.unlink(temporary)
        raise
