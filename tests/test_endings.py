"""What files say of their end, in structures that no encoder here writes."""

import struct
from pathlib import Path

import pytest

from cmedprep.containers import SILENT, WHOLE, Ending, find_ending


def ending_of(folder: Path, content: bytes) -> Ending:
    path = folder / "video"
    path.write_bytes(content)
    return find_ending(path)


def box(name: bytes, content: bytes = b"", *, wide: bool = False) -> bytes:
    """Return a box of an MP4 file; a wide one has its size in 64 bits."""
    if wide:
        return struct.pack(">I4sQ", 1, name, 16 + len(content)) + content
    return struct.pack(">I4s", 8 + len(content), name) + content


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of an AVI file, padded to an even length."""
    return struct.pack("<4sI", name, len(content)) + content + bytes(len(content) % 2)


FTYP, MOOV, MOOF = box(b"ftyp", b"isom"), box(b"moov", bytes(40)), box(b"moof", bytes(20))


@pytest.mark.parametrize("wide", [False, True])
def test_the_data_of_mp4_may_have_a_size_of_64_bits(tmp_path: Path, wide: bool) -> None:
    content = FTYP + MOOV + box(b"mdat", bytes(100), wide=wide)
    assert ending_of(tmp_path, content) == WHOLE
    cut = ending_of(tmp_path, content[:-1])
    assert (
        cut.missing == f"the box `mdat` ends at byte {len(content)}, the file at {len(content) - 1}"
    )


def test_data_of_mp4_that_goes_on_to_the_end_of_the_file_is_whole(tmp_path: Path) -> None:
    assert ending_of(tmp_path, FTYP + MOOV + struct.pack(">I4s", 0, b"mdat") + bytes(50)) == WHOLE


def test_fragments_are_silent_unless_an_index_follows(tmp_path: Path) -> None:
    live = FTYP + MOOV + MOOF + box(b"mdat", bytes(30))
    assert ending_of(tmp_path, live) == SILENT
    assert ending_of(tmp_path, live + box(b"mfra", bytes(8))) == WHOLE
    assert ending_of(tmp_path, live + MOOF[:6]).missing == "the file ends inside the head of a box"
    assert ending_of(tmp_path, live + b"\xff" * 6) == SILENT
    assert "the box `moof`" in ending_of(tmp_path, live + MOOF[:-1]).missing


def avi(*lists: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", sum(map(len, lists)) + 4) + b"AVI " + b"".join(lists)


def movi(*frames: bytes) -> bytes:
    return chunk(b"LIST", b"movi" + b"".join(chunk(b"00dc", frame) for frame in frames))


def test_a_large_avi_goes_on_in_further_parts(tmp_path: Path) -> None:
    second = movi(b"22", b"333")
    content = avi(chunk(b"LIST", b"hdrl"), movi(b"1", b"22"))
    content += b"RIFF" + struct.pack("<I", len(second) + 4) + b"AVIX" + second
    assert ending_of(tmp_path, content) == WHOLE
    assert "the list of frames ends at" in ending_of(tmp_path, content[:-2]).missing


def test_frames_of_avi_may_stand_in_groups_and_no_zeros_between_them(tmp_path: Path) -> None:
    frames = chunk(b"00dc", b"one") + chunk(b"00dc", b"four")
    grouped = chunk(b"LIST", b"movi" + chunk(b"LIST", b"rec " + frames) + frames)
    assert ending_of(tmp_path, avi(grouped)) == WHOLE
    lost = chunk(b"LIST", b"movi" + chunk(b"LIST", b"rec " + frames) + bytes(len(frames)))
    assert "there is no frame at byte" in ending_of(tmp_path, avi(lost)).missing


def test_what_follows_an_avi_is_of_no_account(tmp_path: Path) -> None:
    assert ending_of(tmp_path, avi(movi(b"1")) + b"posted by somebody") == WHOLE


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_an_avi_that_was_never_finished_is_silent(tmp_path: Path, length: int) -> None:
    content = avi(struct.pack("<4sI", b"LIST", length) + b"movi" + chunk(b"00dc", b"1"))
    assert ending_of(tmp_path, content) == SILENT


def test_an_avi_without_frames_is_silent(tmp_path: Path) -> None:
    assert ending_of(tmp_path, avi(chunk(b"LIST", b"hdrl"))) == SILENT


def page(stream: int, content: bytes, *, last: bool = False) -> bytes:
    """Return a page of an Ogg file."""
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, 4 * last, 0, stream, 0, 0, 2)
    return head + bytes([10, len(content) - 10]) + content


def test_each_stream_of_ogg_has_a_page_that_is_its_last(tmp_path: Path) -> None:
    begun = page(1, b"first stream") + page(2, b"second stream")
    ended = begun + page(1, b"its end, too", last=True)
    assert ending_of(tmp_path, begun).missing == "no page is marked as a stream's last"
    assert ending_of(tmp_path, ended).missing == "no page is marked as a stream's last"
    whole = ended + page(2, b"and of this one", last=True)
    assert ending_of(tmp_path, whole) == ending_of(tmp_path, whole + b"junk") == WHOLE
    for cut in (1, 12, 20, 40):
        assert ending_of(tmp_path, whole[:-cut]).missing == "the file ends inside a page"


@pytest.mark.parametrize(("length", "ahead"), [(188, 0), (192, 4), (204, 0)])
def test_transport_streams_have_packets_of_three_lengths(
    tmp_path: Path, length: int, ahead: int
) -> None:
    packet = bytes(ahead) + b"\x47" + b"\xff" * (length - ahead - 1)
    assert ending_of(tmp_path, packet * 7) == SILENT
    for left in (1, ahead + 1, length - 1):
        cut = packet * 7 + packet[:left]
        assert ending_of(tmp_path, cut).missing == "the file ends inside a packet"
    assert ending_of(tmp_path, packet * 7 + b"posted by somebody") == SILENT


def test_a_program_stream_ends_with_its_mark_or_says_nothing(tmp_path: Path) -> None:
    of_mpeg1 = b"\0\0\1\xba" + b"\x21" + bytes(7)
    of_mpeg2 = b"\0\0\1\xba" + b"\x44" + bytes(8) + b"\xfa" + bytes(2)  # two bytes of stuffing
    packet = b"\0\0\1\xe0" + struct.pack(">H", 20) + bytes(20)
    for pack in (of_mpeg1, of_mpeg2):
        content = (pack + packet) * 3
        assert ending_of(tmp_path, content) == SILENT
        assert ending_of(tmp_path, content + b"\0\0\1\xb9" + b"junk") == WHOLE
        assert ending_of(tmp_path, content[:-1]).missing == "the file ends inside a packet"
        assert ending_of(tmp_path, content + b"\0\0").missing.endswith("the head of a packet")
        for junk in (b"abc", b"junk"):
            assert ending_of(tmp_path, content + junk) == SILENT
