"""What a file is that holds no text, by its first bytes."""

from __future__ import annotations

import io
import zipfile

#: How the files of a kind begin, what they are, and how their text is to be had.
_BEGINNINGS = (
    (b"%PDF-", "a PDF document", "save its text as a plain text file"),
    (b"{\\rtf", "an RTF document", "save it as a plain text file"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document", "save it as a plain text file, or a table as CSV"),
    (b"PAR1\x15", "a Parquet table", 'read it with data.name "csv"'),
    (b"\x89PNG", "a picture (PNG)", ""),
    (b"\xff\xd8\xff", "a picture (JPEG)", ""),
    (b"GIF89a", "a picture (GIF)", ""),
    (b"II*\0", "a picture (TIFF)", ""),
    (b"MM\0*", "a picture (TIFF)", ""),
    (b"\x7fELF", "a program", ""),
    (b"SQLite format 3\0", "an SQLite database", "export its text"),
    (b"\x93NUMPY", "a NumPy array", ""),
    (b"\x89HDF", "an HDF5 file", ""),
    (b"\x1f\x8b", "a gzip file inside an archive", "unpack it"),
    (b"\xfd7zXZ\0", "an xz file inside an archive", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "a zstandard file inside an archive", "unpack it"),
    (b"PK\x03\x04", "a zip archive inside an archive", "unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it"),
)
#: A file in a zip archive that makes the whole a document, what it is, and how its text is to be had.
_DOCUMENTS = (
    ("xl/workbook.xml", "an Excel workbook", 'read it with data.name "csv"'),
    ("word/document.xml", "a Word document", "save it as a plain text file"),
    ("ppt/presentation.xml", "a PowerPoint document", "save it as a plain text file"),
    ("META-INF/container.xml", "an EPUB book", "save it as a plain text file"),
    ("META-INF/manifest.xml", "an OpenDocument file", "save it as a plain text file, or a table as CSV"),
    ("META-INF/MANIFEST.MF", "a Java archive", ""),
)


def kind(data: bytes) -> tuple[str, str] | None:
    """What a file is that is surely no text, and how its text is to be had ("" where it has none); None for others."""
    if data.startswith(b"PK") and (document := zipped_document(data)):
        return document
    if data[257:262] == b"ustar":
        return "a tar archive", "unpack it and name the folder"
    return next(((what, advice) for beginning, what, advice in _BEGINNINGS if data.startswith(beginning)), None)


def zipped_document(data: bytes) -> tuple[str, str] | None:
    """The same of a document that is a zip archive inside (Word, Excel, EPUB); None for other archives."""
    try:
        names = set(zipfile.ZipFile(io.BytesIO(data)).namelist())
    except (zipfile.BadZipFile, ValueError, OSError):
        return None
    return next(((what, advice) for name, what, advice in _DOCUMENTS if name in names), None)
