"""What may come in from outside, and what is refused with which sentence."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.screens import uploads
from kangwei.kernel.screens.uploads import (
    CSV,
    DOCX,
    IMAGES,
    JPEG,
    PDF,
    PNG,
    TEXT,
    XLSX,
    ZIP,
    ActiveContent,
    ArchiveBomb,
    BrokenFile,
    DisguisedFile,
    EmptyFile,
    EncryptedFile,
    EscapingPath,
    FileTooLarge,
    HostileName,
    HostileXml,
    NestedArchive,
    UploadRefused,
    WrongFileType,
    check,
)

CONTENT_TYPES = '<?xml version="1.0" encoding="UTF-8"?><Types/>'
WORKBOOK = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><workbook/>'


def workbook(more: dict[str, bytes | str] | None = None) -> io.BytesIO:
    """A small workbook, with more entries."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        entries: dict[str, bytes | str] = {
            "[Content_Types].xml": CONTENT_TYPES,
            "xl/workbook.xml": WORKBOOK,
        }
        entries |= more or {}
        for name, content in entries.items():
            archive.writestr(name, content)
    file.seek(0)
    return file


def archive_of(entries: dict[str, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    file.seek(0)
    return file


def png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_a_workbook_of_openpyxl_comes_in_and_is_left_at_its_beginning() -> None:
    import openpyxl

    file = io.BytesIO()
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in range(3000):
        sheet.append([row, "西安市碑林区社区卫生服务中心"])
    book.save(file)
    found = check(file, {XLSX}, name="机构清单.xlsx")
    assert (found.kind, found.name) == (XLSX, "机构清单.xlsx")
    assert file.tell() == 0


def test_a_workbook_of_xlsxwriter_with_a_million_equal_cells_is_no_bomb() -> None:
    import xlsxwriter

    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"constant_memory": True, "in_memory": True})
    sheet = book.add_worksheet()
    for row in range(20_000):
        sheet.write_row(row, 0, ["西安", 1, 2, 3, 4, 5])
    book.close()
    assert check(file, {XLSX}, name="大表.xlsx").kind is XLSX


def test_the_empty_file_is_named() -> None:
    with pytest.raises(EmptyFile, match="名单"):
        check(io.BytesIO(), {XLSX}, name="名单.xlsx")


def test_a_file_one_byte_over_the_limit_is_refused_and_the_limit_is_not() -> None:
    assert check(io.BytesIO(b"a" * 10), {TEXT}, name="a.txt", limit=10).size == 10
    with pytest.raises(FileTooLarge, match="超过上限"):
        check(io.BytesIO(b"a" * 11), {TEXT}, name="a.txt", limit=10)


def test_another_extension_is_refused_and_the_sentence_says_which_are_welcome() -> None:
    with pytest.raises(WrongFileType, match=r"\.xlsx"):
        check(io.BytesIO(b"MZ"), {XLSX}, name="setup.exe")


def test_the_content_counts_not_the_name() -> None:
    with pytest.raises(DisguisedFile):
        check(io.BytesIO(b"MZ\x90\x00" + b"x" * 100), {XLSX}, name="名单.xlsx")
    with pytest.raises(DisguisedFile):
        check(archive_of({"a.txt": b"x"}), {XLSX}, name="名单.xlsx")
    with pytest.raises(DisguisedFile):
        check(workbook(), {DOCX}, name="合同.docx")
    with pytest.raises(DisguisedFile):
        check(io.BytesIO(b"<html>"), {PDF}, name="a.pdf")
    with pytest.raises(DisguisedFile):
        check(io.BytesIO(b"GIF89a"), IMAGES, name="a.png")
    with pytest.raises(DisguisedFile):
        check(io.BytesIO(b"a\x00b"), {CSV}, name="a.csv")


@pytest.mark.parametrize("name", ["../../etc/passwd.xlsx", "C:\\Windows\\a.xlsx", "a/b/c.xlsx"])
def test_folders_in_the_name_are_dropped(name: str) -> None:
    assert check(workbook(), {XLSX}, name=name).name in {"passwd.xlsx", "a.xlsx", "c.xlsx"}


