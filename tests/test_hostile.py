"""What means harm, or is broken, is refused with a reason; everything else in the same landing folder still loads."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from biff import encrypted_xls
from formats import FORMATS, FUND, FUNDS, html_table, text, xls, xlsx
from msoffcrypto.format.ooxml import OOXMLFile

from ingest.readers import child
from ingest.readers.records import Unreadable

FEED = "fund_commitments"
MEMORY = 2500 << 20
LAUGHS = (
    "<!DOCTYPE x [" + "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10)) + ' <!ENTITY l0 "ha">]>'
)


def fund(key: str) -> list[Any]:
    return [key, *FUND[1:]]


def rows(key: str) -> list[list[Any]]:
    return [FUNDS, fund(key)]


def rewritten(workbook: bytes, change: Callable[[str], str], extra: dict[str, bytes] | None = None) -> bytes:
    """An .xlsx whose first sheet's XML went through `change`, with more members."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in source.namelist():
            data = source.read(name)
            copy.writestr(name, change(data.decode()) if name.endswith("sheet1.xml") else data)
        for name, data in (extra or {}).items():
            copy.writestr(name, data)
    return target.getvalue()


def unchanged(xml: str) -> str:
    return xml


def with_doctype(doctype: str) -> Callable[[str], str]:
    return lambda xml: xml.replace("<worksheet", f"{doctype}<worksheet", 1)


def with_merged(area: str) -> Callable[[str], str]:
    merged = f'</sheetData><mergeCells count="1"><mergeCell ref="{area}"/></mergeCells>'
    return lambda xml: xml.replace("</sheetData>", merged)


def far_cell(book: Any) -> None:
    book["表1"]["XFD1048576"] = "x"


def wide_cells(book: Any) -> None:
    book["表1"]["XFC900"] = "x"


def encrypted_xlsx(password: str) -> bytes:
    target = io.BytesIO()
    OOXMLFile(io.BytesIO(xlsx(rows("F1")))).encrypt(password, target)
    return target.getvalue()


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def bombs() -> dict[str, tuple[bytes, str]]:
    zeros = bytes(300 << 20)
    packed = gzip.compress(zeros, compresslevel=1)
    return {
        "zip_bomb": (
            rewritten(xlsx(rows("F1")), unchanged, {"xl/media/a.xml": zeros}),
            "the archive holds more than 256 MiB",
        ),
        "gzip_bomb": (packed, "the gzip holds more than"),
        "gzip_in_gzip": (gzip.compress(gzip.compress(text(rows("F1")).encode())), "a gzip inside a gzip"),
    }


def entities(address: str) -> dict[str, tuple[bytes, str]]:
    entity = "declares a document type or an entity"
    found = {
        "laughs_xlsx": (rewritten(xlsx(rows("F1")), with_doctype(LAUGHS)), entity),
        "laughs_html": (f"{LAUGHS}<table><tr><td>&l9;</td></tr></table>".encode(), "declares an entity"),
        "laughs_xml": (f"<?xml version='1.0'?>{LAUGHS}<x>&l9;</x>".encode(), "declares an entity"),
    }
    for name, target in {"file": "file:///etc/passwd", "http": f"http://{address}/x"}.items():
        doctype = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{target}">]>'
        found[f"external_{name}_xlsx"] = (rewritten(xlsx(rows("F1")), with_doctype(doctype)), entity)
        found[f"external_{name}_html"] = (
            f"{doctype}<table><tr><td>&e;</td></tr></table>".encode(),
            "declares an entity",
        )
    fetched = f'<!DOCTYPE html SYSTEM "http://{address}/d"><link href="http://{address}/c" rel=stylesheet>'
    fetched += f'<iframe src="http://{address}/i"></iframe><img src="http://{address}/p">'
    found["html_that_wants_the_network"] = (f"{fetched}<table><tr><td>x</td></tr></table>".encode(), "no header")
    return found


