"""Tell from a video file's own structure whether its end is there.

A decoder reads what it is given and takes the end of the file for the end of the video. Most
kinds of file say how much belongs to them, in the size of a box, chunk or segment, or by a
mark at the end; here this is held against what is there. Nothing is decoded, and of the file
only such sizes are read.

Inside what belongs to the video, zeros where the head of a piece should be are missing data, too:
a download that was broken off may have its full size, and so may a file on a failing disk.

Some kinds do not say it: MPEG program and transport streams, raw streams, and Matroska or
fragmented MP4 as they are written while a camera runs. They are told when they end inside a
piece of data. Where they end between two, nothing is missing that anybody could know of, and
`Ending.silent` says so.
"""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Ending:
    """What a file says of its own end.

    `missing` says in words what is missing and is empty where nothing is. `silent` is true
    where the file would look the same if it had been cut between two of its frames.
    """

    missing: str = ""
    silent: bool = False


WHOLE = Ending()
SILENT = Ending(silent=True)


def find_ending(path: Path) -> Ending:
    """Return what a video file says of its own end.

    What follows the video, such as zeros that fill up a block, is of no account. A file of
    another kind than those known here is silent.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(16)
        for is_kind, ending_of in _KINDS:
            if is_kind(start):
                return ending_of(_Reader(file, size))
        return _ending_of_transport_stream(_Reader(file, size))


class _Reader:
    """Reads numbers from a file, and raises EOFError where it has ended."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size

    def exactly(self, place: int, n: int) -> bytes:
        self._file.seek(place)
        data = self._file.read(n)
        if len(data) < n:
            raise EOFError
        return data

    def up_to(self, place: int, n: int) -> bytes:
        """Return up to `n` bytes."""
        self._file.seek(place)
        return self._file.read(n)

    def big(self, place: int, n: int) -> int:
        return int.from_bytes(self.exactly(place, n), "big")

    def little(self, place: int, n: int) -> int:
        return int.from_bytes(self.exactly(place, n), "little")

    def lacks(self, what: str, end: int) -> str:
        """Return in words that something reaches beyond the file, if it does."""
        return f"{what} ends at byte {end}, the file at {self.size}" if end > self.size else ""


# --- MP4, MOV, 3GP (ISO 14496-12) ------------------------------------------------------------

_BOXES = (b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"pnot", b"styp", b"sidx")


def _is_mp4(start: bytes) -> bool:
    return start[4:8] in _BOXES


def _ending_of_mp4(reader: _Reader) -> Ending:
    place, fragmented, indexed = 0, False, False
    while place < reader.size:
        try:
            length, name = reader.big(place, 4), reader.exactly(place + 4, 4)
            if length == 1:
                length = reader.big(place + 8, 8)
        except EOFError:
            # Less than the head of a box, whose size begins with a zero; else it is no box at all.
            if fragmented and not indexed and reader.exactly(place, 1) == b"\0":
                return Ending("the file ends inside the head of a box")
            break
        fragmented |= name == b"moof"
        indexed |= name == b"mfra"
        if name in (b"mdat", b"moof", b"moov") and place + length > reader.size:
            return Ending(reader.lacks(f"the box `{name.decode()}`", place + length))
        if length < 8:  # 0: to the end of the file; others are no box
            break
        place += length
    return Ending(silent=fragmented and not indexed)


# --- Matroska, WebM (RFC 9559) ---------------------------------------------------------------

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_ELEMENTS = {
    *(_EBML, _SEGMENT, _CLUSTER, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B),
    *(0x1254C367, 0x1043A770, 0x1941A469, 0xEC, 0xBF, 0xE7, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0x5854),
}
"""Elements of the upper levels: head, segment, cluster, its blocks, and lists of all kinds."""


def _is_matroska(start: bytes) -> bool:
    return start.startswith(_EBML.to_bytes(4, "big"))


