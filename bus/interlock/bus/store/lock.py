"""The lock that makes one process the owner of a database file; it knows nothing of what the file holds."""

from __future__ import annotations

__all__ = ["FileLock"]

import fcntl
import os
from pathlib import Path

from interlock.bus.errors import StoreBusyError


class FileLock:
    """An exclusive `flock(2)` on `<path>.lock`, which the kernel releases when its process ends, however it ends.

    The lock file names its holder's process id and stays when released: removing it would let two processes hold
    locks on two files of one name.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    def __repr__(self) -> str:
        return f"FileLock({str(self._path)!r}, held={self._descriptor is not None})"

    @classmethod
    def acquire(cls, database: Path) -> FileLock:
        """Take the lock at once or not at all. Raises StoreBusyError, naming the process that holds it."""
        path = database.with_name(f"{database.name}.lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreBusyError(
                f"the store {database} belongs to process {holder}: one process per agent and file; "
                "end that process, or give this agent a file of its own"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        return cls(path, descriptor)

    def release(self) -> None:
        """Let the next process in. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