def excesses() -> dict[str, tuple[bytes, str]]:
    funds = text(rows("F1"))
    cell = text([FUNDS, ["x" * (10 << 20), *FUND[1:]]])
    return {
        "far_cell": (xlsx(rows("F1"), change=far_cell), "needs more than 4096 MiB of memory"),
        "wide_cell": (xlsx(rows("F1"), change=wide_cells), "more than 4096 cells in row 900 of sheet 表1"),
        "merged_far": (
            rewritten(xlsx(rows("F1"), change=wide_cells), with_merged("A1:XFD1048576")),
            "sheet 表1 merges more than 10000000 cells",
        ),
        "wide_header": (",".join(f"c{i}" for i in range(20_000)).encode(), "more than 4096 cells on line 1"),
        "wide_line": (funds.encode() + b"," * 5_000_000, "field larger|more than 4096 cells on line 3"),
        "wide_html": (html_table([["x"] * 20_000]), "more than 4096 cells in row 1"),
        "spanned_html": (
            b"<table><tr>" + b"<td colspan=1000 rowspan=65534>x" * 5 + b"</table>",
            "more than 4096 cells in row 1",
        ),
        "wide_json": (json.dumps([{f"c{i}": 1 for i in range(20_000)}]).encode(), "more than 4096 cells in row 0"),
        "many_tables": (b"<table><tr><td>x</table>" * 1001, "more than 1000 sheets"),
        "big_cell": (cell.encode(), "field larger than field limit"),
        "big_cell_html": (html_table([["x" * (10 << 20)]]), "the HTML breaks off|a cell of more than"),
        "big_cell_json": (json.dumps([{"a": "x" * (10 << 20)}]).encode(), "a cell of more than 1048576 characters in row 1"),
        "deep_json": (b"[" * 1_000_000, "JSON nested too deeply"),
        "deep_html": (b"<div>" * 1_000_000 + html_table(rows("F1")), "the HTML breaks off on line 1"),
    }  # fmt: skip


def broken() -> dict[str, tuple[bytes, str]]:
    many = [FUNDS, *(fund(f"F{i}") for i in range(300))]
    cut = {
        f"truncated {form}": (half(FORMATS[form](many)), reason)
        for form, reason in {
            "csv.gz": "the gzip is broken after",
            "xlsx": "the archive is broken",
            "xls": "the workbook is damaged",
            "HTML": "the HTML breaks off inside a table",
            "JSON": "no JSON on line 1|neither UTF-8",
            "Parquet": "the Parquet is damaged",
        }.items()
    }
    header, body = (text(part).encode("utf-8") for part in (many[:1], many[1:]))
    chinese = text([[f"F{i}湖南省长沙市", *FUND[1:]] for i in range(9)])
    return {
        **cut,
        "truncated encrypted xlsx": (half(encrypted_xlsx("VelvetSweatshop")), "the workbook is damaged"),
        "truncated quote": (header + b'"F1', "unexpected end of data"),
        "another password xlsx": (encrypted_xlsx("secret"), "encrypted with a password"),
        "another password xls": (encrypted_xls(xls(rows("F1")), "secret"), "encrypted with a password"),
        "traversing member": (rewritten(xlsx(rows("F1")), unchanged, {"../../../evil": b"x"}), "a path that leads out"),
        "absolute member": (rewritten(xlsx(rows("F1")), unchanged, {"/tmp/evil": b"x"}), "a path that leads out"),
        "NUL": (header + b"F1\0" + body, "a NUL byte on line 2"),
        "late NUL": (header + body * 300 + b"F1\0\n", "a NUL byte on line"),
        "two encodings": (header + chinese.encode("gb18030"), "missing required column|neither UTF-8 nor GB18030"),
        "no text": (bytes(range(1, 256)) * 10, "neither UTF-8 nor GB18030|missing required column"),
        "PDF": (b"%PDF-1.7\n\xff\xfe\x00", "a NUL byte"),
        "no bytes": (b"", "empty"),
        "blanks": (b"\xef\xbb\xbf \r\n\t\n", "empty"),
    }


