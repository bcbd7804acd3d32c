"""Limit what a file from outside may cost: every bound in one place.

A file is checked against its bounds by its own figures, before memory is taken for it. Writers keep
the bounds of the readers. Loading a bundle or a session takes at most :data:`MAX_LOAD_BYTES` of
memory and :data:`MAX_LOAD_SECONDS`.
"""

from __future__ import annotations

__all__ = [
    "MAX_ADDRESS_LENGTH",
    "MAX_BUNDLE_BYTES",
    "MAX_BUNDLE_FILES",
    "MAX_CAMERA_NUMBER",
    "MAX_CLIP_FRAMES",
    "MAX_COORDINATE",
    "MAX_DATASET_BYTES",
    "MAX_ENROLLMENT_BYTES",
    "MAX_ENROLLMENT_WORK",
    "MAX_EVENTS",
    "MAX_FPS",
    "MAX_GESTURES",
    "MAX_GOLDEN_CLIPS",
    "MAX_GOLDEN_WORK",
    "MAX_GRAPH_NODES",
    "MAX_GRAPH_VALUES",
    "MAX_HEADER_BYTES",
    "MAX_INPUT_VALUES",
    "MAX_JSON_BYTES",
    "MAX_JSON_DEPTH",
    "MAX_JSON_VALUES",
    "MAX_LABELS",
    "MAX_LOAD_BYTES",
    "MAX_LOAD_SECONDS",
    "MAX_MANIFEST_BYTES",
    "MAX_NETWORK_BYTES",
    "MAX_NETWORK_JSON_BYTES",
    "MAX_NUMBER_LENGTH",
    "MAX_PEOPLE",
    "MAX_PERSONS",
    "MAX_PERSON_FRAMES",
    "MAX_RANGES_BYTES",
    "MAX_RANK",
    "MAX_RECORD_BYTES",
    "MAX_REPORT_BYTES",
    "MAX_RUN_WORK",
    "MAX_SKELETON_FILE_BYTES",
    "MAX_TIMESTAMP_MS",
    "MAX_TRACK_ID",
    "MAX_VIDEO_BOXES",
    "MAX_VIDEO_INDEX_BYTES",
    "MAX_VIDEO_PICTURES",
    "MAX_ZIP_DIRECTORY_BYTES",
]

MAX_LOAD_BYTES = 1 << 30
"""Memory that loading one bundle or session may take, 1 GB."""
MAX_LOAD_SECONDS = 10.0
"""Time that loading one bundle or session may take, on one core of a small board."""

# ---- JSON, in any file ----------------------------------------------------------------------

MAX_JSON_BYTES = 4 << 20
"""Of one JSON text, where its reader sets no other bound."""
MAX_JSON_VALUES = 500_000
"""Items of all lists and objects in one JSON text. Parsed, each takes up to 250 bytes, so that a
text takes at most 200 MB."""
MAX_JSON_DEPTH = 32
"""Levels of objects and lists in each other. Our own files have 6."""
MAX_NUMBER_LENGTH = 30
"""Signs of one number in JSON. Python writes 24 at most."""

# ---- recordings -----------------------------------------------------------------------------

MAX_PEOPLE = 64
"""People in one frame of a source."""
MAX_PERSONS = 8
"""People who may be followed at a time (the option ``max_persons``)."""
MAX_PERSON_FRAMES = 600_000
"""Frames of a recording times the most people in one of them: 619 MB of landmarks. That is 5.5
hours of one person at 30 frames a second, or 2.8 hours of two."""
MAX_TIMESTAMP_MS = 1e15
"""Of a capture time. Milliseconds since 1970 are below 2e12; microseconds by mistake are above."""
MAX_COORDINATE = 1e9
"""Of a landmark, either side of zero. Coordinates are fractions of an image; the squares that
features take overflow from 1e19 on."""
MAX_TRACK_ID = 2**53
"""Every JSON reader keeps whole numbers up to here."""
MAX_EVENTS = 50_000
"""Events in one recording, starts and ends counted: two a second for 7 hours."""
MAX_HEADER_BYTES = 8 << 20
"""JSON of one recording: its events, options, truth and note."""
MAX_RECORD_BYTES = 128 << 10
"""Of one record of a journal. A frame of 64 people takes 66 KB; the options are one record."""
MAX_ZIP_DIRECTORY_BYTES = 128 << 10
"""Names and sizes of a session's members. A session of 64 people has 132 members, in 10 KB."""

