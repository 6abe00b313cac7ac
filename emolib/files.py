"""Writing files whole or not at all, and where the cache lies."""

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs

from emolib.errors import EmolibError


def cache_dir() -> Path:
    """The folder for everything that can be computed again: `$EMOLIB_CACHE` or the user's cache."""
    return Path(os.environ.get("EMOLIB_CACHE") or platformdirs.user_cache_dir("emolib"))


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file so that it appears complete or not at all.

    `write` receives an open binary file beside the target, which takes the target's place once it
    is closed. Raises EmolibError when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
        ) as file:
            temporary = Path(file.name)
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise EmolibError(f"cannot write {path}: {_why(error)}") from error
        raise


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    write_whole(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def digest(value: Any) -> str:
    """A short hash of anything that JSON can hold; equal values give equal hashes."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _why(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space or point EMOLIB_CACHE at another disk"
    return error.strerror or str(error)


def _umask() -> int:
    with contextlib.suppress(OSError):
        mask = os.umask(0o022)
        os.umask(mask)
        return mask
    return 0o022
