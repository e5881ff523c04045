"""Multipart requests: their fields are read while their files pass.

Uploads are not held: they are read from the client as fast as the upstream takes them.
Only what must be checked first waits, in a file once it is large.
"""

import logging
import re
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, suppress
from typing import IO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from core.edge_request import ClientDisconnected
from core.errors import BodyTooLarge
from gateway import errors

logger = logging.getLogger(__name__)

_MAX_FIELDS = 200
_MAX_SIZE = 16 * 1024 * 1024  # bytes of all fields; those of OpenAI's may be recordings of speakers
_MAX_IN_MEMORY = 1024 * 1024
_PIECE = 64 * 1024
# As clients write it. Servers differ in what else they read as the name of a part.
_DISPOSITION = re.compile(
    rb"""form-data;\s*name=("[^"\\%\0]*"|[^\s"';\\%\0]+)
    (;\s*filename=("[^"\\]*"|[^\s"';\\]+))?
    (;\s*filename\*=[^\s";\\]+)?""",
    re.IGNORECASE | re.VERBOSE,
)
# As clients write it. Of two boundaries, or of two headers, servers read one or the other.
_CHARSET = r"""(\s*;\s*charset="?(utf-8|us-ascii|iso-8859-1)"?)?"""
_TYPE = re.compile(
    rf"""multipart/form-data{_CHARSET}\s*;\s*boundary=("[^"\\,;]+"|[^\s"'\\,;]+){_CHARSET}\s*""",
    re.IGNORECASE | re.ASCII,
)
# Fields that decide: servers that do not look for an empty file name take files for them.
_DECIDING = ("fallbacks", "model", "purpose")
_LINE_END = re.compile(rb"[\r\n]")
# Whatever else a part says it has, some servers decode it and others do not, as they do with
# what a field of this name says of all others.
_PLAIN_CODINGS = (b"7bit", b"8bit", b"binary")
_CHARSETS = (b"utf-8", b"us-ascii", b"iso-8859-1")
_CHARSET_FIELD = "_charset_"


