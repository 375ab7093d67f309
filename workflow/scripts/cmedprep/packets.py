"""Hold the pictures that a decoder gives against the packets that should have given them.

A decoder passes over what it cannot decode, such as what follows a lost key frame, and says
nothing. But each packet holds one picture, with few exceptions, which are counted here.
"""

from typing import Any

_DISCARDABLE = ("vp8",)
"""Codecs with pictures that are never shown and have packets of their own."""
_REPEATING = ("mpeg4", "wmv2", "indeo4", "indeo5")
"""Codecs with packets that say no more than that the picture before stays, or has come already."""
_REPEAT_BYTES = 19
"""What such a packet has at most: libav's MAX_NVOP_SIZE."""


class Account:
    """The packets and pictures of a video so far.

    Parameters
    ----------
    codec : str
        The name of the codec, as `codec.canonical_name` has it.
    """

    def __init__(self, codec: str) -> None:
        self._discardable = codec in _DISCARDABLE
        self._repeating = codec in _REPEATING
        self._packets = self._excused = self._leading = 0
        self._key_time: int | None = None
        self.stored = self.pictures = self.interlaced = 0

    def add_packet(self, packet: Any) -> None:
        """Count a packet, unless it holds nothing or an edit list hides it."""
        if not packet.size:
            return
        self.stored += 1
        if packet.is_discard or (self._discardable and not memoryview(packet)[0] & 0x10):
            return  # RFC 6386, 9.1: the bit of `show_frame`
        self._packets += 1
        self._excused += self.repeats(packet)
        if self._key_time is None:
            self._key_time = packet.pts if packet.is_keyframe else None
        elif packet.pts is not None and packet.pts < self._key_time:
            self._leading += 1

    def repeats(self, packet: Any) -> bool:
        """Tell whether a packet may say no more than that the picture before stays."""
        return self._repeating and 0 < packet.size <= _REPEAT_BYTES

    def add_picture(self, frame: Any) -> None:
        """Count a decoded picture."""
        self.pictures += 1
        self.interlaced += frame.interlaced_frame

    @property
    def lost(self) -> int:
        """The pictures that are stored and cannot be decoded."""
        return max(self._unseen - self._leading, 0)

    @property
    def cut_off(self) -> int:
        """The pictures before the first key frame that refer to what came before the file.

        As where a recording was cut at a key frame, and some pictures shown before that frame
        are stored after it. No player shows them.
        """
        return min(max(self._unseen, 0), self._leading)

    @property
    def doubtful(self) -> int:
        """The packets without a picture that may hold second fields, or pictures that are lost.

        Where every field has a packet, there are two for each picture, and otherwise one; but some
        streams mix both.
        """
        without = self._unseen + self.interlaced - self._leading
        return without if 0 < without < self.interlaced else 0

    @property
    def _unseen(self) -> int:
        """The packets that should have given a picture, less those that have."""
        # Each field of an interlaced picture may have a packet.
        return self._packets - self.pictures - self._excused - self.interlaced

    @property
    def total(self) -> int:
        """The pictures that there should be."""
        return self.pictures + self.lost
