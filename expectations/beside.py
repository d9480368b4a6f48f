"""The gate in a process of its own, which imports Great Expectations (3 s) while the caller still builds.

It judges when it is asked to, and ends at once when the caller is gone: nobody but the holder of the home's lock may
write a verdict.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from threading import Thread
from typing import Any

from expectations import gate as gates
from hfc.home import HfcError, Home, keep_objects


class Beside:
    """A gate that gets ready in the background, as a context: `prepare` starts it, `gate` asks for a verdict."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()

    def prepare(self) -> int:
        """Start the process, which imports what it will need; give its identifier."""
        command = [sys.executable, "-P", "-m", __name__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._process.pid

    def gate(self, home: Home, approved: Mapping[tuple[str, str], dict[str, str]]) -> gates.Gate:
        """As `expectations.gate.gate`, with the same errors.

        Raises:
            HfcError: the process ended without a verdict.
        """
        assert self._process and self._process.stdin and self._process.stdout, "prepare comes first"
        try:
            pickle.dump((home, dict(approved)), self._process.stdin)
            self._process.stdin.flush()
            answer = pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            status = self._process.wait()
            raise HfcError(f"The gate ended without a verdict (status {status}): run hfc gate to see why") from None
        if isinstance(answer, HfcError):
            raise answer
        verdict: gates.Gate = answer
        return verdict


def main() -> None:
    """The process: get ready, read what to judge, answer with the verdict or with the error that it raised."""
    keep_objects()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    gates.prepare()
    gates.declared_suites("")
    try:
        home, approved = pickle.load(sys.stdin.buffer)
    except EOFError:
        return
    Thread(target=_end_with_caller, daemon=True).start()
    answer: Any
    try:
        answer = gates.gate(home, approved)
    except HfcError as error:
        answer = error
    pickle.dump(answer, answers)
    answers.close()


def _end_with_caller() -> None:
    """End this process as soon as the caller has closed its end of the pipe, or is gone."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
