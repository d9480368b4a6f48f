"""A lake that machines share: `HFC_LAKE` says where, as a URL of fsspec; archive and lake of a home are then a copy.

What is at the URL counts. The copy is brought up to date (`pull`) before it is read, so that readers know nothing but
files; what is new here goes there (`push`) before it stands here, in the order in which files need one another: bytes,
register entry, rows, outcome. Whatever is killed in between is done again by the next run, here or elsewhere. Without
the variable the home is alone, and nothing here does anything.

Files there are replaced as a whole: written under another name, then moved. Keys and endpoints are fsspec's
(`FSSPEC_S3_ENDPOINT_URL`) and those of its file systems (`AWS_ACCESS_KEY_ID`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfc.home import HfcError, Home, UsageError, replacing, temporary_name, waiting_for

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

OUTCOMES, DELIVERIES, LAKE = "lake/outcomes/", "lake/deliveries/", "lake/"


def pull(home: Home, everything: bool = False) -> None:
    """Bring the copy up to date: the register and the outcomes, or the whole lake.

    Raises:
        UsageError: there are deliveries here that nobody has put there.
        HfcError: the URL cannot be used.
    """
    if not (there := _there()):
        return
    with there.telling(), _alone(home):
        copied = _copied(home)
        # An outcome is listed before what it depends on, and written after it.
        outcomes = there.files(OUTCOMES)
        found = there.files(LAKE if everything else DELIVERIES)
        found = {name: version for name, version in found.items() if not name.startswith(OUTCOMES)} | outcomes
        _check_nothing_is_only_here(home, copied, found)
        seen = LAKE if everything else (DELIVERIES, OUTCOMES)
        for name in [name for name in copied if name.startswith(seen) and name not in found]:
            (home.root / name).unlink(missing_ok=True)
            _note(home, name, "")
        for name, version in found.items():
            if copied.get(name) != version or not (home.root / name).exists():
                there.get(name, home.root / name)
                _note(home, name, version)


def fetch(home: Home, path: Path) -> None:
    """Have a file that never changes in the copy.

    Raises:
        HfcError: the URL cannot be used, or has no such file.
    """
    if (there := _there()) and not path.exists():
        with there.telling():
            there.get(_name(home, path), path)


def push(home: Home, path: Path, source: Path | None = None) -> None:
    """Make what is at `path` count, or what is at `source` that will be there; nothing, where there is no such file.

    Raises:
        HfcError: the URL cannot be used.
    """
    if not (there := _there()):
        return
    name, source = _name(home, path), source or path
    with there.telling():
        version = there.put(source, name) if source.exists() else there.remove(name)
    with _alone(home):
        _note(home, name, version)


def claim(number: str) -> bool:
    """Take the number of a delivery, where a lake is shared, else not; one that is taken and never used stays a gap.

    Raises:
        FileExistsError: it is taken.
        HfcError: the URL cannot be used.
    """
    if there := _there():
        with there.telling():
            there.create(f"numbers/{number}")
    return there is not None


@dataclass(frozen=True)
class _There:
    """The place at the URL; names are those below a home."""

    shown: str
    system: AbstractFileSystem
    root: str

    def files(self, folder: str) -> dict[str, str]:
        """The version of each file in a folder and those below it, by name."""
        self.system.invalidate_cache()
        found = self.system.find(f"{self.root}/{folder}", detail=True)
        # A folder that was empty when S3 listed it, and is not any more, is given itself.
        names = {path.removeprefix(f"{self.root}/"): info for path, info in found.items() if info["type"] == "file"}
        return {name: version_of(info) for name, info in names.items() if "/." not in name}

    def get(self, name: str, target: Path) -> None:
        with replacing(target) as temporary:
            self.system.get_file(f"{self.root}/{name}", str(temporary))

    def put(self, source: Path, name: str) -> str:
        """Its version there."""
        target = f"{self.root}/{name}"
        folder, _, last = target.rpartition("/")
        temporary = f"{folder}/{temporary_name(last)}"
        self.system.makedirs(folder, exist_ok=True)
        self.system.put_file(str(source), temporary)
        self.system.mv(temporary, target)
        self.system.invalidate_cache()
        return version_of(self.system.info(target))

    def remove(self, name: str) -> str:
        """No version."""
        with suppress(FileNotFoundError):
            self.system.rm_file(f"{self.root}/{name}")
        return ""

    def create(self, name: str) -> None:
        """An empty file that was not there."""
        target = f"{self.root}/{name}"
        self.system.makedirs(target.rpartition("/")[0], exist_ok=True)
        with self.system.open(target, "xb") as file:
            file.write(b"taken\n")  # S3 compares only what has bytes

    @contextmanager
    def telling(self) -> Iterator[None]:
        try:
            yield
        except (HfcError, FileExistsError):
            raise
        except Exception as error:
            problem = " ".join(str(error).split()) or type(error).__name__
            raise HfcError(
                f"The lake at {self.shown} could not be used: {problem}. What was done stays; see to it that it can be "
                "reached (HFC_LAKE) and run again"
            ) from error


def version_of(info: dict[str, Any]) -> str:
    """What changes when a file behind fsspec does: its size, and its ETag or else its modification time."""
    return f"{info['size']} {info.get('ETag') or info['mtime']}"


def _there() -> _There | None:
    url = os.environ.get("HFC_LAKE")
    return _opened(url) if url else None


@lru_cache
def _opened(url: str) -> _There:
    import fsspec

    scheme, separator, rest = url.rpartition("://")
    place, slash, path = rest.partition("/")
    shown = f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}"  # without a user and his password
    try:
        system, root = fsspec.url_to_fs(url)
    except Exception as error:
        raise UsageError(f"HFC_LAKE is no URL that fsspec can open: {shown}: {error}") from error
    return _There(shown, system, root.rstrip("/"))


def _name(home: Home, path: Path) -> str:
    return path.relative_to(home.root).as_posix()


def _alone(home: Home) -> AbstractContextManager[None]:
    """Nobody else changes what the copy is said to have."""
    return waiting_for(home.lake / ".shared.lock")


def _copied(home: Home) -> dict[str, str]:
    """The version of each file that the copy has, by name; of several notes the last counts."""
    with suppress(FileNotFoundError):
        notes = [line.split("\t") for line in _notes(home).read_text(encoding="utf-8").splitlines()]
        found = dict(note for note in notes if len(note) == 2)  # one that was cut off is none
        return {name: version for name, version in found.items() if version}
    return {}


def _note(home: Home, name: str, version: str) -> None:
    """Note which version of a file the copy has; without one, that it has none."""
    with open(_notes(home), "a", encoding="utf-8") as notes:
        notes.write(f"{name}\t{version}\n")


def _notes(home: Home) -> Path:
    return home.lake / ".shared"


def _check_nothing_is_only_here(home: Home, copied: dict[str, str], found: dict[str, str]) -> None:
    here = [_name(home, path) for path in home.deliveries.glob("[0-9]*.json")]
    if missing := sorted(name for name in here if name not in copied and name not in found):
        raise UsageError(
            f"{home.root} has {len(missing)} deliveries of its own, such as {missing[0]}, and HFC_LAKE has not: copy "
            "its folders archive and lake there before you share it, or name another home"
        )