@pytest.mark.parametrize(
    "name", ["", "..", "名单\u202exslx.exe", "a\nb.xlsx", "x" * 201 + ".xlsx", "a\x00.xlsx"]
)
def test_names_that_deceive_are_refused(name: str) -> None:
    with pytest.raises(HostileName):
        uploads.safe_name(name)


def test_a_bomb_by_ratio_is_refused_without_unpacking_it() -> None:
    bomb = archive_of({"zeros.txt": b"\x00" * (40 * uploads.MEGABYTE)})
    with pytest.raises(ArchiveBomb, match="膨胀"):
        check(bomb, {ZIP}, name="bomb.zip")


def test_a_bomb_by_number_of_entries_is_refused() -> None:
    many = archive_of({f"{number}.txt": b"x" for number in range(uploads.MAX_ENTRIES + 1)})
    with pytest.raises(ArchiveBomb, match="条目"):
        check(many, {ZIP}, name="many.zip")


def test_entries_that_share_one_stream_are_refused() -> None:
    """The directory names the same stream twice: tiny outside, twice as big inside."""
    file = archive_of({"a.txt": b"x" * 1000, "b.txt": b"x" * 1000})
    content = bytearray(file.getvalue())
    first = content.find(b"PK\x01\x02")
    second = content.find(b"PK\x01\x02", first + 4)
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    with pytest.raises((ArchiveBomb, BrokenFile)):
        check(io.BytesIO(bytes(content)), {ZIP}, name="overlap.zip")


def test_a_directory_that_lies_about_sizes_is_caught_while_reading() -> None:
    file = archive_of({"zeros.txt": b"\x00" * (5 * uploads.MEGABYTE)})
    content = bytearray(file.getvalue())
    at = content.find(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 10)
    with pytest.raises((ArchiveBomb, BrokenFile)):
        check(io.BytesIO(bytes(content)), {ZIP}, name="liar.zip")


@pytest.mark.parametrize(
    "path", ["../evil.txt", "/etc/evil.txt", "a/../../evil.txt", "C:evil.txt", "..\\evil.txt"]
)
def test_a_path_out_of_the_folder_is_refused(path: str) -> None:
    with pytest.raises(EscapingPath):
        check(archive_of({path: b"x"}), {ZIP}, name="a.zip")


def test_a_symbolic_link_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(EscapingPath):
        check(file, {ZIP}, name="a.zip")


def test_an_archive_in_an_archive_is_refused_by_name_and_by_content() -> None:
    inner = archive_of({"a.txt": b"x"}).getvalue()
    for name in ("inner.zip", "picture.png"):
        with pytest.raises(NestedArchive):
            check(archive_of({name: inner}), {ZIP}, name="a.zip")


def test_macros_and_controls_are_refused_under_any_extension() -> None:
    for entry in (
        "xl/vbaProject.bin",
        "xl/activeX/activeX1.xml",
        "xl/embeddings/oleObject1.bin",
    ):
        with pytest.raises(ActiveContent):
            check(workbook({entry: b"x"}), {XLSX}, name="a.xlsx")
    with pytest.raises(ActiveContent):
        check(
            archive_of(
                {"[Content_Types].xml": b"<x t='macroEnabled'/>", "xl/workbook.xml": b"<a/>"}
            ),
            {XLSX},
            name="a.xlsx",
        )


def test_printer_settings_are_no_macros() -> None:
    file = workbook({"xl/printerSettings/printerSettings1.bin": b"\x01\x02"})
    assert check(file, {XLSX}, name="a.xlsx").kind is XLSX


@pytest.mark.parametrize(
    "xml",
    [
        b'<!DOCTYPE a [<!ENTITY lol "lol"><!ENTITY l2 "&lol;&lol;">]><a>&l2;</a>',
        '\ufeff<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'.encode("utf-16"),
        b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE',
    ],
)
def test_xml_entities_are_refused(xml: bytes) -> None:
    with pytest.raises(HostileXml):
        check(workbook({"xl/sharedStrings.xml": xml}), {XLSX}, name="a.xlsx")


