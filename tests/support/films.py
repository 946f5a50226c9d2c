"""Small real films for tests, made by ffmpeg: moving picture, changing sound, cheap to make."""

import subprocess
from pathlib import Path

import imageio_ffmpeg


def make_film(
    path: Path, *, seconds: float, size: str = "640x360", rate: int = 25, noise: int = 0, audio: bool = True
) -> Path:
    """A film at `path`. `noise` 0–100 makes it hard to compress, hence large."""
    picture = f"testsrc2=size={size}:rate={rate}:duration={seconds}"
    if noise:
        picture += f",noise=alls={noise}:allf=t"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-f", "lavfi", "-i", picture]
    if audio:
        sound = f"aevalsrc='0.2*sin(2*PI*t*(300+40*floor(t)))':s=48000:d={seconds}"
        command += ["-f", "lavfi", "-i", sound]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True)
    return path


def frame_hashes(*inputs: str, stream: str = "v:0", options: tuple[str, ...] = ()) -> list[str]:
    """The MD5 of every decoded frame of one stream, in order."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *options]
    for name in inputs:
        command += ["-i", name]
    command += ["-map", f"0:{stream}", "-fps_mode", "passthrough", "-f", "framemd5", "-"]
    if stream.startswith("a"):
        command = [part for part in command if part not in ("-fps_mode", "passthrough")]
    found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)
    rows = [line for line in found.stdout.splitlines() if line and not line.startswith("#")]
    return [row.rsplit(",", 1)[1].strip() for row in rows]
