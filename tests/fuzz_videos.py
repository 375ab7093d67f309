"""Damage video files in every way, and see that each ends as a row and not as a crash.

    python tests/fuzz_videos.py --mutations 2000 --seed 0

The sources are small made videos and, where they are beside the repository, real clips. Each
mutation is probed in the guarded process. A video that comes out ``ok`` is then decoded again as
later stages do, with several threads, and must give the same number of frames, all of the size
in its row. Mutation number i of a seed is the same wherever it runs, so a failure can be looked
at alone (`--only 1234 --keep folder`).
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # Run as a file and not as a module.
    _REPOSITORY = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(_REPOSITORY), str(_REPOSITORY / "workflow" / "scripts")]

import av

from cmedplan.plan import PlannedClip
from cmedplan.scan import VideoFile
from cmedprep.ledger import probe_clip
from cmedprep.probing import Limits, Prober
from cmedprep.video import read_frames
from tests.makers.make_videos import Kind, pictures, write_video

STATUSES = {"ok", "unreadable_video", "truncated_video", "inconsistent_video", "over_limit"}
LIMITS = Limits(seconds=60, memory_mb=1024, megapixels=16, frames=2000)
REAL_VIDEOS = Path(__file__).resolve().parents[2] / "shared" / "videos"
LARGEST = 3_000_000
"""Bytes of the largest real clip that is taken: each is decoded hundreds of times."""

SOURCES = (
    Kind("h264.mp4", "libx264", options={"bf": "2"}),
    Kind("front.mp4", "libx264", muxer={"movflags": "faststart"}),
    Kind("pieces.mp4", "libx264", options={"g": "4"}, muxer={"movflags": "frag_keyframe"}),
    Kind("hevc.mov", "libx265", options={"x265-params": "log-level=none"}),
    Kind("h264.mkv", "libx264"),
    Kind("live.mkv", "libx264", muxer={"live": "1"}),
    Kind("vp8.webm", "libvpx", options={"cpu-used": "8"}),
    Kind("vp9.webm", "libvpx-vp9", options={"cpu-used": "8"}),
    Kind("av1.mp4", "libsvtav1", options={"preset": "12"}),
    Kind("mjpeg.avi", "mjpeg", "yuvj420p"),
    Kind("mpeg4.avi", "mpeg4"),
    Kind("mpeg1.mpg", "mpeg1video"),
    Kind("mpeg2.vob", "mpeg2video"),
    Kind("h264.ts", "libx264"),
    Kind("flv.flv", "flv"),
    Kind("wmv.wmv", "wmv2"),
    Kind("vp8.ogv", "libvpx"),
    Kind("gif.gif", "gif", "rgb8"),
    Kind("png.mov", "png", "rgba"),
    Kind("ffv1.mkv", "ffv1", "gray"),
)


def make_sources(folder: Path, real: bool) -> list[Path]:
    """Return the files to damage: made ones, and the real ones if asked and there."""
    made = [
        write_video(folder / kind.name, pictures(12), kind)
        for kind in SOURCES
        if kind.can_be_written
    ]
    found = sorted(REAL_VIDEOS.glob("*.m[kop][gv4]*")) if real else []
    return made + [path for path in found if 0 < path.stat().st_size <= LARGEST]


def mutate(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Return data damaged in one of several ways; `other` is a file to take a part from."""
    changed = bytearray(data)
    deed = chance.choice(
        ["bits", "bytes", "zeros", "ones", "remove", "repeat", "swap", "cut", "header", "splice"]
    )
    start, end = sorted(chance.randrange(len(data)) for _ in range(2))
    end = min(end, start + chance.choice([1, 4, 64, 4096, len(data)]))
    if deed == "bits":
        for _ in range(chance.choice([1, 3, 20, 200])):
            changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif deed == "bytes":
        changed[start:end] = chance.randbytes(end - start)
    elif deed in ("zeros", "ones"):
        changed[start:end] = (b"\0" if deed == "zeros" else b"\xff") * (end - start)
    elif deed == "remove":
        del changed[start:end]
    elif deed == "repeat":
        changed[end:end] = changed[start:end] * chance.choice(
            [1, 2, 50 if end - start < 999 else 1]
        )
    elif deed == "swap":
        middle = chance.randint(start, end)
        changed[start:end] = changed[middle:end] + changed[start:middle]
    elif deed == "cut":
        del changed[start:]
    elif deed == "header":  # where sizes, counts and offsets are
        reach = min(len(data), chance.choice([64, 512, 2048]))
        base = chance.choice([0, len(data) - reach])
        for _ in range(chance.choice([1, 2, 5])):
            value = chance.choice([b"\0", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\xff"])
            place = base + chance.randrange(reach)
            changed[place : place + len(value)] = value
    else:
        place = chance.randrange(len(other))
        changed[start:end] = other[place : place + end - start]
    return bytes(changed)


def mutations(
    sources: Sequence[Path], seed: int, numbers: Iterable[int]
) -> Iterator[tuple[int, str, bytes]]:
    """Yield number, suffix and content of damaged files."""
    contents = [path.read_bytes() for path in sources]
    for number in numbers:
        chance = random.Random(f"{seed} {number}")
        source = number % len(sources)
        data = contents[source]
        for _ in range(chance.choice([1, 1, 1, 2, 4])):
            data = mutate(data, chance.choice(contents), chance) or b"\0"
        yield number, sources[source].suffix, data


def judge(path: Path, prober: Prober) -> tuple[str, str]:
    """Return the status of a damaged file, and what is wrong with its row, if anything is."""
    video = VideoFile(path.name, "Happy", "S1", path.name, 0, 0)
    clip = PlannedClip("S1/Happy/clip", "S1", "Happy", path.name, "ok", "", None, video)
    row: dict[str, Any] = probe_clip(clip, path.parent, prober)
    status = str(row["video_status"])
    if status not in STATUSES:
        return status, "unknown status"
    if status != "ok":
        return status, "" if len(row["video_reason"]) > 10 else "no reason"
    count = 0
    for frame in read_frames(path, threads=2):
        count += 1
        if frame.image.shape != (row["height"], row["width"], 3):
            return status, f"frame {frame.index} has shape {frame.image.shape}"
    return status, "" if count == row["n_frames"] else f"{count} and not {row['n_frames']} frames"


def fuzz(
    sources: Sequence[Path], seed: int, numbers: Iterable[int], folder: Path
) -> tuple[Counter[str], list[str]]:
    """Judge many damaged files; return how many had each status, and what went wrong."""
    tally: Counter[str] = Counter()
    faults = []
    with Prober(LIMITS) as prober:
        for number, suffix, data in mutations(sources, seed, numbers):
            path = folder / f"{number}{suffix}"
            path.write_bytes(data)
            started = time.monotonic()
            try:
                status, fault = judge(path, prober)
            except Exception as error:  # Whatever it is, it is what this looks for.
                status, fault = "exception", f"{type(error).__name__}: {error}"
            tally[status] += 1
            if fault:
                faults.append(f"mutation {number} ({suffix[1:]}, {status}): {fault}")
            if (seconds := time.monotonic() - started) > 10:
                print(f"mutation {number} ({suffix[1:]}) took {seconds:.0f} s", flush=True)
            path.unlink()
    return tally, faults


def main() -> None:
    """Run from the command line; fail if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of a single mutation")
    parser.add_argument("--keep", type=Path, help="folder for the damaged file of --only")
    options = parser.parse_args()
    av.logging.set_level(None)
    with tempfile.TemporaryDirectory() as name:
        sources = make_sources(Path(name), real=True)
        print(f"{len(sources)} sources", flush=True)
        numbers = range(options.mutations) if options.only is None else [options.only]
        if options.keep:
            for number, suffix, data in mutations(sources, options.seed, numbers):
                (options.keep / f"{number}{suffix}").write_bytes(data)
        started = time.monotonic()
        tally, faults = fuzz(sources, options.seed, numbers, Path(name))
        print(f"{dict(tally)} in {time.monotonic() - started:.0f} s")
    for fault in faults:
        print(fault)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
