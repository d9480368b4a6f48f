"""Formats that foreign libraries parse, read in a process of their own: what breaks or floods it ends it alone.

The parent calls `isolated`; the child (`python -m ingest.readers.child …`) parses under limits of memory, time and
output and writes every sheet as lines of JSON, one a record, into a folder that the parent then streams.
Parquet is only proved readable there, to the last value; DuckDB reads it again in bulk.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from hfc.home import DISK_TROUBLES, DiskTrouble, on_disk
from ingest.readers.limits import CELL_LIMIT, COLUMN_LIMIT, UNPACKED_LIMIT
from ingest.readers.records import Reading, Record, Unreadable

MEMORY_LIMIT = 4 << 30
CPU_SECONDS = 600
SECONDS = 900.0
SHEET_LIMIT = 1000
Sheets = Callable[[Path, Path], Iterable[tuple[str | None, Iterable[Record]]]]
_encode = json.JSONEncoder(ensure_ascii=False).encode
# Each module has `sheets(path, scratch)`: pairs of a sheet's name and its records.
_MODULES = {
    "workbook": "ingest.readers.excel",
    "HTML": "ingest.readers.html",
    "JSON": "ingest.readers.documents",
    "JSON of statistics": "ingest.readers.series.json_answers",
    "SDMX-ML": "ingest.readers.series.sdmx_xml",
}


def isolated(form: str, path: Path, scratch: Path) -> list[Reading]:
    """Every sheet of a delivery of `form`: one of `_MODULES`.

    Raises:
        Unreadable: refused by the reader, or the reader needed more than its limits or crashed.
    """
    return written(run(form, path, scratch), _folder(scratch))


def written(names: list[str | None], folder: Path) -> list[Reading]:
    """The sheets that a child left in `folder`."""
    return [
        Reading(records=partial(_records, folder / f"{number}.jsonl"), sheet=name) for number, name in enumerate(names)
    ]


def run(form: str, path: Path, scratch: Path) -> list[Any]:
    """What the child found: the sheets' names, or of Parquet its facts.

    Raises:
        Unreadable: as `isolated`.
        DiskTrouble: the disk failed.
    """
    folder = _folder(scratch)
    folder.mkdir()
    # -P: a module beside the caller's working directory is never imported.
    command = [sys.executable, "-P", "-X", "utf8", "-m", __name__, form, path, folder, MEMORY_LIMIT, CPU_SECONDS]
    try:
        done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise Unreadable(f"unreadable: reading the {form} takes more than {SECONDS:g} s") from None
    if done.returncode in DISK_TROUBLES:
        raise DiskTrouble(done.returncode, folder)
    answer = folder / "result.json"
    if not answer.exists():
        raise Unreadable(_death(form, done))
    found = json.loads(answer.read_text(encoding="utf-8"))
    if "refused" in found:
        raise Unreadable(found["refused"])
    return list(found["done"])


def _folder(scratch: Path) -> Path:
    return scratch / "sheets"


def _death(form: str, done: subprocess.CompletedProcess[bytes]) -> str:
    """Why a child ended without a result."""
    if done.returncode == -signal.SIGXCPU:
        return f"unreadable: reading the {form} takes more than {CPU_SECONDS} s of computing"
    if b"memory allocation" in done.stderr or b"MemoryError" in done.stderr:
        return f"unreadable: the {form} needs more than {MEMORY_LIMIT >> 20} MiB of memory"
    return f"unreadable: the {form} ended its reader (status {done.returncode}); it is damaged, or too large"


def _records(path: Path) -> Iterator[Record]:
    with open(path, "rb") as lines:
        for line in lines:
            yield Record(*json.loads(line))


def main(form: str, path: str, folder: str, memory: str, seconds: str) -> None:
    """The child: parse under limits, and leave `result.json`; where the disk fails, its `errno` is the exit status."""
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))  # a signal first, which tells why
    resource.setrlimit(resource.RLIMIT_FSIZE, (UNPACKED_LIMIT, UNPACKED_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        found = result(form, Path(path), Path(folder))
        with on_disk(Path(folder)):
            (Path(folder) / "result.json").write_text(json.dumps(found), encoding="utf-8")
    except DiskTrouble as error:
        sys.exit(error.trouble)


def result(form: str, path: Path, folder: Path) -> dict[str, Any]:
    """What `run` gives, as `done`, or why the delivery is `refused`.

    Raises:
        DiskTrouble: the disk failed; no other exception leaves.
    """
    try:
        with on_disk(folder):
            return {"done": _done(form, path, folder)}
    except DiskTrouble:
        raise
    except Unreadable as error:
        return {"refused": str(error)}
    except (MemoryError, ImportError):  # a shared library that finds no room is an ImportError
        return {"refused": f"unreadable: the {form} needs more than {_memory() >> 20} MiB of memory"}
    except BaseException as error:  # a panic of a Rust library is no Exception
        text = (str(error).splitlines() or [""])[0][:200]
        return {"refused": f"unreadable: the {form} is damaged: {type(error).__name__}: {text}"}


def _memory() -> int:
    return resource.getrlimit(resource.RLIMIT_AS)[0]


def _done(form: str, path: Path, folder: Path) -> list[Any]:
    if form == "Parquet":
        from ingest.readers.columnar import facts

        return facts(path)
    return _write(import_module(_MODULES[form]).sheets, path, folder)


def _write(sheets: Sheets, path: Path, folder: Path) -> list[str | None]:
    """Write each sheet's rows that hold anything, and give the sheets' names."""
    names: list[str | None] = []
    for name, records in sheets(path, folder):
        place = "" if name is None else f" of sheet {name}"
        if len(names) == SHEET_LIMIT:
            raise Unreadable(f"unreadable: more than {SHEET_LIMIT} sheets")
        with open(folder / f"{len(names)}.jsonl", "wb") as target:
            for record in records:
                if not any(record.cells):
                    continue
                try:
                    target.write(_line(record))
                except (Unreadable, UnicodeEncodeError) as error:
                    reason = error if isinstance(error, Unreadable) else "half of a surrogate pair"
                    raise Unreadable(f"unreadable: {reason} in row {record.line}{place}") from None
        names.append(name)
    return names


def _line(record: Record) -> bytes:
    cells, repeated = record.cells, record.repeated
    while not cells[-1]:
        cells.pop()
    if len(cells) > COLUMN_LIMIT:
        raise Unreadable(f"more than {COLUMN_LIMIT} cells")
    text = _encode([record.line, cells, repeated] if repeated else [record.line, cells])
    if "\\u0000" in text and any("\0" in cell for cell in cells):
        raise Unreadable("a NUL character")
    if len(text) > CELL_LIMIT and any(len(cell) > CELL_LIMIT for cell in cells):
        raise Unreadable(f"a cell of more than {CELL_LIMIT} characters")
    return f"{text}\n".encode()


if __name__ == "__main__":
    main(*sys.argv[1:])