def _ending_of_matroska(reader: _Reader) -> Ending:
    place, silent, segment_end = 0, False, 0
    while place < reader.size:
        inside = place < segment_end
        try:
            head = reader.up_to(place, 16)  # a name has up to 8 bytes, and so has a length
            name, after = _element_number(head, 0, keep_marker=True)
            if name not in _ELEMENTS and not inside:
                break
            length, end = _element_number(head, after, keep_marker=False)
        except EOFError:
            return Ending("the file ends inside the head of an element")
        except ValueError:
            if inside:
                return Ending(f"there is no element at byte {place}, inside the segment")
            break
        content = place + end
        unknown = length == (1 << 7 * (end - after)) - 1
        if unknown and name in (_SEGMENT, _CLUSTER):
            silent, place = True, content  # go on with what it holds
        elif content + length > reader.size:
            whose = {_SEGMENT: "the segment", _CLUSTER: "the cluster"}.get(name, "the last block")
            return Ending(reader.lacks(whose, content + length))
        elif name in (_SEGMENT, _CLUSTER):
            place = content
            segment_end = content + length if name == _SEGMENT else segment_end
        else:
            place = content + length
    return Ending(silent=silent)


def _element_number(head: bytes, place: int, keep_marker: bool) -> tuple[int, int]:
    """Return a number of variable length and the place after it."""
    if place >= len(head):
        raise EOFError
    length = 9 - head[place].bit_length()
    if length > 8:
        raise ValueError
    if place + length > len(head):
        raise EOFError
    number = int.from_bytes(head[place : place + length], "big")
    return number if keep_marker else number - (1 << 7 * length), place + length


# --- AVI -------------------------------------------------------------------------------------


def _is_avi(start: bytes) -> bool:
    return start.startswith(b"RIFF") and start[8:12] == b"AVI "


def _ending_of_avi(reader: _Reader) -> Ending:
    place, frames = 12, False
    while place + 12 <= reader.size:
        name, length = reader.exactly(place, 4), reader.little(place + 4, 4)
        kind = reader.exactly(place + 8, 4)
        if name == b"RIFF" and kind == b"AVIX":  # the next part of a large file
            place += 12
            continue
        if name == b"LIST" and kind == b"movi":
            if length in (0, 0xFFFFFFFF):  # never filled in: the recording was not finished
                return SILENT
            frames = True
            if missing := _gap_in_movi(reader, place + 12, place + 8 + length):
                return Ending(missing)
        if name not in (b"LIST", b"JUNK", b"idx1", b"ISFT", b"INFO"):
            break
        place += 8 + length + length % 2
    return Ending(silent=not frames)


def _gap_in_movi(reader: _Reader, place: int, end: int) -> str:
    """Return in words what is missing of a list of frames."""
    if missing := reader.lacks("the list of frames", end):
        return missing
    while place + 8 <= end:
        name, length = reader.exactly(place, 4), reader.little(place + 4, 4)
        if name == b"LIST":  # frames in groups
            place += 12
            continue
        if name == bytes(4):
            return f"there is no frame at byte {place}, inside the list of frames"
        place += 8 + length + length % 2
    return ""


# --- GIF -------------------------------------------------------------------------------------


def _is_gif(start: bytes) -> bool:
    return start[:6] in (b"GIF87a", b"GIF89a")


def _ending_of_gif(reader: _Reader) -> Ending:
    try:
        place = 13 + _colours(reader.big(10, 1))
        while (kind := reader.big(place, 1)) != 0x3B:
            if kind == 0x21:
                place += 2
            elif kind == 0x2C:
                place += 11 + _colours(reader.big(place + 9, 1))
            else:
                return Ending("the file goes on with what is no part of a GIF")
            while length := reader.big(place, 1):
                place += 1 + length
            place += 1
    except EOFError:
        return Ending("the mark of the file's end is missing")
    return WHOLE


