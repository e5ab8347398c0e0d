"""Files from outside (上传检查): looked at before anything reads them, by content and not by name.

`check(file, {XLSX, PDF})` answers what the file is, or refuses it with one sentence. It unpacks
nothing to disk and never reads more of an archive than the limits allow, so a few kilobytes that
claim to be terabytes cost a few kilobytes of work.
"""

from __future__ import annotations

import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, ClassVar

from kangwei.kernel.refusals import Refusal

MEGABYTE = 1024 * 1024


class UploadRefused(Refusal):
    """A file that may not come in."""

    code: ClassVar[str] = "screens.upload_refused"
    title: ClassVar[str] = "文件被拒收"
    status: ClassVar[int] = 422


class EmptyFile(UploadRefused):
    code = "screens.upload_empty"
    title = "文件是空的"


class FileTooLarge(UploadRefused):
    code = "screens.upload_too_large"
    title = "文件过大"
    status = 413


class WrongFileType(UploadRefused):
    code = "screens.upload_wrong_type"
    title = "文件类型不允许"


class DisguisedFile(UploadRefused):
    """The name says one thing, the content another."""

    code = "screens.upload_disguised"
    title = "文件内容与扩展名不符"


class HostileName(UploadRefused):
    code = "screens.upload_hostile_name"
    title = "文件名不合法"


class BrokenFile(UploadRefused):
    code = "screens.upload_broken"
    title = "文件已损坏"


class ArchiveBomb(UploadRefused):
    """Small outside, enormous inside."""

    code = "screens.upload_archive_bomb"
    title = "压缩内容异常膨胀"


class NestedArchive(UploadRefused):
    code = "screens.upload_nested_archive"
    title = "压缩包中还有压缩包"


class EscapingPath(UploadRefused):
    """An entry that would be written outside the folder it is unpacked into."""

    code = "screens.upload_escaping_path"
    title = "压缩包内路径越界"


class EncryptedFile(UploadRefused):
    code = "screens.upload_encrypted"
    title = "文件已加密"


class ActiveContent(UploadRefused):
    """Macros, scripts, controls: what a document does rather than says."""

    code = "screens.upload_active_content"
    title = "文件含宏或脚本"


class HostileXml(UploadRefused):
    """Entities that multiply or fetch; no office program writes them."""

    code = "screens.upload_hostile_xml"
    title = "文件含 XML 实体定义"


@dataclass(frozen=True)
class Kind:
    """A type of file we take, and how much of it."""

    title: str
    extensions: tuple[str, ...]
    limit: int


XLSX = Kind("Excel 工作簿", (".xlsx",), 20 * MEGABYTE)
DOCX = Kind("Word 文档", (".docx",), 20 * MEGABYTE)
PDF = Kind("PDF 文档", (".pdf",), 50 * MEGABYTE)
PNG = Kind("PNG 图片", (".png",), 10 * MEGABYTE)
JPEG = Kind("JPEG 图片", (".jpg", ".jpeg"), 10 * MEGABYTE)
CSV = Kind("CSV 文本", (".csv",), 20 * MEGABYTE)
TEXT = Kind("文本文件", (".txt",), 5 * MEGABYTE)
ZIP = Kind("ZIP 压缩包", (".zip",), 50 * MEGABYTE)
IMAGES = frozenset({PNG, JPEG})

#: Entries, total size and growth of an archive; a real workbook of 100,000 rows stays far below.
MAX_ENTRIES = 2000
MAX_UNPACKED = 300 * MEGABYTE
MAX_RATIO = 120
RATIO_COUNTS_FROM = 2 * MEGABYTE
MAX_PIXELS = 40_000_000

ARCHIVE_MAGIC = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"\x28\xb5\x2f\xfd",
)
ARCHIVE_NAMES = (
    ".zip",
    ".gz",
    ".tgz",
    ".7z",
    ".rar",
    ".bz2",
    ".xz",
    ".zst",
    ".tar",
    ".jar",
    ".cab",
    ".iso",
)
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@dataclass(frozen=True)
class Checked:
    """What the file is, and a name that is safe to keep."""

    kind: Kind
    name: str
    size: int
    #: How to read a text file: `utf-8-sig` or `gb18030`; "" for others.
    encoding: str = ""


def check(file: IO[bytes], kinds: Collection[Kind], *, name: str = "", limit: int = 0) -> Checked:
    """Refuse what must not come in; leave the file at its beginning."""
    safe = safe_name(name or getattr(file, "name", "") or "")
    kind = _kind_of(safe, kinds)
    size = _size(file)
    if size == 0:
        raise EmptyFile(f"文件“{safe}”是空的，请检查后重新选择。")
    most = limit or kind.limit
    if size > most:
        raise FileTooLarge(
            f"文件“{safe}”大小 {_megabytes(size)}，超过上限 {_megabytes(most)}；"
            "请拆分或压缩后再上传。"
        )
    encoding = ""
    if kind in (XLSX, DOCX, ZIP):
        _check_zip(file, safe, kind)
    elif kind is PDF:
        _check_pdf(file, safe)
    elif kind in IMAGES:
        _check_image(file, safe, kind)
    else:
        encoding = _check_text(file, safe)
    file.seek(0)
    return Checked(kind, safe, size, encoding)


