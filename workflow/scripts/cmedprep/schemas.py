"""The columns and types of every table, and the version of this contract."""

import json

import pyarrow as pa

SCHEMA_VERSION = "1.2"

LANDMARKS = 478
"""Points of MediaPipe's face mesh with irises."""

# The same for rows of clips and of frames: who, what, which file.
CLIP_KEYS = (
    pa.field("clip_id", pa.string(), nullable=False),
    pa.field("subject", pa.string()),
    pa.field("emotion", pa.string()),
    pa.field("filename", pa.string(), nullable=False),
)

FRAME_KEYS = (
    *CLIP_KEYS,
    pa.field("frame_index", pa.int32(), nullable=False),
    pa.field("timestamp_s", pa.float64(), nullable=False),
)

MATRIX = pa.list_(pa.float64(), 6)

# An image inside a table, as the `Image` feature of Hugging Face's `datasets` stores it.
ENCODED = pa.field("encoded", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))

ENCODED_METADATA = {
    b"huggingface": json.dumps({"info": {"features": {"encoded": {"_type": "Image"}}}}).encode()
}
"""By this `datasets` knows which column is to be decoded."""

RESIDUALS = (
    pa.field("residual_jitter_px", pa.float64()),
    pa.field("residual_drift_px", pa.float64()),
    pa.field("landmark_jitter_px", pa.float64()),
    pa.field("landmark_drift_px", pa.float64()),
)

VIDEO_FACTS = (
    pa.field("path", pa.string()),
    pa.field("sha256", pa.string()),
    pa.field("size_bytes", pa.int64()),
    pa.field("codec", pa.string()),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
    pa.field("rotation_deg", pa.int32()),
    pa.field("fps", pa.float64()),
    pa.field("n_frames", pa.int32()),
    pa.field("duration_s", pa.float64()),
)

VIDEOS = pa.schema(
    [
        *CLIP_KEYS,
        *VIDEO_FACTS,
        pa.field("processed", pa.bool_(), nullable=False),
        pa.field("video_status", pa.string()),
        pa.field("video_reason", pa.string()),
    ]
)

INDEX = pa.schema(
    [
        *CLIP_KEYS,
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("processed", pa.bool_(), nullable=False),
        pa.field("apex_frame", pa.int32()),
        pa.field("apex_source", pa.string()),
        pa.field("emotion_3class", pa.string()),
        *VIDEO_FACTS,
        pa.field("metadata_subject", pa.string()),
        pa.field("metadata_filename", pa.string()),
        pa.field("metadata_emotion", pa.string()),
        pa.field("metadata_apex_frame", pa.string()),
    ]
)

CLIPS = pa.schema(
    [*INDEX, pa.field("same_video", pa.string()), pa.field("metadata_row", pa.int32())]
)