def _colours(flags: int) -> int:
    """Return the length of a table of colours."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


# --- FLV -------------------------------------------------------------------------------------


def _is_flv(start: bytes) -> bool:
    return start.startswith(b"FLV\x01")


def _ending_of_flv(reader: _Reader) -> Ending:
    silent, stated = True, 0
    try:
        place = reader.big(5, 4) + 4
        while place < reader.size:
            kind = reader.big(place, 1) & 0x1F
            if kind not in (8, 9, 18):
                if place < stated:
                    return Ending(f"there is no frame at byte {place}, inside the video")
                break
            length = reader.big(place + 1, 3)
            if missing := reader.lacks("the last frame", place + 11 + length):
                return Ending(missing)
            if kind == 18 and silent:
                stated = _stated_size(reader.exactly(place + 11, length))
                if missing := reader.lacks("by its own word, the file", stated):
                    return Ending(missing)
                silent = stated == 0
            place += 11 + length + 4
    except EOFError:
        return Ending("the file ends inside the head of a frame")
    return Ending(silent=silent)


def _stated_size(script: bytes) -> int:
    """Return the size of the file that a script tag states, 0 for none."""
    key = b"\x00\x08filesize\x00"
    place = script.find(key)
    value = script[place + len(key) :][:8]
    if place < 0 or len(value) < 8:
        return 0
    (number,) = struct.unpack(">d", value)
    return int(number) if 0 < number < 1 << 53 else 0


# --- WMV, ASF --------------------------------------------------------------------------------

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


def _is_asf(start: bytes) -> bool:
    return start == _ASF_HEADER


def _ending_of_asf(reader: _Reader) -> Ending:
    try:
        place = reader.little(16, 8)
        if reader.exactly(place, 16) != _ASF_DATA:
            return SILENT
        length = reader.little(place + 16, 8)
    except EOFError:
        return Ending("the frames are missing")
    if length < 50:  # never filled in
        return SILENT
    missing = reader.lacks("the data of the frames", place + length)
    return Ending(missing or _gap_in_asf(reader, place + 50, place + length))


def _gap_in_asf(reader: _Reader, first: int, end: int) -> str:
    """Return in words which packet is missing; the header has the size of them all."""
    properties = reader.up_to(0, first).find(_ASF_PROPERTIES)
    if properties < 0:
        return ""
    length = reader.little(properties + 92, 4)
    for place in range(first, end - 7, length or end):
        if reader.exactly(place, 8) == bytes(8):
            return f"there is no packet at byte {place}, inside the data of the frames"
    return ""


# --- Ogg (RFC 3533) --------------------------------------------------------------------------


def _is_ogg(start: bytes) -> bool:
    return start.startswith(b"OggS")


def _ending_of_ogg(reader: _Reader) -> Ending:
    place, open_streams = 0, set()
    try:
        while reader.up_to(place, 4) == b"OggS":
            flags, stream, n = reader.big(place + 5, 1), reader.big(place + 14, 4), place + 26
            segments = reader.exactly(n + 1, reader.big(n, 1))
            place = n + 1 + len(segments) + sum(segments)
            if place > reader.size:
                raise EOFError
            open_streams.add(stream)
            if flags & 4:
                open_streams.discard(stream)
    except EOFError:
        return Ending("the file ends inside a page")
    return Ending("no page is marked as a stream's last") if open_streams else WHOLE


# --- MPEG program stream (ISO 11172-1, 13818-1) ----------------------------------------------

_PACK, _END = 0xBA, 0xB9


def _is_program_stream(start: bytes) -> bool:
    return start.startswith(b"\x00\x00\x01\xba")


def _ending_of_program_stream(reader: _Reader) -> Ending:
    place = 0
    try:
        while reader.up_to(place, 3) == b"\x00\x00\x01":
            kind = reader.big(place + 3, 1)
            if kind == _END:
                return WHOLE
            if kind != _PACK:
                place += 6 + reader.big(place + 4, 2)
            elif reader.big(place + 4, 1) >> 6 == 1:  # MPEG-2
                place += 14 + (reader.big(place + 13, 1) & 7)
            else:
                place += 12
            if place > reader.size:
                raise EOFError
    except EOFError:
        return Ending("the file ends inside a packet")
    left = reader.up_to(place, 4)
    if 0 < len(left) < 4 and b"\x00\x00\x01".startswith(left[:3]):
        return Ending("the file ends inside the head of a packet")
    return SILENT


# --- MPEG transport stream (ISO 13818-1) -----------------------------------------------------

_SYNC = 0x47


def _ending_of_transport_stream(reader: _Reader) -> Ending:
    # Packets of 188 bytes; of 192 with four ahead of them on discs and in cameras (M2TS).
    for length, ahead in ((188, 0), (192, 4), (204, 0)):
        head = reader.up_to(0, 3 * length)
        marks = head[ahead::length]
        if len(head) == 3 * length and all(mark == _SYNC for mark in marks):
            left = reader.size % length
            rest = reader.up_to(reader.size - left, left)
            if left and (len(rest) <= ahead or rest[ahead] == _SYNC):
                return Ending("the file ends inside a packet")
            return SILENT
    return SILENT


_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[_Reader], Ending]], ...] = (
    (_is_mp4, _ending_of_mp4),
    (_is_matroska, _ending_of_matroska),
    (_is_avi, _ending_of_avi),
    (_is_gif, _ending_of_gif),
    (_is_flv, _ending_of_flv),
    (_is_asf, _ending_of_asf),
    (_is_ogg, _ending_of_ogg),
    (_is_program_stream, _ending_of_program_stream),
)