# ---- bundles and networks -------------------------------------------------------------------

MAX_BUNDLE_BYTES = 64 << 20
"""Of all files of a bundle. The largest that ships has 4 MB."""
MAX_BUNDLE_FILES = 64
"""A bundle has about ten."""
MAX_MANIFEST_BYTES = 256 << 10
MAX_REPORT_BYTES = 1 << 20
"""Of ``report.json``; ours have 8 kB."""
MAX_NETWORK_JSON_BYTES = 1 << 20
"""Of ``native/network.json``; the largest model's has 50 kB."""
MAX_LABELS = 4096
"""Of a model. The largest sign language data sets have 2,700."""
MAX_INPUT_VALUES = 1 << 22
"""Numbers in one window of features: 4096 frames of every modality, 16 MB."""
MAX_GOLDEN_CLIPS = 16
"""The exporter writes 3."""
MAX_RUN_WORK = 2e10
"""Multiply-adds of one run or step of a model, and eight for each value that is read or written.
The largest model takes 2.5e9 for 64 frames. The native network has the same bound, in build.cc."""
MAX_GOLDEN_WORK = 4e10
"""Of all golden clips together: a few seconds on one core of a small board."""
MAX_NETWORK_BYTES = 512 << 20
"""Of a native network's constants as they are expanded, each as often as layers name it."""
MAX_GRAPH_NODES = 20_000
"""Of an ONNX or LiteRT graph. The largest that we export has 3,000."""
MAX_GRAPH_VALUES = 1 << 25
"""Numbers that a graph holds at once, for one clip: 128 MB."""
MAX_RANK = 8
"""Axes of a tensor in a graph."""
MAX_GESTURES = 200
"""That may be enrolled in one bundle."""
MAX_ENROLLMENT_BYTES = 256 << 20
"""What fitting the enrolled gestures may take: see :mod:`bharsdk.bundle.enrollment_cost`."""
MAX_ENROLLMENT_WORK = 1e11
"""Multiply-adds of fitting them. Twenty gestures of five clips beside 26 classes take 1e10."""

# ---- data sets ------------------------------------------------------------------------------

MAX_DATASET_BYTES = 32 << 30
"""Arrays of one data set in memory, and never more than the machine has. The largest public one
has 20 GB: NTU 120 as CTR-GCN prepares it."""
MAX_SKELETON_FILE_BYTES = 32 << 20
"""One clip as text, JSON or .mat. The longest of the public data sets have 4 MB."""
MAX_CLIP_FRAMES = 20_000
"""Frames of one clip of a skeleton data set. The longest of the public ones have 300."""
MAX_RANGES_BYTES = 16 << 20
"""Of a ``ranges.csv``: about 300,000 lines."""

# ---- sources --------------------------------------------------------------------------------

MAX_ADDRESS_LENGTH = 4_096
"""Characters of the address of a network camera."""
MAX_CAMERA_NUMBER = 99
"""OpenCV takes larger numbers for a backend and a camera of it."""
MAX_FPS = 1000
"""Frames a second of anything."""
MAX_VIDEO_BOXES = 10_000
"""Parts of a video file that are passed over or looked into before its index is given up."""
MAX_VIDEO_INDEX_BYTES = 64 << 20
"""Of the index of an MP4; ten hours take about 10 MB."""
MAX_VIDEO_PICTURES = 5_000_000
"""Pictures of one video whose times are looked at: 46 hours at 30 a second."""
