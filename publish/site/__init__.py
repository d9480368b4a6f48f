"""The board: a release as a folder of static pages in Chinese and English, for a browser that has nothing but it.

Every number is written here, from its decimal; the pages hold all that they show as text and tables, and their script
draws the charts of it. The same release gives the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from hfc.home import UsageError, replacing_folder, sha256_of, write_json
from publish.export import downloads
from publish.site.content import Content, read_content
from publish.site.language import LANGUAGES, Language
from publish.site.pages import PAGES, Download

MARKER = "site.json"
ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class Site:
    """What was made: the board of which release, and where it begins."""

    release_id: str
    path: Path
    pages: int


def make_site(release: Path, out: Path, models: Mapping[str, list[str]]) -> Site:
    """Write the board of a release, with its open data, into the folder `out`, which is replaced as a whole.

    `models` names the sources and models behind each metric.

    Raises:
        UsageError: `out` holds something else than a board, or the release lacks what a board shows.
        HfcError: the release is damaged.
    """
    out = out.resolve()
    _check(out)
    content = read_content(release, models)
    with replacing_folder(out) as folder:
        shutil.copytree(ASSETS, folder / "assets", copy_function=shutil.copyfile)
        downloads(release, folder / "downloads")
        pages = _write_pages(content, folder)
        write_json(folder / MARKER, {"release_id": content.release_id, "as_of": content.as_of.isoformat()})
    return Site(content.release_id, out / "index.html", pages)


def _check(out: Path) -> None:
    """Refuse to replace what is no board."""
    replaceable = out.is_dir() and ((out / MARKER).is_file() or not any(out.iterdir()))
    if out.exists() and not replaceable:
        raise UsageError(f"{out} is not a board that hfc made, and stays: name a new or empty folder with --out")


def _write_pages(content: Content, folder: Path) -> int:
    """Write every page in every language; give how many."""
    environment = Environment(
        loader=PackageLoader("publish.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["m"] = environment.get_template("_macros.html").module
    files = _downloads(folder / "downloads")
    for code in LANGUAGES:
        language = Language(code, content)
        for page in PAGES:
            text = environment.get_template(f"{page.name}.html").render(
                t=language.words,
                lang=language,
                page=page,
                pages=PAGES,
                content=content,
                **page.context(content, language, files),
            )
            (folder / language.file(page.name)).write_text(text, encoding="utf-8")
    return len(LANGUAGES) * len(PAGES)


def _downloads(folder: Path) -> list[Download]:
    """Every file offered for download, by name."""
    return [
        Download(path.relative_to(folder.parent).as_posix(), path.stat().st_size, sha256_of(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