FACES = pa.schema(
    [
        *FRAME_KEYS,
        pa.field("detected", pa.bool_(), nullable=False),
        pa.field("n_faces", pa.int32(), nullable=False),
        pa.field("detector", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("box", pa.list_(pa.float32(), 4)),
        pa.field("landmarks", pa.list_(pa.float32(), LANDMARKS * 3)),
    ]
)

ALIGNMENT = pa.schema(
    [
        *FRAME_KEYS,
        pa.field("matrix", MATRIX),
        pa.field("method", pa.string()),
        pa.field("interpolated", pa.bool_(), nullable=False),
        pa.field("yaw_deg", pa.float64()),
        pa.field("pitch_deg", pa.float64()),
        pa.field("roll_deg", pa.float64()),
        pa.field("n_tracks", pa.int32()),
        pa.field("n_inliers", pa.int32()),
        pa.field("residual_px", pa.float64()),
        pa.field("error_px", pa.float64()),
        pa.field("blur", pa.float64()),
        # Of the whole clip, the same in all its rows:
        *RESIDUALS,
    ]
)

FRAMES = pa.schema(
    [
        *FRAME_KEYS,
        pa.field("image", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("pixels_sha256", pa.string(), nullable=False),
        pa.field("matrix", MATRIX, nullable=False),
        pa.field("interpolated", pa.bool_(), nullable=False),
        pa.field("repeats_frame", pa.int32()),
        pa.field("difference", pa.float32()),
    ]
)

FRAMES_WITH_IMAGES = pa.schema([*FRAMES, ENCODED], metadata=ENCODED_METADATA)

EXPRESSION = pa.schema(
    [
        *FRAME_KEYS,
        pa.field("motion_px", pa.float64()),
        pa.field("motion_smooth_px", pa.float64()),
        pa.field("motion_apex", pa.bool_(), nullable=False),
        # Of the whole clip, the same in all its rows:
        pa.field("motion_peak_px", pa.float64()),
        pa.field("motion_snr", pa.float64()),
    ]
)

SAMPLES = pa.schema(
    [
        *CLIP_KEYS,
        pa.field("scheme", pa.string(), nullable=False),
        pa.field("slot", pa.int32(), nullable=False),
        pa.field("frame_index", pa.int32(), nullable=False),
        pa.field("position", pa.float64(), nullable=False),
        pa.field("timestamp_s", pa.float64()),
        pa.field("offset_from_apex", pa.int32(), nullable=False),
        pa.field("phase", pa.float64(), nullable=False),
        pa.field("apex_source", pa.string(), nullable=False),
        pa.field("repeated", pa.bool_(), nullable=False),
        pa.field("emotion_3class", pa.string()),
        pa.field("interpolated", pa.bool_()),
        pa.field("image", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("pixels_sha256", pa.string()),
    ]
)

SAMPLES_WITH_IMAGES = pa.schema([*SAMPLES, ENCODED], metadata=ENCODED_METADATA)

SAMPLE_DIGEST = pa.struct(
    [
        pa.field("scheme", pa.string()),
        pa.field("n_slots", pa.int32()),
        pa.field("n_without_image", pa.int32()),
        pa.field("sha256", pa.string()),
        pa.field("pixels_sha256", pa.string()),
    ]
)

MOTION_DIGEST = pa.struct(
    [
        pa.field("method", pa.string()),
        pa.field("mean_px", pa.float64()),
        pa.field("mean_strain", pa.float64()),
        pa.field("sha256", pa.string()),
    ]
)

MOTION = pa.schema(
    [
        *CLIP_KEYS,
        pa.field("emotion_3class", pa.string()),
        pa.field("method", pa.string(), nullable=False),
        pa.field("onset_frame", pa.int32(), nullable=False),
        pa.field("apex_frame", pa.int32(), nullable=False),
        pa.field("apex_source", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("mean_px", pa.float64()),
        pa.field("max_px", pa.float64()),
        pa.field("mean_strain", pa.float64()),
        pa.field("shape", pa.list_(pa.int32(), 3)),
    ]
)
"""Of flow from onset to apex; flow and strain follow, whose length depends on the images' size."""

SPLITS = pa.schema(
    [
        *CLIP_KEYS,
        pa.field("label", pa.string(), nullable=False),
        pa.field("fold", pa.int32(), nullable=False),
        pa.field("seed", pa.int64()),
    ]
)

FINGERPRINT = pa.struct(
    [
        pa.field("frame_index", pa.int32()),
        pa.field("landmarks", pa.list_(pa.float32(), 16)),
        pa.field("matrix", MATRIX),
        pa.field("projections", pa.list_(pa.int32(), 32)),
    ]
)

MANIFEST = pa.schema(
    [
        *INDEX,
        pa.field("n_detected", pa.int32()),
        pa.field("n_several_faces", pa.int32()),
        pa.field("n_interpolated", pa.int32()),
        pa.field("n_written", pa.int32()),
        pa.field("longest_gap", pa.int32()),
        pa.field("inter_ocular_px", pa.float64()),
        pa.field("n_stabilised", pa.int32()),
        *RESIDUALS,
        pa.field("grade", pa.string()),
        pa.field("n_repeats", pa.int32()),
        pa.field("longest_freeze", pa.int32()),
        pa.field("motion_apex_frame", pa.int32()),
        pa.field("motion_apex_distance", pa.int32()),
        pa.field("motion_peak_px", pa.float64()),
        pa.field("motion_snr", pa.float64()),
        pa.field("faces_sha256", pa.string()),
        pa.field("alignment_sha256", pa.string()),
        pa.field("frames_sha256", pa.string()),
        pa.field("expression_sha256", pa.string()),
        pa.field("samples", pa.list_(SAMPLE_DIGEST)),
        pa.field("motion", pa.list_(MOTION_DIGEST)),
        pa.field("crop_px", pa.int32()),
        pa.field("fingerprints", pa.list_(FINGERPRINT)),
        pa.field("schema_version", pa.string(), nullable=False),
    ]
)

VERIFICATION = pa.schema(
    [
        *CLIP_KEYS,
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("first", pa.string()),
        pa.field("note", pa.string(), nullable=False),
        pa.field("source", pa.string()),
        pa.field("index", pa.string()),
        pa.field("faces", pa.string()),
        pa.field("alignment", pa.string()),
        pa.field("frames", pa.string()),
        pa.field("expression", pa.string()),
        pa.field("samples", pa.string()),
        pa.field("motion", pa.string()),
        pa.field("manifest", pa.string()),
        pa.field("landmark_distance_px", pa.float64()),
        pa.field("matrix_distance_px", pa.float64()),
        pa.field("psnr_db", pa.float64()),
    ]
)