def safe_name(name: str) -> str:
    """The last part of the name, without anything a file system or a page could trip over."""
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", name))[-1].strip()
    if not last or last in {".", ".."} or len(last) > 200:
        raise HostileName("文件名为空或超过 200 个字符，请改名后重新上传。")
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in last):
        # U+202E turns `gpj.exe` round on the screen; control characters break headers and logs.
        raise HostileName("文件名含有不可见的控制字符，请改名后重新上传。")
    return last


def _kind_of(name: str, kinds: Collection[Kind]) -> Kind:
    extension = PurePosixPath(name).suffix.lower()
    for kind in kinds:
        if extension in kind.extensions:
            return kind
    allowed = "、".join(sorted({ext for kind in kinds for ext in kind.extensions}))
    raise WrongFileType(f"不接受“{extension or name}”类型的文件，请上传 {allowed} 文件。")


def _size(file: IO[bytes]) -> int:
    file.seek(0, 2)
    size = file.tell()
    file.seek(0)
    return size


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:.1f} MB"


# -- archives and office files ----------------------------------------------------------------


def _check_zip(file: IO[bytes], name: str, kind: Kind) -> None:
    head = file.read(8)
    file.seek(0)
    if head.startswith(OLE_MAGIC):
        raise EncryptedFile(
            f"“{name}”是加密文件或旧版 Office 格式；请去掉密码并另存为 .xlsx 或 .docx。"
        )
    if not head.startswith(b"PK"):
        raise DisguisedFile(f"“{name}”的内容不是{kind.title}，请用原程序重新另存后上传。")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check_entries(entries, name, kind, _size_of_archive(file))
            _read_entries(archive, entries, name, kind)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        struct.error,
        NotImplementedError,
        ValueError,
        OSError,
    ) as broken:
        raise BrokenFile(f"“{name}”已损坏或不是完整的{kind.title}，请重新另存后上传。") from broken


def _size_of_archive(file: IO[bytes]) -> int:
    here = file.tell()
    file.seek(0, 2)
    size = file.tell()
    file.seek(here)
    return size


def _check_entries(entries: list[zipfile.ZipInfo], name: str, kind: Kind, packed: int) -> None:
    """What the directory admits: number, paths, encryption, growth, overlaps."""
    if len(entries) > MAX_ENTRIES:
        raise ArchiveBomb(
            f"“{name}”内有 {len(entries)} 个条目，超过上限 {MAX_ENTRIES}；请拆分后上传。"
        )
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MAX_UNPACKED or (
        unpacked > RATIO_COUNTS_FROM and unpacked > MAX_RATIO * max(packed, 1)
    ):
        raise ArchiveBomb(
            f"“{name}”解压后异常膨胀（约 {_megabytes(unpacked)}），已拒收；请核对文件来源。"
        )
    end = 0
    for entry in sorted(entries, key=lambda each: each.header_offset):
        _check_path(entry, name)
        if entry.flag_bits & 0x1:
            raise EncryptedFile(f"“{name}”中的“{entry.filename}”已加密，请去掉密码后上传。")
        # Overlapping entries let one stream be counted a thousand times.
        if entry.header_offset < end:
            raise ArchiveBomb(f"“{name}”的条目互相重叠，已拒收；请用原程序重新另存。")
        end = entry.header_offset + 30 + entry.compress_size
    names = {entry.filename.lower() for entry in entries}
    if len(names) != len(entries):
        raise BrokenFile(f"“{name}”中有同名条目，请用原程序重新另存后上传。")
    wanted = {XLSX: "xl/workbook.xml", DOCX: "word/document.xml"}.get(kind)
    if wanted and wanted not in names:
        raise DisguisedFile(f"“{name}”的内容不是{kind.title}，请用原程序重新另存后上传。")


def _check_path(entry: zipfile.ZipInfo, name: str) -> None:
    path = entry.filename.replace("\\", "/")
    parts = PurePosixPath(path).parts
    symlink = (entry.external_attr >> 16) & 0o170000 == 0o120000
    if (
        path.startswith("/")
        or ".." in parts
        or re.match(r"^[A-Za-z]:", path)
        or symlink
        or "\x00" in path
    ):
        raise EscapingPath(f"“{name}”内的路径“{entry.filename}”指向文件夹之外，已拒收。")


