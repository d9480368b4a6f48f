"""A step in a process of its own, which imports what it needs (seconds) while the caller does another step.

It ends as soon as its caller is gone: nobody but the holder of the home's lock may write to the home.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any

from hfc.home import HfcError, keep_objects, one_line

# A process that is killed leaves dbt's semaphores to Python, which frees them and would say so.
_UNSAID = "ignore:resource_tracker:UserWarning"


class Beside:
    """A process for one call, as a context: `start` has it get ready, `call` has it do its step.

    All that goes there and comes back is pickled; a function is one of a module, by its name.
    """

    def __init__(self, step: str, get_ready: Callable[..., object], *arguments: object) -> None:
        self._step, self._get_ready = step, (get_ready, arguments)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()

    def start(self) -> int:
        """Start the process, if it is not there yet; give its identifier."""
        return self._started().pid

    def call(self, function: Callable[..., Any], *arguments: object) -> Any:
        """As `function(*arguments)`, with the same `HfcError`s; any other error becomes one.

        Raises:
            HfcError: the process ended without an answer.
        """
        process = self._started()
        assert process.stdout
        try:
            _send(process, (function, arguments))
            answer = pickle.load(process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            raise HfcError(
                f"The {self._step} ended without an answer (status {process.wait()}): run hfc {self._step} to see why"
            ) from None
        if isinstance(answer, HfcError):
            raise answer
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            command = [sys.executable, "-P", "-W", _UNSAID, "-m", __name__]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            with suppress(BrokenPipeError):  # `call` tells of it
                _send(self._process, self._get_ready)
        return self._process


def _send(process: subprocess.Popen[bytes], call: tuple[Callable[..., object], tuple[object, ...]]) -> None:
    assert process.stdin
    pickle.dump(call, process.stdin)
    process.stdin.flush()


def main() -> None:
    """The process: get ready, do what is called, answer with the result or the error."""
    keep_objects()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller gets it, too, and ends this process
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    calls: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_listen, args=[calls], daemon=True).start()
    answer = _answer(calls)
    sys.stdout.flush()
    atexit._run_exitfuncs()
    pickle.dump(answer, answers)
    answers.close()
    os._exit(0)  # to free what a step has made can take Python a second


def _listen(calls: SimpleQueue[Any]) -> None:
    """Take calls; end this process as soon as the caller has closed its end of the pipe, or is gone."""
    try:
        while True:
            calls.put(pickle.load(sys.stdin.buffer))
    except EOFError:
        pass
    except Exception:
        traceback.print_exc()  # a call of what is not here
    finally:
        os._exit(1)


def _answer(calls: SimpleQueue[Any]) -> object:
    """What the second call gives, once the first is done, or the error of either."""
    try:
        get_ready, arguments = calls.get()
        get_ready(*arguments)
        function, arguments = calls.get()
        return function(*arguments)
    except HfcError as error:
        return error
    except Exception as error:
        if os.environ.get("HFC_DEBUG") == "1":
            traceback.print_exc()
        return HfcError(one_line(error))


if __name__ == "__main__":
    main()
