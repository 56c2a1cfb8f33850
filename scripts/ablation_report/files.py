"""Writes files so that none is ever seen half-written."""

import os
import pathlib
import tempfile


def write(path, content):
    """Text or bytes; beside its place first, then renamed. Folders are made where they are missing."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(temporary, 0o644)  # mkstemp's own is for its owner only
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
