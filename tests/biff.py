"""Encrypts a real .xls as Excel does (RC4, [MS-XLS] 2.2.10): no library that the tests have can write one."""

from __future__ import annotations

import io
from hashlib import md5
from struct import pack, unpack_from

import olefile
from msoffcrypto.method.rc4 import DocumentRC4
from xlwt.CompoundDoc import XlsDoc

_SALT, _VERIFIER = bytes(range(16)), bytes(range(100, 116))
_BOF, _FILE_PASS, _BOUND_SHEET, _INTERFACE_HEADER = 0x0809, 0x002F, 0x0085, 0x00E1


def encrypted_xls(workbook: bytes, password: str) -> bytes:
    """`workbook`, an .xls without encryption, encrypted."""
    stream = olefile.OleFileIO(io.BytesIO(workbook)).openstream("Workbook").read()
    plain = bytearray()
    secret: list[range] = []
    for kind, body in _records(stream):
        if kind == _BOUND_SHEET:  # the sheet begins later by the record that is put in
            body = pack("<I", unpack_from("<I", body)[0] + 58) + body[4:]
        start = len(plain) + 4
        plain += pack("<HH", kind, len(body)) + body
        if kind not in (_BOF, _INTERFACE_HEADER):
            secret.append(range(start + 4 * (kind == _BOUND_SHEET), len(plain)))
        if start == 4:
            plain += pack("<HH", _FILE_PASS, 54) + pack("<HHH", 1, 1, 1) + _proof(password)
    keys = _keystream(password, len(plain))
    for part in secret:
        plain[part.start : part.stop] = _mixed(plain[part.start : part.stop], keys[part.start : part.stop])
    rest = -len(plain) % 4  # the zeros that pad the stream then read as empty records of four bytes
    plain += pack("<HH", 0, rest) + bytes(rest)
    target = io.BytesIO()
    XlsDoc().save(target, bytes(plain))
    return target.getvalue()


def _records(stream: bytes) -> list[tuple[int, bytes]]:
    found, place = [], 0
    while place + 4 <= len(stream) and (kind := unpack_from("<H", stream, place)[0]):
        size = unpack_from("<H", stream, place + 2)[0]
        found.append((kind, stream[place + 4 : place + 4 + size]))
        place += 4 + size
    return found


def _proof(password: str) -> bytes:
    """Salt, verifier and its digest, by which a reader knows the password."""
    return _SALT + _mixed(_VERIFIER + md5(_VERIFIER).digest(), _keystream(password, 32))


def _keystream(password: str, size: int) -> bytes:
    return DocumentRC4.decrypt(password, _SALT, io.BytesIO(bytes(size)), blocksize=1024).getvalue()


def _mixed(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
