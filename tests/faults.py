"""A disk that fails, or a machine that stops, at a chosen write of a command and its children.

The kernel hands every writing call to this process before carrying it out (seccomp's user notification), whoever makes
it: Python, DuckDB or Arrow. One on a file below `folder` can then be refused with an error of the disk, or the command
be killed in its place. Needs Linux 5.5 or later; no privilege, no compiler.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

# The calls that write, by machine: their numbers, and which argument is the file that is written to.
CALLS = {
    "x86_64": {1: 0, 18: 0, 20: 0, 296: 0, 328: 0, 40: 0, 326: 2, 285: 0, 74: 0, 75: 0},
    "aarch64": {64: 0, 68: 0, 66: 0, 70: 0, 287: 0, 71: 0, 285: 2, 47: 0, 82: 0, 83: 0},
}  # write, pwrite64, writev, pwritev, pwritev2, sendfile, copy_file_range, fallocate, fsync, fdatasync
SECCOMP = {"x86_64": 317, "aarch64": 277}
# From linux/seccomp.h, linux/filter.h and linux/prctl.h.
SET_MODE_FILTER, NEW_LISTENER, CONTINUE = 1, 8, 1
LOAD, EQUAL, RETURN, NOTIFY, ALLOW = 0x20, 0x15, 0x06, 0x7FC00000, 0x7FFF0000
RECEIVE, SEND = 0xC0502100, 0xC0182101
NO_NEW_PRIVILEGES = 38


@dataclass(frozen=True)
class Ended:
    """How a command ended, how many writes below the folder it tried, and how many of them failed."""

    returncode: int
    stdout: str
    stderr: str
    writes: int
    failed: int


def run(
    command: Sequence[str | Path], folder: Path, first: int = 0, last: int | None = None, error: int | None = None
) -> Ended:
    """Run a command; its writes below `folder` fail with `error` from the `first` (of 1, 2, …) to the `last`.

    Without `first` none fails, without `last` all from there on, and without `error` the command is killed there.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True, preexec_fn=lambda: _hand_over(theirs),
        )  # fmt: skip
        listener = socket.recv_fds(ours, 1, 1)[1][0]
    disk = _Disk(listener, folder, process.pid, first, last, error)
    server = Thread(target=disk.serve)
    server.start()
    stdout, stderr = process.communicate()
    server.join()
    return Ended(process.returncode, stdout, stderr, disk.writes, disk.failed)


def _hand_over(parent: socket.socket) -> None:
    """In the new process: have its writing calls announced, and give the parent the descriptor that announces them."""
    libc = ctypes.CDLL(None, use_errno=True)
    calls = CALLS[platform.machine()]
    # Compare the call's number with each of ours; whatever equals none of them is allowed.
    steps = [(LOAD, 0, 0, 0)]
    steps += [(EQUAL, len(calls) - place, 0, number) for place, number in enumerate(calls)]
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, NOTIFY)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener = libc.syscall(SECCOMP[platform.machine()], SET_MODE_FILTER, NEW_LISTENER, program)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    socket.send_fds(parent, [b"."], [listener])
    os.close(listener)


class _Disk:
    """Answers for the disk below a folder."""

    def __init__(
        self, listener: int, folder: Path, group: int, first: int, last: int | None, error: int | None
    ) -> None:
        self.listener, self.folder, self.group = listener, f"{folder.resolve()}/", group
        self.first, self.last, self.error = first, last, error
        self.writes = self.failed = 0

    def serve(self) -> None:
        """Answer every call until the command and its children have ended."""
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        while not poll.poll()[0][1] & select.POLLHUP:
            call = bytearray(80)
            try:
                fcntl.ioctl(self.listener, RECEIVE, call)
                fcntl.ioctl(self.listener, SEND, self._answer(call))
            except FileNotFoundError:  # its process was killed meanwhile
                continue
        os.close(self.listener)

    def _answer(self, call: bytearray) -> bytearray:
        number, thread, _, name, _, _, *arguments = struct.unpack("=QIIiIQ6Q", call)
        if not self._is_below(thread, arguments[CALLS[platform.machine()][name]]):
            return _response(number)
        self.writes += 1
        if not self.first or self.writes < self.first or (self.last and self.writes > self.last):
            return _response(number)
        self.failed += 1
        if self.error is None:
            os.killpg(self.group, signal.SIGKILL)
        return _response(number, self.error)

    def _is_below(self, thread: int, descriptor: int) -> bool:
        try:
            return os.readlink(f"/proc/{thread}/fd/{descriptor}").startswith(self.folder)
        except FileNotFoundError:
            return False


def _response(number: int, error: int | None = None) -> bytearray:
    return bytearray(struct.pack("=QqiI", number, 0, -(error or 0), 0 if error else CONTINUE))