def harmless() -> dict[str, bytes]:
    """Deliveries with names that someone could take for a path, a command or a line of a log; their content is good."""
    names = [
        "a..%2f..%2f..%2fevil__20240601.csv",
        "a\nline__20240601.csv",
        "$(touch evil)__20240601.csv",
        "--help__20240601.csv",
        "'; DROP TABLE x; --__20240601.csv",
        "x" * 235 + "__20240601.csv"[:20],
        "short__20240601." + "y" * 230,
        os.fsdecode(b"\xff\xfe__20240601.csv"),
    ]
    good = {name: text(rows(f"F{number}")).encode() for number, name in enumerate(names)}
    good["formula__20240601.csv"] = text([FUNDS, fund("=cmd|' /C calc'!A0")]).encode()
    good["formula__20240601.xlsx"] = xlsx([FUNDS, fund("formula")], change=formula_key)
    good["zzz_last__20240602.xlsx"] = xlsx(rows("last"))
    return good


def formula_key(book: Any) -> None:
    cell = book["表1"]["A2"]
    cell.value, cell.data_type = '=HYPERLINK("http://127.0.0.1/")', "s"


def special_files(folder: Path, outside: Path) -> dict[str, str]:
    """What is no file, under a file's name, and why it is refused."""
    secret = outside / "secret.csv"
    secret.write_text(text(rows("secret")))
    (folder / "folder.csv").mkdir()
    (folder / "link.csv").symlink_to(secret)
    (folder / "loop.csv").symlink_to("loop.csv")
    os.mkfifo(folder / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket.csv"))
    linked = outside / "feed"
    linked.mkdir()
    (linked / "inside.csv").write_text(text(rows("inside")))
    (folder.parent / "price_indices").symlink_to(linked)
    (folder.parent / "looping_feed").symlink_to("looping_feed")
    no_file, link = "no regular file", "a symbolic link"
    return {"folder.csv": "a folder", "link.csv": link, "loop.csv": link, "pipe.csv": no_file, "socket.csv": no_file,
            "inside.csv": link}  # fmt: skip


def bad_sidecars(folder: Path) -> dict[str, str]:
    """Good deliveries whose sidecar is an attack."""
    laughs = "l0: &l0 [x]\n" + "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 10))
    sidecars = {
        "laughs": laughs + "note: *l9\n",
        "deep": "[" * 5000,
        "huge": "note: " + "x" * 100_000,
        "text": "just text",
    }
    for name, content in sidecars.items():
        (folder / f"sidecar_{name}.csv").write_text(text(rows(name)))
        (folder / f"sidecar_{name}.csv.meta.yaml").write_text(content)
    (folder / "sidecar_object.csv").write_text(text(rows("object")))
    (folder / "sidecar_object.csv.meta.yaml").write_text("note: !!python/object/apply:os.system ['touch evil']\n")
    return {f"sidecar_{name}.csv": "unreadable sidecar" for name in [*sidecars, "object"]}


class Run:
    """One `hfc ingest` over one landing folder with everything in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        landing = folder / "landing" / FEED
        for path in (landing, folder / "tmp", folder / "cwd", folder / "outside"):
            path.mkdir(parents=True)
        self.good = harmless()
        for name, data in self.good.items():
            (landing / name).write_bytes(data)
        with socket.create_server(("127.0.0.1", 0)) as server:
            attacks = {**bombs(), **entities(f"127.0.0.1:{server.getsockname()[1]}"), **excesses(), **broken()}
            for name, (data, _) in attacks.items():
                (landing / f"{name}__20240501.xls").write_bytes(data)
            self.expected = {f"{name}__20240501.xls": reason for name, (_, reason) in attacks.items()}
            self.expected |= special_files(landing, folder / "outside") | bad_sidecars(landing)
            self.before = self.listing()
            command = [sys.executable, "-m", "hfc.cli", "ingest", "--json", "--home", "home", "--landing", "landing"]
            environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
            self.done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=900)
            server.setblocking(False)
            self.was_called = self._was_called(server)
        self.after = self.listing()

    @staticmethod
    def _was_called(server: socket.socket) -> bool:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def listing(self) -> list[tuple[str, int]]:
        """Everything around the home, and when it was last written: a file that came and went shows in its folder."""
        paths = [path for path in self.folder.rglob("*") if self.home not in (path, *path.parents)]
        return sorted((str(path), path.lstat().st_mtime_ns) for path in paths)

    def outcomes(self) -> dict[str, dict[str, Any]]:
        return {outcome["file"]: outcome for outcome in json.loads(self.done.stdout)["outcomes"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    yield Run(tmp_path_factory.mktemp("hostile"))


def test_the_command_ends_in_peace(run: Run) -> None:
    assert run.done.returncode == 0, run.done.stderr.decode()[-2000:]
    assert b"Traceback" not in run.done.stderr


def test_every_attack_is_refused_with_its_reason(run: Run) -> None:
    found = {name: (o["outcome"], o["reason"]) for name, o in run.outcomes().items()}
    wrong = {
        name: found.get(name)
        for name, reasons in run.expected.items()
        if found.get(name, ("",))[0] != "rejected" or not any(r in found[name][1] for r in reasons.split("|"))
    }
    assert not wrong


def test_everything_good_beside_them_is_loaded(run: Run) -> None:
    found = {name: o for name, o in run.outcomes().items() if o["outcome"] == "loaded"}
    assert len(found) == len(run.good), sorted(found)
    assert all(o["rows_accepted"] == 1 for o in found.values())
    keys = duckdb.sql(f"SELECT change_id FROM '{run.home}/lake/{FEED}/*.parquet'").fetchall()
    assert {"=cmd|' /C calc'!A0", '=HYPERLINK("http://127.0.0.1/")', "last"} <= {key for (key,) in keys}
    assert not any(b"secret" in path.read_bytes() for path in run.home.rglob("*.csv"))


def test_nothing_is_written_outside_the_home_and_nothing_fetched(run: Run) -> None:
    assert run.before == run.after
    assert not run.was_called


def test_a_million_bad_rows_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "landing" / FEED / "bad__20240630.csv"
    path.parent.mkdir(parents=True)
    line = ",".join(map(str, ["F{}", "no code", "no code", "no day", "no amount", "no amount"])) + "\n"
    with open(path, "w") as target:
        target.write(text([FUNDS]))
        target.writelines(line.replace("{}", str(number)) for number in range(1_000_000))
    command = [sys.executable, "-m", "hfc.cli", "ingest", "--json", "--home", "home", "--landing", "landing"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout
        answer = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    (outcome,) = json.loads(answer)["outcomes"]
    assert (process.returncode, outcome["outcome"], outcome["rows_quarantined"]) == (0, "rejected", 1_000_000)
    assert usage.ru_maxrss << 10 < MEMORY


@pytest.mark.parametrize(
    ("limit", "value", "reason"),
    [
        ("MEMORY_LIMIT", 128 << 20, "needs more than 128 MiB of memory"),
        ("CPU_SECONDS", 1, "takes more than 1 s of computing"),
        ("SECONDS", 0.01, "takes more than 0.01 s"),
    ],
)
def test_each_limit_of_the_child_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: float, reason: str
) -> None:
    path, form = tmp_path / "delivery", "workbook" if limit == "MEMORY_LIMIT" else "JSON"
    if form == "workbook":
        path.write_bytes(xlsx(rows("F1"), change=lambda book: book["表1"].cell(500_000, 20, "x")))
    else:
        path.write_bytes(b"[" + b'{"a":1},' * 2_000_000 + b'{"a":1}]')
    monkeypatch.setattr(child, limit, value)
    with pytest.raises(Unreadable, match=reason):
        child.isolated(form, path, tmp_path)


def test_the_parent_survives_a_crash_of_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "book.xlsx"
    path.write_bytes(xlsx(rows("F1")))
    assert [record.cells[0] for record in child.isolated("workbook", path, tmp_path)[0].records()] == [FUNDS[0], "F1"]
    monkeypatch.setattr(child, "MEMORY_LIMIT", resource.getpagesize())
    (tmp_path / "again").mkdir()
    with pytest.raises(Unreadable, match="ended its reader|needs more than"):
        child.isolated("workbook", path, tmp_path / "again")


def test_a_library_that_finds_no_room_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise ImportError("binascii.so: failed to map segment from shared object")

    monkeypatch.setattr(child, "import_module", no_room)
    assert "needs more than" in child.result("workbook", tmp_path / "book.xlsx", tmp_path)["refused"]