def test_a_remote_template_is_refused() -> None:
    file = archive_of(
        {
            "[Content_Types].xml": CONTENT_TYPES.encode(),
            "word/document.xml": b"<w/>",
            "word/_rels/settings.xml.rels": b'<R Type="x/attachedTemplate" '
            b'Target="http://x" TargetMode="External"/>',
        }
    )
    with pytest.raises(ActiveContent):
        check(file, {DOCX}, name="a.docx")


def test_old_and_encrypted_office_files_say_what_to_do() -> None:
    with pytest.raises(EncryptedFile, match="另存为"):
        check(io.BytesIO(uploads.OLE_MAGIC + b"x" * 600), {XLSX}, name="a.xlsx")


def test_a_pdf_with_a_script_is_refused_also_when_its_name_is_spelt_with_numbers() -> None:
    plain = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF\n"
    assert check(io.BytesIO(plain), {PDF}, name="a.pdf").kind is PDF
    for script in (b"/JavaScript", b"/J#61vaScript", b"/Launch", b"/EmbeddedFile"):
        with pytest.raises(ActiveContent):
            check(
                io.BytesIO(plain.replace(b"/Catalog", b"/Catalog/S" + script + b" ")),
                {PDF},
                name="a.pdf",
            )
    with pytest.raises(BrokenFile):
        check(io.BytesIO(b"%PDF-1.7\nhalf"), {PDF}, name="a.pdf")


def test_a_picture_of_too_many_pixels_is_refused_by_its_header() -> None:
    assert check(io.BytesIO(png(800, 600)), IMAGES, name="签名.png").kind is PNG
    with pytest.raises(FileTooLarge, match="60000×60000"):
        check(io.BytesIO(png(60000, 60000)), IMAGES, name="签名.png")


def test_a_jpeg_is_known_by_its_frame() -> None:
    frame = (
        b"\xff\xc0\x00\x11\x08"
        + struct.pack(">HH", 20, 30)
        + b"\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
    )
    content = (
        b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
        + frame
        + b"\xff\xd9"
    )
    assert check(io.BytesIO(content), IMAGES, name="a.jpg").kind is JPEG


@pytest.mark.parametrize(("encoding", "read_as"), [("utf-8", "utf-8-sig"), ("gb18030", "gb18030")])
def test_the_encoding_of_a_text_file_is_found(encoding: str, read_as: str) -> None:
    content = "机构,电话\n碑林区疾控中心,029-8888\n".encode(encoding)
    assert check(io.BytesIO(content), {CSV}, name="a.csv").encoding == read_as


@given(
    st.binary(max_size=2000),
    st.sampled_from([".xlsx", ".docx", ".zip", ".pdf", ".png", ".jpg", ".csv"]),
)
def test_any_bytes_are_taken_or_refused_and_never_an_error(content: bytes, extension: str) -> None:
    everything = {XLSX, DOCX, ZIP, PDF, PNG, JPEG, CSV, TEXT}
    try:
        found = check(io.BytesIO(content), everything, name="a" + extension)
    except UploadRefused:
        return
    assert extension in found.kind.extensions


@given(st.data())
def test_a_damaged_workbook_is_taken_or_refused_and_never_an_error(data: st.DataObject) -> None:
    content = bytearray(workbook().getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    try:
        found = check(io.BytesIO(bytes(content)), {XLSX}, name="a.xlsx")
    except UploadRefused:
        return
    assert found.kind is XLSX


@given(st.text(max_size=60))
def test_a_safe_name_has_no_folder_and_no_control_character(name: str) -> None:
    try:
        safe = uploads.safe_name(name)
    except HostileName:
        return
    assert safe not in {"", ".", ".."}
    assert not set(safe) & set("/\\\x00\n\r")
