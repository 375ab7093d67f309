"""A video can harm the process that decodes it, and nothing else."""

import gc
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from cmedplan.fingerprint import reach
from cmedprep import probing
from cmedprep.decoding import VideoError, decode, probe_video
from cmedprep.probing import Limits, Prober
from cmedprep.video import read_frames
from tests.conftest import REPOSITORY
from tests.makers.make_videos import Kind, number_of, picture, pictures, write_video

PLAIN = Kind("clip.mp4", "libx264", options={"preset": "ultrafast"})
SCRIPTS = REPOSITORY / "workflow" / "scripts"

av.logging.set_level(None)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", pictures(12), PLAIN)


def refusal(prober: Prober, path: Path) -> tuple[str, str]:
    with pytest.raises(VideoError) as refused:
        prober.probe(path)
    return refused.value.status, str(refused.value)


class Misbehaving(Prober):
    """A prober whose process does what a test says when a video is called so."""

    def __init__(self, deed: str, limits: Limits | None = None) -> None:
        super().__init__(limits or Limits())
        self.deed = deed

    def _start(self) -> subprocess.Popen[bytes]:
        program = (
            "import ctypes, json, os, signal, sys, time; sys.path[:] = json.loads(sys.argv[1])\n"
            "from cmedprep import probe_worker\n"
            "from cmedprep.decoding import probe_video\n"
            "def probe(path, bounds):\n"
            f"    if path.name.startswith('bad'): {self.deed}\n"
            "    return probe_video(path, bounds=bounds)\n"
            "probe_worker.probe_video = probe\n"
            "probe_worker.main(*json.loads(sys.argv[2]))\n"
        )
        numbers = json.dumps([os.getpid(), self.limits.memory_mb])
        return subprocess.Popen(
            [sys.executable, "-c", program, json.dumps(sys.path), numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )


# --- what a decoder may do -------------------------------------------------------------------


def test_facts_come_through_as_they_are(clip: Path) -> None:
    with Prober(Limits()) as prober:
        assert prober.probe(clip) == probe_video(clip)


@pytest.mark.parametrize(
    ("deed", "status", "word"),
    [
        ("ctypes.string_at(0)", "unreadable_video", "crashed (SIGSEGV)"),
        ("os.abort()", "unreadable_video", "crashed (SIGABRT)"),
        ("os.kill(os.getpid(), signal.SIGFPE)", "unreadable_video", "crashed (SIGFPE)"),
        ("raise RuntimeError('what now')", "unreadable_video", "RuntimeError: what now"),
        ("time.sleep(600)", "over_limit", "limits.seconds"),
        ("signal.raise_signal(signal.SIGALRM)", "over_limit", "limits.seconds"),
        ("bytearray(2 << 30)", "over_limit", "limits.memory_mb"),
    ],
)
def test_what_a_decoder_does_is_a_reason_and_the_next_video_is_probed(
    clip: Path, deed: str, status: str, word: str
) -> None:
    bad = clip.with_name("bad.mp4")
    shutil.copy(clip, bad)
    with Misbehaving(deed, Limits(seconds=3, memory_mb=1024)) as prober:
        for _ in range(2):
            assert prober.probe(clip).n_frames == 12
            found, reason = refusal(prober, bad)
            assert found == status
            assert word in reason
        assert prober.probe(clip).n_frames == 12


@pytest.mark.parametrize("deed", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(3)"])
def test_a_process_that_was_killed_from_outside_says_nothing_of_the_video(
    clip: Path, deed: str
) -> None:
    # As when memory runs out: the job fails, and runs again.
    bad = clip.with_name("bad.mp4")
    shutil.copy(clip, bad)
    with Misbehaving(deed) as prober:
        with pytest.raises(RuntimeError, match=r"memory_mb.*4096"):
            prober.probe(bad)
        assert prober.probe(clip).n_frames == 12


def test_a_process_that_dies_between_two_videos_is_replaced(clip: Path) -> None:
    with Prober(Limits()) as prober:
        prober.probe(clip)
        assert prober._worker is not None
        prober._worker.kill()
        prober._worker.wait()
        assert prober.probe(clip).n_frames == 12


def test_what_libraries_print_is_no_answer(clip: Path) -> None:
    bad = clip.with_name("bad.mp4")
    shutil.copy(clip, bad)
    with Misbehaving("os.write(1, b'{}\\n'); print('{}', flush=True)") as prober:
        assert prober.probe(bad).n_frames == 12


@pytest.mark.parametrize("name", ["a b.mp4", "ä\n.mp4", "clip\udcff.mp4", "'\".mp4"])
def test_any_name_will_do(clip: Path, name: str) -> None:
    path = clip.with_name(name)
    shutil.copy(clip, path)
    with Prober(Limits()) as prober:
        assert prober.probe(path).n_frames == 12


def test_a_file_that_is_gone_is_an_error_of_its_own(tmp_path: Path) -> None:
    with Prober(Limits()) as prober, pytest.raises(FileNotFoundError):
        prober.probe(tmp_path / "clip.mp4")


# --- bounds ----------------------------------------------------------------------------------


def test_too_many_frames_or_pixels_are_over_the_limit(clip: Path) -> None:
    with Prober(Limits(frames=11)) as prober:
        status, reason = refusal(prober, clip)
        assert (status, "11 frames" in reason) == ("over_limit", True)
    with Prober(Limits(megapixels=0.006)) as prober:
        status, reason = refusal(prober, clip)
        assert (status, "96 x 64" in reason) == ("over_limit", True)
    with Prober(Limits(frames=12, megapixels=96 * 64 / 1e6)) as prober:
        assert prober.probe(clip).n_frames == 12


def test_frames_are_counted_where_no_header_counts_them(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", pictures(12), PLAIN)
    with Prober(Limits(frames=11)) as prober:
        assert refusal(prober, path)[0] == "over_limit"


@pytest.mark.parametrize("name", ["png.mov", "raw.avi", "mjpeg.avi", "gif.gif"])
def test_a_small_file_that_declares_a_huge_frame_takes_no_memory(tmp_path: Path, name: str) -> None:
    codec, pixels = {
        "png": ("png", "rgb24"),
        "raw": ("rawvideo", "yuv422p"),
        "mjpeg": ("mjpeg", "yuvj420p"),
        "gif": ("gif", "rgb8"),
    }[name.split(".")[0]]
    path = write_video(tmp_path / name, [picture(1, 96, 64)] * 3, Kind(name, codec, pixels))
    data = path.read_bytes()
    for form in ("<HH", ">HH", "<II", ">II"):  # wherever the size is written
        for size in ((96, 64), (64, 96)):
            data = data.replace(struct.pack(form, *size), struct.pack(form, 16384, 16384))
    path.write_bytes(data)
    assert len(data) < 100_000
    with Prober(Limits(memory_mb=400)) as prober:
        assert refusal(prober, path)[0] in ("over_limit", "unreadable_video", "truncated_video")


def test_a_decoder_that_gets_no_memory_is_not_taken_for_broken_data(tmp_path: Path) -> None:
    # Sixteen references of 4K: some 200 MB. Short of them, libav speaks of invalid data.
    kind = Kind("clip.mp4", "libx264", options={"preset": "ultrafast", "refs": "16"})
    path = write_video(tmp_path / "clip.mp4", pictures(20, 3840, 2160), kind)
    with Prober(Limits(memory_mb=150)) as prober:
        assert refusal(prober, path)[0] == "over_limit"
    with Prober(Limits()) as prober:
        assert prober.probe(path).n_frames == 20


def test_a_host_that_leaves_no_memory_says_nothing_of_the_video(tmp_path: Path) -> None:
    kind = Kind("clip.mp4", "libx264", options={"preset": "ultrafast", "refs": "16"})
    path = write_video(tmp_path / "clip.mp4", pictures(20, 3840, 2160), kind)
    with Prober(Limits()) as prober:
        prober.probe(write_video(tmp_path / "small.mp4", pictures(2), PLAIN))
        worker = prober._worker
        assert worker is not None
        status = Path(f"/proc/{worker.pid}/status").read_text()
        taken_kb = int(status.split("VmSize:")[1].split()[0])
        space = (taken_kb << 10) + (40 << 20)  # as by `ulimit -v`
        resource.prlimit(worker.pid, resource.RLIMIT_AS, (space, space))
        with pytest.raises(RuntimeError, match="ulimit -v"):
            prober.probe(path)
        assert prober.probe(path).n_frames == 20


def test_the_memory_of_the_job_itself_is_not_held_against_a_video(clip: Path) -> None:
    ballast = np.ones(300 << 20, np.uint8)
    clip.write_bytes(clip.read_bytes()[:-200])
    with Prober(Limits(memory_mb=400)) as prober:
        assert refusal(prober, clip)[0] == "unreadable_video"
    assert ballast[-1]


def test_no_frame_is_kept(tmp_path: Path) -> None:
    n_frames, size = 300, 320 * 240 * 3
    images = (picture(i % 256, 320, 240) for i in range(n_frames))
    path = write_video(tmp_path / "clip.mp4", images, PLAIN)
    tracemalloc.start()
    try:
        peaks = []
        for frame in read_frames(path):
            assert number_of(frame.image) == frame.index % 256
            del frame
            if len(peaks) == 0:
                tracemalloc.reset_peak()
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert len(peaks) == n_frames
    assert peaks[-1] < 8 * size  # of some 70 MB, had they been kept


def test_no_picture_waits_for_the_garbage_collector(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", pictures(100), PLAIN)
    gc.collect()
    gc.disable()
    try:
        alive = [
            sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
            for _ in decode(path)
        ]
    finally:
        gc.enable()
    assert len(alive) == 100
    assert 0 < max(alive) < 5


# --- the process -----------------------------------------------------------------------------


def is_alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def wait_until_dead(process: int) -> None:
    deadline = time.monotonic() + 60
    while is_alive(process):
        assert time.monotonic() < deadline, "the process has outlived the one that started it"
        time.sleep(0.02)


def test_the_process_ends_with_the_block(clip: Path) -> None:
    with Prober(Limits()) as prober:
        assert prober._worker is None  # nothing is started for nothing
        prober.probe(clip)
        assert prober._worker is not None
        process = prober._worker.pid
    assert not is_alive(process)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system has no /proc")
@pytest.mark.parametrize("busy", [False, True])
def test_the_process_does_not_outlive_a_job_that_is_killed(clip: Path, busy: bool) -> None:
    # `busy`: in the midst of a video, when it reads no input; it is held there.
    program = (
        "import json, os, signal, sys, time; sys.path[:] = json.loads(sys.argv[1])\n"
        "from pathlib import Path\n"
        "from cmedprep.probing import Limits, Prober\n"
        "prober = Prober(Limits())\n"
        "prober.probe(Path(sys.argv[2]))\n"
        f"if {busy}: os.kill(prober._worker.pid, signal.SIGSTOP)\n"
        "print(prober._worker.pid, flush=True)\n"
        f"if {busy}: prober.probe(Path(sys.argv[2]))\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program, json.dumps(sys.path), str(clip)]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    worker = int(job.stdout.readline())
    assert is_alive(worker)
    job.kill()
    job.communicate()
    wait_until_dead(worker)


def test_the_process_finds_its_modules_wherever_it_is_run(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a folder of somebody's own modules, with nothing in PYTHONPATH.
    for name in ("json.py", "av.py", "cmedprep.py"):
        (tmp_path / name).write_text("raise SystemExit('not this one')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with Prober(Limits()) as prober:
        assert prober.probe(Path(clip.name)).n_frames == 12


def test_an_edit_of_what_the_process_runs_probes_anew() -> None:
    modules, _ = reach(SCRIPTS / "probe_videos.py")
    reached = {path.name for path in modules}
    assert {"probe_worker.py", "decoding.py", "containers.py"} <= reached


def test_the_process_is_light() -> None:
    program = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); import cmedprep.probe_worker; "
        "print([m for m in ('numpy', 'cv2', 'pyarrow', 'mediapipe') if m in sys.modules])"
    )
    command = [sys.executable, "-c", program, json.dumps([str(SCRIPTS), *sys.path])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_answer_to_an_interrupted_question_is_not_taken_for_the_next(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_video(clip.with_name("other.mp4"), pictures(5), PLAIN)
    with Prober(Limits()) as prober:
        with monkeypatch.context() as patch:
            patch.setattr(probing.select, "select", _interrupt)
            with pytest.raises(KeyboardInterrupt):
                prober.probe(clip)
        assert prober.probe(other).n_frames == 5


def _interrupt(*_: Any) -> Any:
    raise KeyboardInterrupt