def _read_entries(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], name: str, kind: Kind
) -> None:
    """What the content really is; a directory that lies about sizes is caught while reading."""
    office = kind in (XLSX, DOCX)
    total = 0
    for entry in entries:
        lowered = entry.filename.lower()
        if (
            office
            and re.search(r"vbaproject|/activex/|macrosheets/|\.bin$", lowered)
            and "printersettings" not in lowered
        ):
            raise ActiveContent(
                f"“{name}”含有宏、控件或嵌入对象（{entry.filename}）；请另存为不含宏的文件。"
            )
        if lowered.endswith(ARCHIVE_NAMES):
            raise NestedArchive(f"“{name}”中还有压缩包“{entry.filename}”，请解开后分别上传。")
        text = bytearray()
        reads_text = office and lowered.endswith((".xml", ".rels", ".vml"))
        with archive.open(entry) as stream:
            first = True
            while block := stream.read(256 * 1024):
                if first and block.startswith(ARCHIVE_MAGIC):
                    raise NestedArchive(
                        f"“{name}”中还有压缩包“{entry.filename}”，请解开后分别上传。"
                    )
                first = False
                total += len(block)
                if total > MAX_UNPACKED:
                    raise ArchiveBomb(f"“{name}”解压后异常膨胀，已拒收；请核对文件来源。")
                if reads_text:
                    text += block
        if reads_text:
            _check_xml(bytes(text), name, entry.filename)


def _check_xml(content: bytes, name: str, entry: str) -> None:
    """Office parts are UTF-8 or UTF-16 without document types; anything else wants to do harm."""
    encoding = "utf-8"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    declared = re.match(
        rb"^(?:\xef\xbb\xbf)?<\?xml[^>]*encoding\s*=\s*[\"']([^\"']+)[\"']", content
    )
    if declared and declared.group(1).decode("ascii", "replace").lower() not in {
        "utf-8",
        "utf-16",
        "us-ascii",
    }:
        raise HostileXml(f"“{name}”的“{entry}”使用了不允许的编码，已拒收；请用原程序重新另存。")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise BrokenFile(f"“{name}”的“{entry}”不是有效文本，请用原程序重新另存。") from None
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise HostileXml(f"“{name}”的“{entry}”定义了 XML 实体，已拒收；请用原程序重新另存。")
    if "macroEnabled" in text and entry.lower() == "[content_types].xml":
        raise ActiveContent(f"“{name}”是启用宏的文件；请另存为不含宏的文件。")
    if (
        entry.lower().endswith(".rels")
        and "attachedTemplate" in text
        and 'TargetMode="External"' in text
    ):
        raise ActiveContent(f"“{name}”引用了外部模板；请另存为普通文件后上传。")


# -- PDF, pictures, text -----------------------------------------------------------------------


def _check_pdf(file: IO[bytes], name: str) -> None:
    content = file.read()
    if not content.startswith(b"%PDF-"):
        raise DisguisedFile(f"“{name}”的内容不是 PDF，请重新导出后上传。")
    if b"%%EOF" not in content[-2048:]:
        raise BrokenFile(f"“{name}”不完整，请重新导出后上传。")
    # Names in PDF may be written with #xx for any character.
    plain = re.sub(rb"#([0-9A-Fa-f]{2})", lambda found: bytes([int(found.group(1), 16)]), content)
    if re.search(rb"/(JavaScript|JS|Launch|EmbeddedFile|RichMedia)\b", plain):
        raise ActiveContent(f"“{name}”含有脚本或嵌入文件；请重新打印为普通 PDF 后上传。")
    if re.search(rb"/Encrypt\b", plain):
        raise EncryptedFile(f"“{name}”已加密，请去掉密码后上传。")


def _check_image(file: IO[bytes], name: str, kind: Kind) -> None:
    content = file.read()
    size = _png_size(content) if kind is PNG else _jpeg_size(content)
    if size is None:
        raise DisguisedFile(f"“{name}”的内容不是{kind.title}，请重新保存后上传。")
    width, height = size
    if not 0 < width * height <= MAX_PIXELS:
        raise FileTooLarge(f"图片“{name}”尺寸 {width}×{height} 过大，请缩小后上传。")


def _png_size(content: bytes) -> tuple[int, int] | None:
    if (
        not content.startswith(b"\x89PNG\r\n\x1a\n")
        or content[12:16] != b"IHDR"
        or len(content) < 33
    ):
        return None
    if b"IEND" not in content[-32:]:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    if not content.startswith(b"\xff\xd8\xff") or content.rstrip(b"\x00")[-2:] != b"\xff\xd9":
        return None
    at = 2
    while at + 9 < len(content):
        if content[at] != 0xFF:
            return None
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        if marker == 0xFF:
            at += 1
            continue
        at += 2 + struct.unpack(">H", content[at + 2 : at + 4])[0]
    return None


def _check_text(file: IO[bytes], name: str) -> str:
    content = file.read()
    if b"\x00" in content:
        raise DisguisedFile(f"“{name}”不是文本文件；请另存为 UTF-8 编码的文本后上传。")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    raise DisguisedFile(f"“{name}”的编码无法识别；请另存为 UTF-8 编码后上传。")
