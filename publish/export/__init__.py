"""A release as open data: its published tables in one format, described, in a folder that is whole or not there."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfc.home import HfcError, UsageError, replacing_folder, sha256_of
from publish.export import package, sdmx, text, workbook
from publish.export.source import Source, opened

FORMATS = ("parquet", "csv", "xlsx", "sdmx-csv")


@dataclass(frozen=True)
class Export:
    """A release in one format; `files` are the names in the folder, with their sizes in bytes."""

    release_id: str
    format: str
    path: Path
    files: dict[str, int]


def downloads(release: Path, folder: Path) -> list[Export]:
    """A release in all formats, each in a folder of its own below `folder`, for a page to link to."""
    return [export(release, form, folder / form) for form in FORMATS]


def export(release: Path, form: str, out: Path) -> Export:
    """Write a release in one format, and what describes it; the same release gives the same bytes.

    Raises:
        UsageError: there is no such format, or the folder holds something else than an earlier export.
        HfcError: the release is damaged or cannot be written in this format.
    """
    if form not in FORMATS:
        raise UsageError(f"There is no format {form}; formats: {', '.join(FORMATS)}")
    target = out.resolve()
    _check_replaceable(target)
    with replacing_folder(target) as folder, opened(release) as source:
        _write(source, form, folder)
        package.describe(source, form, folder)
        files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    return Export(release.name, form, target, files)


def _write(source: Source, form: str, folder: Path) -> None:
    if form == "parquet":
        _copy_parquet(source, folder)
    elif form == "csv":
        text.write(source, folder)
    elif form == "xlsx":
        workbook.write(source, folder, package.about(source))
    else:
        sdmx.write(source, folder, source.file("metric_observation.csv"))


def _copy_parquet(source: Source, folder: Path) -> None:
    """The files of the release as they are, which have to be what its manifest says."""
    for table in source.tables:
        copy = folder / source.file(f"{table.name}.parquet")
        shutil.copyfile(source.parquet(table), copy)
        if sha256_of(copy) != table.sha256:
            raise HfcError(
                f"{source.parquet(table)} is not what the manifest of the release says: restore the release from the "
                "backup, or move it away and let hfc backfill make it again"
            )


def _check_replaceable(target: Path) -> None:
    """Refuse a folder with anything in it that an export has not written, or has written otherwise."""
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageError(f"{target} is a file: name a folder with --out")
    if any(target.iterdir()) and not _is_export(target):
        raise UsageError(
            f"{target} holds files that hfc export has not written, or that were changed since: name an empty or a new "
            "folder with --out, or remove this one"
        )


def _is_export(folder: Path) -> bool:
    try:
        described: dict[str, Any] = json.loads((folder / package.DESCRIPTOR).read_text(encoding="utf-8"))
        hashes = {resource["path"]: resource["hash"] for resource in described["resources"]}
        expected = {*hashes, package.DESCRIPTOR, package.README}
        same = {path.name for path in folder.iterdir()} == expected and described["format"] in FORMATS
        return same and all(digest == f"sha256:{sha256_of(folder / name)}" for name, digest in hashes.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False
