"""Zip archives of very many small files, written in bounded memory.

`zipfile` keeps some 400 bytes of memory for each file. Here the directory, which ends an archive, grows in a temporary
file. The layout is that of APPNOTE 6.3.9: files are stored without compression, and archives of more than 65,534 files
or 4 GiB have the records of ZIP64.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
import zlib
from typing import BinaryIO

_DATE = 0x21  # 1 January 1980, the first one that there is: equal content gives equal archives
_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_END = struct.Struct("<4s4H2IH")
# Greater numbers are in the records of ZIP64.
_MOST_FILES, _MOST_BYTES = 2**16 - 1, 2**32 - 1
_PLAIN, _ZIP64 = 10, 45


class StoredZipWriter:
    """Writes files one after another.

    Parameters
    ----------
    file
        Receives the archive.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._directory = tempfile.TemporaryFile()  # noqa: SIM115 # `__exit__` closes it
        self._count = self._written = 0

    def __enter__(self) -> StoredZipWriter:
        return self

    def __exit__(self, *error: object) -> None:
        with self._directory:
            if error[0] is None:
                self._finish()

    def add(self, name: str, content: bytes) -> None:
        """Write a file. The name is ASCII, and the content has less than 4 GiB."""
        encoded = name.encode("ascii")
        offset, crc, size = self._written, zlib.crc32(content), len(content)
        header = _LOCAL.pack(b"PK\3\4", _PLAIN, 0, 0, 0, _DATE, crc, size, size, len(encoded), 0)
        self._write(header + encoded + content)
        extra, version = b"", _PLAIN
        if offset >= _MOST_BYTES:
            extra, version = struct.pack("<2HQ", 1, 8, offset), _ZIP64
            offset = 2**32 - 1
        made = version, version, 0, 0, 0, _DATE, crc, size, size, len(encoded), len(extra), 0, 0, 0, 0, offset
        self._directory.write(_ENTRY.pack(b"PK\1\2", *made) + encoded + extra)
        self._count += 1

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._written += len(data)

    def _finish(self) -> None:
        start, size, count = self._written, self._directory.tell(), self._count
        self._directory.seek(0)
        shutil.copyfileobj(self._directory, self._file)
        if count >= _MOST_FILES or start + size >= _MOST_BYTES:
            made = _END_64.size - 12, _ZIP64, _ZIP64, 0, 0, count, count, size, start
            self._file.write(_END_64.pack(b"PK\6\6", *made) + _LOCATOR_64.pack(b"PK\6\7", 0, start + size, 1))
            start, size, count = 2**32 - 1, 2**32 - 1, 2**16 - 1
        self._file.write(_END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0))
