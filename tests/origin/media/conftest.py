"""Streams to cut: real fragmented MP4 from ffmpeg, made once, and boxes written by hand."""

import struct
import subprocess
from collections.abc import Callable

import imageio_ffmpeg
import pytest

CMAF = "+cmaf+delay_moov+frag_keyframe+skip_trailer"
Make = Callable[..., bytes]


@pytest.fixture(scope="session")
def ffmpeg() -> Make:
    """Runs ffmpeg with these arguments; what it wrote to its output pipe."""

    def run(*arguments: str) -> bytes:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *arguments, "pipe:1"]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout

    return run


@pytest.fixture(scope="session")
def video_stream(ffmpeg: Make) -> bytes:
    """5 s of 320×180 H.264 at 25 frames a second with a key frame every 2 s: segments of 2, 2 and 1 s."""
    source = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=5")
    codec = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "2", "-g", "50")
    return ffmpeg(*source, *codec, "-sc_threshold", "0", "-f", "mp4", "-movflags", CMAF)


@pytest.fixture(scope="session")
def audio_stream(ffmpeg: Make) -> bytes:
    """5 s of stereo AAC at 48 kHz in fragments of about 2 s."""
    source = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=5")
    flags = ("-f", "mp4", "-movflags", "+cmaf+delay_moov+skip_trailer", "-frag_duration", "2000000")
    return ffmpeg(*source, "-ac", "2", "-c:a", "aac", "-b:a", "96k", *flags)


@pytest.fixture
def box() -> Callable[..., bytes]:
    """Writes a box: type, then the parts of its payload."""

    def write(kind: str, *parts: bytes) -> bytes:
        payload = b"".join(parts)
        return struct.pack(">I", 8 + len(payload)) + kind.encode("latin-1") + payload

    return write
