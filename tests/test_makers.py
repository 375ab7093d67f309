"""The makers of test data keep their word: the truth is what the pictures show."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from cmedprep.geometry import apply, fit_similarity
from tests.makers import make_demo as demo
from tests.makers.alignment_scores import (
    best_similarity,
    kept_amplitude,
    score_alignment,
    score_positions,
    template_similarity,
)
from tests.makers.synthetic_face import (
    EYE_CORNERS,
    PULLS,
    Appearance,
    Array,
    Blink,
    Capture,
    ClipTruth,
    Expression,
    Light,
    Motion,
    Occluder,
    Portrait,
    eye_centres,
    invert_displacement,
    make_portrait,
    render_clip,
    render_frame,
)

N_FRAMES = 12
APEX = 5
PERIOD_PX = 12.0


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return make_portrait()


@pytest.fixture(scope="module")
def truth(portrait: Portrait) -> ClipTruth:
    motion = Motion.wander(N_FRAMES, seed=3, yaw=4.0, pitch=4.0, roll=4.0, scale=0.03, shift=10.0)
    return ClipTruth(portrait.face, motion, Expression("Surprise", 3.0, APEX), Blink(APEX))


def still(portrait: Portrait, emotion: str = "Happy") -> ClipTruth:
    return ClipTruth(portrait.face, Motion.still(N_FRAMES), Expression(emotion, 2.0, APEX))


def source_of(truth: ClipTruth, pixels: Array, frame_index: int) -> Array:
    """Find the portrait points (N, 2) that a frame shows at pixels (N, 2), by `forward` alone."""
    points = pixels.copy()
    for _ in range(60):
        points += pixels - truth.forward(points, frame_index)
    return points


def face_pixels(truth: ClipTruth, frame_index: int) -> Array:
    """Give 500 whole pixels (N, 2) on the face in a frame."""
    rng = np.random.default_rng(0)
    skin = truth.forward(truth.face.mesh[:468, :2], frame_index)
    pixels = np.rint(rng.uniform(skin.min(axis=0), skin.max(axis=0), (500, 2)))
    assert (truth.face.attachment(source_of(truth, pixels, frame_index)) > 0.99).mean() > 0.8
    return pixels


# --- the model -------------------------------------------------------------------------------


def test_head_at_rest_is_the_portrait(portrait: Portrait) -> None:
    points = np.random.default_rng(0).uniform(0.0, 480.0, (50, 2))
    at_rest = still(portrait).forward(points, APEX, expression=False)
    np.testing.assert_allclose(at_rest, points, atol=1e-9)


@pytest.mark.parametrize(
    ("freedom", "value", "axis", "sign"),
    [("yaw", 4.0, 0, 1), ("pitch", 4.0, 1, -1), ("tx", 4.0, 0, 1), ("ty", 4.0, 1, 1)],
)
def test_nose_moves_as_documented(
    portrait: Portrait, freedom: str, value: float, axis: int, sign: int
) -> None:
    motion = replace(Motion.still(1), **{freedom: np.array([value])})
    nose = portrait.face.mesh[[1], :2]
    moved = ClipTruth(portrait.face, motion).forward(nose, 0) - nose
    assert sign * moved[0, axis] > 3.0


def test_in_plane_motion_is_a_similarity(portrait: Portrait) -> None:
    motion = Motion.wander(N_FRAMES, seed=1, yaw=0.0, pitch=0.0, roll=5.0)
    truth = ClipTruth(portrait.face, motion)
    mesh = portrait.face.mesh[:, :2]
    seen = truth.forward(mesh, 4)
    matrix = fit_similarity(mesh, seen)
    np.testing.assert_allclose(apply(matrix, mesh), seen, atol=1e-9)
    assert np.hypot(*matrix[:, 0]) == pytest.approx(motion.scale[4])
    assert np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])) == pytest.approx(motion.roll[4])


@pytest.mark.parametrize("emotion", PULLS)
@pytest.mark.parametrize("apex", [0, APEX, N_FRAMES - 1])
def test_expression_is_greatest_at_the_apex_and_only_there(emotion: str, apex: int) -> None:
    course = Expression(emotion, 2.0, apex).time_course(N_FRAMES)
    assert course[apex] == 1.0
    assert np.delete(course, apex).max() < 0.99
    assert (np.diff(course[: apex + 1]) > 0).all()
    assert (np.diff(course[apex:]) < 0).all()


def test_apex_outside_the_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 to 11"):
        Expression("Happy", 2.0, N_FRAMES).time_course(N_FRAMES)


@pytest.mark.parametrize("emotion", PULLS)
def test_amplitude_is_that_of_the_landmark_that_moves_most(
    portrait: Portrait, emotion: str
) -> None:
    clip = still(portrait, emotion)
    mesh = portrait.face.mesh[:, :2]
    moved = np.hypot(*(clip.forward(mesh, APEX) - mesh).T).max()
    assert moved / portrait.face.inter_ocular_px * 90.0 == pytest.approx(2.0)
    np.testing.assert_array_equal(clip.forward(mesh, 0), clip.forward(mesh, 0, expression=False))


def test_rigid_points_are_on_the_face_and_never_deform(portrait: Portrait) -> None:
    rigid = portrait.face.rigid_points
    assert len(rigid) > 100
    np.testing.assert_array_equal(portrait.face.attachment(rigid), 1.0)
    for emotion in PULLS:
        clip = replace(still(portrait, emotion), blink=Blink(APEX))
        np.testing.assert_array_equal(
            clip.forward(rigid, APEX), clip.forward(rigid, APEX, expression=False)
        )
    # On both sides, and from above the brows to below the eyes.
    middle = eye_centres(portrait.face.mesh).mean(axis=0)
    spread = np.ptp(rigid, axis=0) / portrait.face.inter_ocular_px
    assert spread[0] > 1.5
    assert spread[1] > 0.9
    assert 0.3 < (rigid[:, 0] < middle[0]).mean() < 0.7


# --- the pictures ----------------------------------------------------------------------------


@pytest.mark.parametrize(("blink", "tolerance_px"), [(None, 0.003), (Blink(APEX), 0.01)])
def test_inverse_map_is_exact(truth: ClipTruth, blink: Blink | None, tolerance_px: float) -> None:
    truth = replace(truth, blink=blink)
    x0, y0, *_ = truth.face.moving_box
    for frame_index in (0, APEX, 9):
        field = truth.grid_displacement(truth.states[frame_index])
        pixels = face_pixels(truth, frame_index)
        column, row = (pixels - (x0, y0)).astype(int).T
        sources = invert_displacement(field)[row, column] + np.array([x0, y0])
        error = truth.forward(sources, frame_index) - pixels
        assert np.hypot(*error.T).max() < tolerance_px


def test_folding_map_is_refused() -> None:
    field = np.zeros((40, 40, 2), np.float32)
    field[..., 0] = 30.0 * np.sin(np.arange(40))
    with pytest.raises(RuntimeError, match="make motion, expression or blink smaller"):
        invert_displacement(field)


@pytest.mark.parametrize("axis", [0, 1])
def test_pictures_show_what_forward_says(truth: ClipTruth, axis: int) -> None:
    # Two gratings a quarter period apart turn every pixel's colour into a position.
    position = Portrait.texture_grid(truth.face.width, truth.face.height)[..., axis]
    phase = 2.0 * np.pi * position / PERIOD_PX
    texture = 127.5 + 120.0 * np.stack([np.cos(phase), np.sin(phase), 0.0 * phase], axis=-1)
    gratings = Portrait(truth.face, texture.astype(np.float32))
    for frame_index in (0, APEX):
        pixels = face_pixels(truth, frame_index)
        expected = source_of(truth, pixels, frame_index)
        column, row = pixels.astype(int).T
        seen = render_frame(gratings, truth, frame_index)[row, column] - 127.5
        shown = np.arctan2(seen[:, 1], seen[:, 0]) / (2.0 * np.pi) * PERIOD_PX
        error = (shown - expected[:, axis] + PERIOD_PX / 2.0) % PERIOD_PX - PERIOD_PX / 2.0
        # A grey level is worth 0.02 px here: this is the rounding to 8 bits.
        assert np.abs(error).max() < 0.03
        assert np.sqrt(np.square(error).mean()) < 0.01
        assert abs(error.mean()) < 0.001


def test_background_stands_still(portrait: Portrait, truth: ClipTruth) -> None:
    first, later = (render_frame(portrait, truth, k) for k in (0, 8))
    np.testing.assert_array_equal(first[:, :40], later[:, :40])
    assert (first[200:300, 250:400] != later[200:300, 250:400]).any()


def test_mediapipe_finds_the_face_where_it_is(portrait: Portrait, truth: ClipTruth) -> None:
    from mediapipe.python.solutions.face_mesh import FaceMesh

    capture = Capture(noise_sigma=2.0, shutter=0.5)
    frames = [render_frame(portrait, truth, k, capture) for k in (0, APEX, 11)]
    corners = [landmark for pair in EYE_CORNERS for landmark in pair]
    with FaceMesh(static_image_mode=True, refine_landmarks=True) as mesher:
        for frame_index, image in zip((0, APEX, 11), frames, strict=True):
            found = mesher.process(image).multi_face_landmarks
            assert found is not None
            seen = np.array([(found[0].landmark[k].x, found[0].landmark[k].y) for k in corners])
            known = truth.forward(portrait.face.mesh[corners, :2], frame_index)
            assert np.hypot(*(seen * (640, 480) - 0.5 - known).T).mean() < 3.0


def test_light_and_noise_are_as_asked(portrait: Portrait) -> None:
    clip = still(portrait)
    light = Light.stretch(N_FRAMES, 4, 8, gain=0.7, offset=10.0)
    plain = render_frame(portrait, clip, 5).astype(float)
    dim = render_frame(portrait, clip, 5, Capture(light)).astype(float)
    np.testing.assert_allclose(dim, 0.7 * plain + 10.0, atol=1.0)
    unchanged = render_frame(portrait, clip, 8, Capture(light))
    np.testing.assert_array_equal(unchanged, render_frame(portrait, clip, 8))

    noisy = render_frame(portrait, clip, 5, Capture(noise_sigma=2.0, seed=1))
    middle = (plain > 20).all(axis=-1) & (plain < 235).all(axis=-1)
    assert (noisy - plain)[middle].std() == pytest.approx(2.0, rel=0.05)
    again = render_frame(portrait, clip, 5, Capture(noise_sigma=2.0, seed=1))
    other = render_frame(portrait, clip, 5, Capture(noise_sigma=2.0, seed=2))
    np.testing.assert_array_equal(noisy, again)
    assert (noisy != other).any()


def test_occluder_hides_part_of_the_face_for_a_while(portrait: Portrait) -> None:
    clip = still(portrait)
    hand = Occluder(2, 8, (0.0, 300.0), (320.0, 300.0))
    plain = render_frame(portrait, clip, 7)
    hidden = render_frame(portrait, clip, 7, Capture(occluder=hand))
    assert np.abs(hidden[300, 320].astype(int) - plain[300, 320]).max() > 15
    np.testing.assert_array_equal(hidden[:100], plain[:100])
    after = render_frame(portrait, clip, 8, Capture(occluder=hand))
    np.testing.assert_array_equal(after, render_frame(portrait, clip, 8))


def test_motion_blur_blurs_along_the_motion_and_does_not_shift(portrait: Portrait) -> None:
    x, y = np.moveaxis(Portrait.texture_grid(640, 480), -1, 0)
    spot = 250.0 * np.exp(-0.5 * ((x - 320.0) ** 2 + (y - 240.0) ** 2) / 3.0**2)
    dot = Portrait(portrait.face, np.repeat(spot[..., None], 3, axis=-1).astype(np.float32))
    speed = 6.0
    clip = ClipTruth(portrait.face, replace(Motion.still(5), tx=speed * np.arange(5.0)))

    def moments(shutter: float) -> tuple[Array, Array]:
        image = render_frame(dot, clip, 2, Capture(shutter=shutter))[..., 0].astype(float)
        rows, columns = np.indices(image.shape)
        places = np.stack([columns, rows])
        mean = (places * image).sum(axis=(1, 2)) / image.sum()
        spread = ((places - mean[:, None, None]) ** 2 * image).sum(axis=(1, 2)) / image.sum()
        return mean, spread

    sharp_mean, sharp_spread = moments(0.0)
    blurred_mean, blurred_spread = moments(1.0)
    np.testing.assert_allclose(sharp_mean, (332.0, 240.0), atol=0.02)
    np.testing.assert_allclose(blurred_mean, sharp_mean, atol=0.02)
    # Five exposures spread evenly over the interval.
    expected = speed**2 * np.var((np.arange(5) + 0.5) / 5.0)
    assert blurred_spread[0] - sharp_spread[0] == pytest.approx(expected, rel=0.1)
    assert blurred_spread[1] - sharp_spread[1] == pytest.approx(0.0, abs=0.1)


def test_appearances_differ(portrait: Portrait) -> None:
    look = Appearance(mirror=True, tint=(0.8, 0.9, 1.0), inter_ocular_px=80.0, length=1.1)
    other = make_portrait(appearance=look)
    assert portrait.face.inter_ocular_px == pytest.approx(90.0, rel=0.02)
    assert other.face.inter_ocular_px == pytest.approx(80.0, rel=0.02)

    def elongation(face: Array) -> float:
        width, height = np.ptp(face[:, :2], axis=0)
        return float(height / width)

    longer = elongation(other.face.mesh) / elongation(portrait.face.mesh)
    assert longer == pytest.approx(1.1, rel=0.05)


# --- the scores ------------------------------------------------------------------------------


def test_scores_of_known_positions() -> None:
    positions = np.zeros((3, 4, 2))
    positions[1, :, 0] = 3.0
    # Mean position 1: deviations -1, 2, -1; steps 3, -3.
    assert score_positions(positions + 50.0) == pytest.approx((np.sqrt(2.0), 3.0))
    gap = np.insert(positions, 1, np.nan, axis=0)
    assert score_positions(gap) == pytest.approx((np.sqrt(2.0), 3.0))
    assert np.isnan(score_positions(np.full((3, 4, 2), np.nan))).all()


def test_best_similarity_is_exact_in_plane_and_best_in_depth(
    portrait: Portrait, truth: ClipTruth
) -> None:
    flat = ClipTruth(portrait.face, Motion.wander(N_FRAMES, seed=1, yaw=0.0, pitch=0.0))
    assert score_alignment(best_similarity(flat), flat) == pytest.approx((0.0, 0.0), abs=1e-9)

    best = best_similarity(truth)
    drift, jitter = score_alignment(best, truth)
    assert 0.05 < drift < 2.0
    fixed = np.repeat(template_similarity(portrait.face.mesh)[None], N_FRAMES, axis=0)
    fixed_drift, fixed_jitter = score_alignment(fixed, truth)
    assert fixed_drift > 3.0 * drift
    assert fixed_jitter > 2.0 * jitter
    rng = np.random.default_rng(0)
    for _ in range(20):
        nearby = best.copy()
        nearby[:, :, 2] += rng.normal(0.0, 0.05, (N_FRAMES, 2))
        assert score_alignment(nearby, truth)[0] > drift


def test_template_puts_the_eyes_where_the_design_says(portrait: Portrait) -> None:
    matrix = template_similarity(portrait.face.mesh)
    eyes = apply(matrix, eye_centres(portrait.face.mesh))
    np.testing.assert_allclose(eyes, [(67.0, 90.0), (157.0, 90.0)], atol=1e-9)


@pytest.mark.parametrize("emotion", PULLS)
def test_kept_amplitude_tells_what_an_alignment_takes_away(
    portrait: Portrait, emotion: str
) -> None:
    motion = Motion.wander(N_FRAMES, seed=2)
    clip = ClipTruth(portrait.face, motion, Expression(emotion, 2.0, APEX))
    assert kept_amplitude(best_similarity(clip), clip) == pytest.approx(1.0, abs=0.15)

    # One that holds the moving landmarks still keeps next to nothing of what is common to them.
    deforming = clip.deforming_points()
    template = apply(template_similarity(portrait.face.mesh), deforming)
    following = np.stack(
        [fit_similarity(clip.forward(deforming, t), template) for t in range(N_FRAMES)]
    )
    assert kept_amplitude(following, clip) < 0.7

    # The same given as a function.
    best = best_similarity(clip)
    as_function = kept_amplitude(lambda t, points: apply(best[t], points), clip)
    assert as_function == pytest.approx(kept_amplitude(best, clip))


def test_kept_amplitude_needs_an_expression(portrait: Portrait) -> None:
    clip = ClipTruth(portrait.face, Motion.still(3))
    with pytest.raises(ValueError, match="score_alignment"):
        kept_amplitude(best_similarity(clip), clip)


# --- the demo --------------------------------------------------------------------------------

SUBSET = (
    demo.PlannedClip("Subject_01", "Surprise", "vid1.mp4", 9, 3),
    demo.PlannedClip("Subject_01", "No_Emotion", "vid1.mp4", 8, None, blink=Blink(4)),
)
LOOKS = {"Subject_01": Appearance()}


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small_demo")
    demo.make_data_set(root, SUBSET, LOOKS, seed=0)
    return root


def test_same_seed_same_bytes(small_demo: Path, tmp_path: Path) -> None:
    demo.make_data_set(tmp_path, SUBSET, LOOKS, seed=0)
    assert digests(tmp_path) == digests(small_demo)
    assert len(digests(tmp_path)) == 6


def test_clips_decode_to_what_was_planned(small_demo: Path) -> None:
    for clip in SUBSET:
        folder = small_demo / "FinalFullVideos_subjects" / clip.emotion / clip.subject
        with av.open(str(folder / clip.filename)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
            assert (stream.width, stream.height) == (640, 480)
            assert stream.average_rate == 30
            assert sum(1 for _ in container.decode(stream)) == clip.n_frames


def test_decoded_frames_are_the_rendered_ones(small_demo: Path, portrait: Portrait) -> None:
    clip = SUBSET[0]
    truth = demo.load_truth(small_demo)[clip.key]
    rendered = list(render_clip(portrait, truth))
    folder = small_demo / "FinalFullVideos_subjects" / clip.emotion / clip.subject
    with av.open(str(folder / clip.filename)) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for known, seen in zip(rendered, decoded, strict=True):
        error = seen[:, :, 1].astype(float) - known[:, :, 1]
        assert np.abs(error).mean() < 3.0
        assert abs(error.mean()) < 1.5


def test_truth_tables(small_demo: Path) -> None:
    clips = pq.read_table(small_demo / "truth" / "clips.parquet").to_pylist()
    frames = pq.read_table(small_demo / "truth" / "frames.parquet").to_pandas()
    assert [(row["subject"], row["emotion"], row["filename"]) for row in clips] == [
        clip.key for clip in SUBSET
    ]
    assert [row["apex_frame"] for row in clips] == [3, None]
    surprise = frames[frames["emotion"] == "Surprise"]
    assert len(surprise) == SUBSET[0].n_frames
    assert surprise["expression_px"].idxmax() == surprise.index[3]
    assert (frames.loc[frames["emotion"] == "No_Emotion", "expression_px"] == 0).all()

    truths = demo.load_truth(small_demo)
    assert set(truths) == {clip.key for clip in SUBSET}
    for clip in SUBSET:
        drift, _ = score_alignment(best_similarity(truths[clip.key]), truths[clip.key])
        assert drift < 2.0


def test_plan_has_the_variety_and_the_defects_promised() -> None:
    plan = demo.DEMO_PLAN
    videos = [clip for clip in plan if clip.has_video]
    assert len(videos) >= 16
    assert len({clip.key for clip in plan}) == len(plan)
    assert {clip.subject for clip in videos} == set(demo.SUBJECTS)
    assert len({clip.emotion for clip in videos}) >= 6
    assert all(20 <= clip.n_frames <= 45 for clip in plan)
    for clip in videos:
        if clip.apex_frame is not None:
            assert 0 < clip.apex_frame < clip.n_frames - 1
        assert (clip.apex_frame is None) == (clip.emotion == "No_Emotion")
    assert any(clip.light for clip in videos)

    found = {clip.defect: clip for clip in plan if clip.defect}
    rows = {name: clip.metadata_row() or {} for name, clip in found.items()}
    assert not found["missing_video"].has_video
    assert rows["missing_video"]["filename"] == "vid9.mp4"
    assert rows["stray_video"] == {}
    assert int(rows["apex_out_of_range"]["apex_frame"]) >= found["apex_out_of_range"].n_frames
    assert (rows["apex_missing"]["emotion"], rows["apex_missing"]["apex_frame"]) == ("Happy", "")
    assert rows["spelling"]["subject"] == "subject_02"
    assert rows["spelling"]["filename"] == "vid3.MP4"
    twins = [clip for clip in plan if clip.defect == "same_filename"]
    assert len({(clip.emotion, clip.filename) for clip in twins}) == 1
    assert len({clip.subject for clip in twins}) == 2


@pytest.fixture
def quick_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a demo cost nothing: its content is tested elsewhere."""

    def empty(root: Path, *_: object, **__: object) -> None:
        (root / "made").touch()

    monkeypatch.setattr(demo, "make_data_set", empty)