class FormFields:
    """Collects the fields of a form, not its files."""

    def __init__(self, content_type: str) -> None:
        """Raise GatewayError unless the content type is that of a form, with a boundary."""
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind.lower() != b"multipart/form-data" or not boundary:
            raise errors.GatewayError("Content-Type must be multipart/form-data with a boundary")
        self.content_type = content_type
        self.values: dict[str, list[str]] = {}
        self._header, self._header_value = bytearray(), bytearray()
        self._dispositions: list[bytes] = []
        self._name: str | None = None
        self._value = bytearray()
        self._count = 0  # parts
        self._field_count = self._size = 0
        self._has_ambiguous_name = False
        self._is_coded = False
        self._has_ended = False
        self._delimiter = b"--" + boundary
        self._preamble: bytearray | None = bytearray(b"\r\n")  # None: it is over
        self._tail = b""  # where a delimiter may begin that the next piece ends
        self._found = 0  # delimiters, wherever they stand
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_begin": self._header_begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header_value.extend(
                    data[start:end]
                ),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._finished,
            },
        )

    def feed(self, data: bytes) -> None:
        """Read a piece of the body. Raises GatewayError for what is not well-formed."""
        self._count_delimiters(data)
        try:
            self._parser.write(self._after_preamble(data))
        except MultipartParseError as error:
            raise errors.GatewayError("The body is not well-formed multipart/form-data") from error

    def check_whole(self) -> None:
        """Raise GatewayError unless the form has ended, and can be read in one way only.

        Servers differ in what they take for a delimiter: also one that begins no line, or that
        stands in the preamble or behind the end.
        """
        if not _TYPE.fullmatch(self.content_type):
            raise errors.GatewayError("The form's Content-Type can be read in several ways")
        if not self._has_ended:
            raise errors.GatewayError("The body ends before the form does")
        if self._found != self._count + 1:
            raise errors.GatewayError("The form's boundary stands within a part, or outside of all")
        stated = (value.lower().encode() for value in self.values.get(_CHARSET_FIELD, ()))
        if self._is_coded or not all(charset in _CHARSETS for charset in stated):
            raise errors.GatewayError("The form has a part that is coded, or of another charset")
        if self._has_ambiguous_name:
            raise errors.GatewayError("The form has a part whose name can be read in several ways")

    def _count_delimiters(self, data: bytes) -> None:
        searched = self._tail + data
        self._found += searched.count(self._delimiter)
        self._tail = searched[max(len(searched) - len(self._delimiter) + 1, 0) :]

    def _after_preamble(self, data: bytes) -> bytes:
        """Return the data from the first delimiter on: nothing is read of what precedes it.

        Source: RFC 2046, section 5.1.1.
        """
        if self._preamble is None:
            return data
        self._preamble += data
        start = self._preamble.find(b"\r\n" + self._delimiter)
        if start < 0:
            del self._preamble[: -len(self._delimiter) - 1]
            return b""
        rest, self._preamble = bytes(self._preamble[start + 2 :]), None
        return rest

    def last(self, name: str) -> str | None:
        """Return the last value of a field."""
        return self.values[name][-1] if name in self.values else None

    def _begin(self) -> None:
        self._count += 1
        self._dispositions.clear()
        self._name = None
        self._value.clear()

    def _header_begin(self) -> None:
        self._header.clear()
        self._header_value.clear()

    def _header_end(self) -> None:
        value = bytes(self._header_value.strip())
        match bytes(self._header.lower()):
            case b"content-disposition":
                self._dispositions.append(value)
            case b"content-transfer-encoding":
                self._is_coded = self._is_coded or value.lower() not in _PLAIN_CODINGS
            case b"content-type":
                _, options = parse_options_header(value)
                charset = options.get(b"charset", _CHARSETS[0])
                self._is_coded = self._is_coded or charset.lower() not in _CHARSETS

    def _headers_finished(self) -> None:
        disposition = self._dispositions[-1] if self._dispositions else b""
        if len(self._dispositions) != 1 or not _DISPOSITION.fullmatch(disposition):
            self._has_ambiguous_name = True
        _, options = parse_options_header(disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options or any(word in name.casefold() for word in _DECIDING):
            self._name = name
            self._field_count += 1
            if self._field_count > _MAX_FIELDS:
                raise errors.GatewayError(f"The form has more than {_MAX_FIELDS} fields")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name is None:
            return
        self._size += end - start
        if self._size > _MAX_SIZE:
            reason = f"The form's fields have more than {_MAX_SIZE} bytes"
            raise errors.GatewayError(reason, param=self._name)
        self._value += data[start:end]

    def _end(self) -> None:
        if self._name is not None:
            self.values.setdefault(self._name, []).append(self._value.decode("utf-8", "replace"))

    def _finished(self) -> None:
        self._has_ended = True


class PassingForm:
    """The body as it arrives, its fields read on the way as far as they can be.

    `failure` is why the client did not send all of it.
    """

    def __init__(self, parts: AsyncGenerator[bytes, None], fields: FormFields | None) -> None:
        self._parts = parts
        self._fields = fields
        self.failure: BodyTooLarge | ClientDisconnected | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            # Closed at once with this one: then others may listen whether the client is there.
            async with aclosing(self._parts) as parts:
                async for part in parts:
                    self._read(part)
                    yield part
        except (BodyTooLarge, ClientDisconnected) as error:
            self.failure = error
            raise

    def _read(self, part: bytes) -> None:
        if self._fields is None:
            return
        try:
            self._fields.feed(part)
        except errors.GatewayError:
            self._fields = None  # the upstream's to refuse


async def held(parts: AsyncIterator[bytes], fields: FormFields) -> IO[bytes]:
    """Return the whole body, its fields read.

    Raises GatewayError for what is not well-formed, and where there is no room for it.
    """
    file = tempfile.SpooledTemporaryFile(max_size=_MAX_IN_MEMORY)  # noqa: SIM115 - it is returned
    try:
        async for part in parts:
            fields.feed(part)
            _keep(file, part)
        fields.check_whole()
    except BaseException:
        with suppress(OSError):  # it tries once more to write the rest
            file.close()
        raise
    return file


def _keep(file: IO[bytes], part: bytes) -> None:
    try:
        file.write(part)
        file.flush()
    except OSError as error:
        logger.warning("a form cannot be held: %s", error)
        raise errors.NoRoom("The server has no room for this form now; try again") from error


async def pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield a held body, from its beginning."""
    file.seek(0)
    while piece := file.read(_PIECE):
        yield piece


def file_lines(file: IO[bytes], fields: FormFields) -> Iterator[bytes]:
    """Yield the lines of the files in a held form."""
    reader = _FileLines(fields.content_type)
    file.seek(0)
    while piece := file.read(_PIECE):
        reader.feed(piece)
        yield from reader.lines
        reader.lines.clear()


class _FileLines(FormFields):
    """Splits the files of a form into lines, also one that has no file name."""

    def __init__(self, content_type: str) -> None:
        super().__init__(content_type)
        self.lines: list[bytes] = []
        self._line = bytearray()

    def _headers_finished(self) -> None:
        super()._headers_finished()
        if self._name is not None and self._name.strip().casefold().startswith("file"):
            self._name = None

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name is not None:
            return
        piece = data[start:end]
        self._line += piece
        if _LINE_END.search(piece):
            *lines, rest = _LINE_END.split(self._line)
            self.lines += lines
            self._line = bytearray(rest)

    def _end(self) -> None:
        if self._name is None:
            self.lines.append(bytes(self._line))
            self._line.clear()