@pytest.mark.usefixtures("quick_demo")
def test_demo_is_made_once(tmp_path: Path) -> None:
    output = tmp_path / "demo"
    assert demo.make_demo(output)
    assert demo.is_current(output, seed=0)
    assert not demo.make_demo(output)
    assert not demo.is_current(output, seed=1)
    assert demo.make_demo(output, seed=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo"]


@pytest.mark.usefixtures("quick_demo")
def test_what_is_not_a_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match=r"no demo\.json"):
        demo.make_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_interrupted_demo_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(root: Path, *_: object, **__: object) -> None:
        (root / "half").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "make_data_set", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo.make_demo(tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []


def test_tiny_data_set(tmp_path: Path) -> None:
    demo.make_tiny(tmp_path / "tiny", subjects=2, clips=2, frames=5)
    with (tmp_path / "tiny" / "video_emotion_metadata.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["subject"], row["emotion"], row["apex_frame"]) for row in rows] == [
        ("Subject_01", "Happy", "2"),
        ("Subject_01", "No_Emotion", ""),
        ("Subject_02", "Happy", "2"),
        ("Subject_02", "No_Emotion", ""),
    ]
    truths = demo.load_truth(tmp_path / "tiny")
    assert len(truths) == 4
    assert all(truth.n_frames == 5 for truth in truths.values())
