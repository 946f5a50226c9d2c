"""Files that mean harm (SECURITY T13), made here so that each says what it tries.

`corpus(port, canary)` gives them by a name that is also a file name, extensions lying on purpose: lists that name a
file `canary` of this machine and a listener on 127.0.0.1:`port`, the same behind the first bytes of real containers,
containers that point elsewhere, and bombs: counts, sizes and compressed data that claim more than any machine has.
"""

# ruff: noqa: E501 (byte tables)
import gzip
import io
import random
import struct
import zipfile
import zlib
from pathlib import Path


def corpus(port: int, canary: Path) -> dict[str, bytes]:
    """All of them, by file name."""
    web = f"http://127.0.0.1:{port}/canary"
    return {
        **playlists(web, canary),
        **scripts(web, canary),
        **documents(web, canary),
        **disguises(web, canary),
        **references(web, canary),
        **bombs(),
        **noise(),
    }


def playlists(web: str, canary: Path) -> dict[str, bytes]:
    """HLS in all its ways to name something else."""
    head = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:10\n"
    end = "#EXT-X-ENDLIST\n"
    texts = {
        "hls-web.mp4": f"{head}#EXTINF:10,\n{web}.ts\n{end}",
        "hls-file.mkv": f"{head}#EXTINF:10,\nfile://{canary}\n{end}",
        "hls-bare-path.avi": f"{head}#EXTINF:10,\n{canary}\n{end}",
        "hls-key.mp4": f'{head}#EXT-X-KEY:METHOD=AES-128,URI="file://{canary}"\n#EXTINF:10,\n{web}\n{end}',
        "hls-map.mp4": f'{head}#EXT-X-MAP:URI="{web}"\n#EXTINF:10,\nfile://{canary}\n{end}',
        "hls-concat.ts": f"{head}#EXTINF:10,\nconcat:{web}|file://{canary}\n{end}",
        "hls-subfile.mov": f"{head}#EXTINF:10,\nsubfile,,start,0,end,64,,:{canary}\n{end}",
        "hls-crypto.mp4": f"{head}#EXTINF:10,\ncrypto+{web}\n{end}",
        "hls-master.mp4": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{web}.m3u8\n",
        "hls-bom.mp4": f"\ufeff{head}#EXTINF:10,\n{web}\n{end}",
        "hls-spaces.mp4": f"\n\n   {head}#EXTINF:10,\n{web}\n{end}",
        "hls-data.mp4": f"{head}#EXTINF:10,\ndata:application/x-mpegurl;base64,I0VYVE0zVQo=\n{web}\n{end}",
        "hls-gopher.mp3": f"{head}#EXTINF:10,\ngopher://{web[7:]}\n{end}",
    }
    return {name: text.encode() for name, text in texts.items()}


def scripts(web: str, canary: Path) -> dict[str, bytes]:
    """Other lists of inputs that ffmpeg or players know."""
    texts = {
        "concat-file.mp4": f"ffconcat version 1.0\nfile {canary}\n",
        "concat-web.webm": f"ffconcat version 1.0\nfile {web}\noption safe 0\n",
        "concat-plain.mkv": f"file '{canary}'\nfile '{web}'\n",
        "session.mp4": f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video {web.split(':')[2][:-7]} RTP/AVP 96\r\n",
        "winamp.mp3": f"[playlist]\nNumberOfEntries=1\nFile1={web}\n",
        "reference.asf": f"[Reference]\r\nRef1={web}\r\n",
        "redirect.mov": f"RTSPtext\nrtsp{web[4:]}\n",
        "subfile.mp4": f"subfile,,start,0,end,0,,:{canary}",
        "metadata.mp4": f";FFMETADATA1\ntitle={canary}\n[CHAPTER]\nSTART=0\nEND=9999999999999999999\n",
        "subtitle.mp4": f"1\n00:00:00,000 --> 00:00:10,000\n<img src='{web}'>\n",
        "webvtt.mp4": f"WEBVTT\n\nSTYLE\n::cue {{ background: url({web}) }}\n",
        "avisynth.avi": f'AviSource("{canary}")\n',
    }
    return {name: text.encode() for name, text in texts.items()}


def documents(web: str, canary: Path) -> dict[str, bytes]:
    """Markup that fetches, includes or explodes."""
    xml = '<?xml version="1.0"?>'
    mpd = f'{xml}<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><BaseURL>%s</BaseURL></Period></MPD>'
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    texts = {
        "dash-web.mp4": mpd % web,
        "dash-file.mp4": mpd % f"file://{canary}",
        "dash-entity.mp4": f'{xml}<!DOCTYPE MPD [<!ENTITY x SYSTEM "file://{canary}">]><MPD>&x;</MPD>',
        "dash-laughs.mp4": f'{xml}<!DOCTYPE MPD [<!ENTITY e0 "ha">{entities}]><MPD>&e11;</MPD>',
        "smooth.ismv": f'{xml}<SmoothStreamingMedia MajorVersion="2"><StreamIndex Url="{web}"/></SmoothStreamingMedia>',
        "smil.mp4": f'<smil><body><video src="{web}"/></body></smil>',
        "asx.wmv": f'<asx version="3.0"><entry><ref href="{web}"/></entry></asx>',
        "picture.svg.mp4": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{web}"/><image href="file://{canary}"/></svg>',
        "cpl.mxf": f'{xml}<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>{web}</Id></CompositionPlaylist>',
        "page.mp4": f'<html><video src="{web}"></video><script>fetch("{web}")</script></html>',
    }
    return {name: text.encode() for name, text in texts.items()}


def disguises(web: str, canary: Path) -> dict[str, bytes]:
    """A playlist behind the first bytes of something let in."""
    list_ = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{web}\n#EXTINF:10,\nfile://{canary}\n#EXT-X-ENDLIST\n".encode()
    packet = b"G\x40\x00\x10" + list_[:184].ljust(184, b"\xff")
    return {
        "behind-id3.mp3": b"ID3\x04\0\0\0\0\0\0" + list_,
        "behind-ftyp.mp4": box("ftyp", b"isom\0\0\0\0isom") + box("mdat", list_) + list_,
        "behind-free.mp4": box("free", b"") + list_,
        "behind-ebml.webm": ebml(0x1A45DFA3, ebml(0x4282, b"webm")) + list_,
        "behind-ts.ts": packet * 8 + list_,
        "behind-ogg.ogg": b"OggS\0\2" + bytes(20) + b"\1" + bytes([len(list_) & 255]) + list_,
        "behind-flv.flv": b"FLV\x01\x05\0\0\0\x09\0\0\0\0" + list_,
        "behind-wav.wav": riff(
            b"WAVE", chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)), chunk(b"LIST", list_)
        ),
        "behind-flac.flac": b"fLaC\x84" + len(list_).to_bytes(3, "big") + list_,
        "subtitle-track.avi": avi(text=list_),
        "subtitle-track.mkv": matroska(codec=b"S_TEXT/UTF8", kind=17, payload=list_),
        "attachment.mkv": matroska(codec=b"V_MPEG4/ISO/AVC", kind=1, payload=list_),
    }


def references(web: str, canary: Path) -> dict[str, bytes]:
    """Movies whose media is said to be elsewhere."""
    url = web.encode()
    alias = (
        bytes(150)
        + struct.pack(">HH", 2, len(str(canary)))
        + str(canary).encode()
        + struct.pack(">HH", 0xFFFF, 0)
    )
    return {
        "dref-url-web.mov": movie(dref=box("url ", bytes(4) + url + b"\0")),
        "dref-url-file.mov": movie(dref=box("url ", bytes(4) + b"file://" + str(canary).encode() + b"\0")),
        "dref-alias.mov": movie(dref=box("alis", bytes(4) + alias)),
        "dref-urn.mov": movie(dref=box("urn ", bytes(4) + b"x\0" + url + b"\0")),
        "reference-movie-web.mov": box(
            "moov",
            box("rmra", box("rmda", box("rdrf", bytes(4) + b"url " + struct.pack(">I", len(url)) + url))),
        ),
        "reference-movie-file.mov": box(
            "moov",
            box(
                "rmra",
                box(
                    "rmda",
                    box(
                        "rdrf",
                        bytes(4)
                        + b"url "
                        + struct.pack(">I", 7 + len(str(canary)))
                        + b"file://"
                        + str(canary).encode(),
                    ),
                ),
            ),
        ),
        "linked-segment.mkv": ebml(0x1A45DFA3, ebml(0x4282, b"matroska"))
        + ebml(0x18538067, ebml(0x1549A966, ebml(0x3EB923, bytes(16)) + ebml(0x3E83BB, url))),
        "script-command.asf": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
        + struct.pack("<QI", 30 + 24 + len(url), 1)
        + b"\1\2"
        + bytes.fromhex("301afb1e620bd011a39b00a0c90348f6")
        + struct.pack("<Q", 24 + len(url))
        + url,
    }


def bombs() -> dict[str, bytes]:
    """What claims, or unpacks to, more than there is."""
    zeros = zlib.compress(bytes(64 << 20), 9)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("film.mp4", bytes(32 << 20))
    nested = b""
    for _ in range(20_000):
        nested = struct.pack(">I4s", len(nested) + 8, b"moov") + nested
    return {
        "samples-4g.mp4": movie(stsz=struct.pack(">III", 0, 1, 0xFFFFFFF0)),
        "samples-4g-variable.mp4": movie(stsz=struct.pack(">III", 0, 0, 0xFFFFFFF0)),
        "times-4g.mp4": movie(stts=struct.pack(">II", 0, 0xFFFFFFF0) + struct.pack(">II", 0xFFFFFFFF, 1)),
        "chunks-4g.mp4": movie(stco=struct.pack(">II", 0, 0xFFFFFFF0)),
        "runs-4g.mp4": movie(stsc=struct.pack(">II", 0, 0xFFFFFFF0)),
        "duration-forever.mp4": movie(stts=struct.pack(">IIII", 0, 1, 1, 0xFFFFFFFF)),
        "samples-one-byte.mp4": movie(
            stsz=struct.pack(">III", 0, 1, 50_000_000), stts=struct.pack(">IIII", 0, 1, 50_000_000, 1)
        ),
        "frame-65535.mp4": movie(size=(65535, 65535)),
        "frame-65500.avi": avi(size=(65500, 65500)),
        "frame-16k.avi": avi(size=(16384, 16384)),
        "frame-negative.avi": avi(size=(-2147483648, 2147483647)),
        "nested-boxes.mp4": nested,
        "box-2-63.mp4": box("ftyp", b"isom\0\0\0\0") + struct.pack(">I4sQ", 1, b"moov", (1 << 63) - 1),
        "box-zero-loop.mp4": box("ftyp", b"isom\0\0\0\0") + box("free", b"") * 200_000,
        "compressed-header.mov": box(
            "moov", box("cmov", box("dcom", b"zlib") + box("cmvd", struct.pack(">I", 0x7FFFFFFF) + zeros))
        ),
        "compressed-track.mkv": matroska(codec=b"V_UNCOMPRESSED", kind=1, payload=zeros, compressed=True),
        "element-2-56.mkv": ebml(0x1A45DFA3, ebml(0x4282, b"matroska"))
        + bytes.fromhex("18538067")
        + b"\x01\xff\xff\xff\xff\xff\xff\xfe",
        "sound-65535-channels.wav": riff(
            b"WAVE",
            chunk(b"fmt ", struct.pack("<HHIIHH", 1, 65535, 0xFFFFFFFF, 0xFFFFFFFF, 65535, 32)),
            b"data\xff\xff\xff\xff" + bytes(4096),
        ),
        "picture-4g.flac": b"fLaC\x86\xff\xff\xff" + struct.pack(">II", 3, 0xFFFFFFFF) + bytes(100),
        "pages.ogg": (b"OggS\0\0" + bytes(16) + struct.pack("<I", 0) + b"\0\0\0\0\xff" + b"\xff" * 255)
        * 1000,
        "archive.zip.mp4": packed.getvalue(),
        "archive.gz.mkv": gzip.compress(bytes(32 << 20)),
    }


def noise() -> dict[str, bytes]:
    """Random bytes behind each first mark."""
    marks = {
        "mp4": box("ftyp", b"isom\0\0\0\0"), "mkv": ebml(0x1A45DFA3, ebml(0x4282, b"matroska")), "avi": b"RIFF\xff\xff\xff\x7fAVI LIST",
        "flv": b"FLV\x01\x05\0\0\0\x09", "mpg": b"\0\0\1\xba\x44", "ogg": b"OggS\0\2", "flac": b"fLaC\0\0\0\x22", "mp3": b"\xff\xfb\x90\x64",
        "asf": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "mxf": bytes.fromhex("060e2b34020501010d01020101020400"),
        "aiff": b"FORM\0\0\xff\xffAIFF", "ts": (b"G" + bytes(187)) * 2 + b"G",
    }  # fmt: skip
    dice = random.Random(13)
    return {f"noise.{kind}": mark + dice.randbytes(50_000) for kind, mark in marks.items()}


def box(kind: str, payload: bytes) -> bytes:
    """An ISO BMFF box."""
    return struct.pack(">I4s", len(payload) + 8, kind.encode("latin-1")) + payload


def movie(
    *,
    dref: bytes = box("url ", b"\0\0\0\1"),
    size: tuple[int, int] = (64, 64),
    stsz: bytes = struct.pack(">III", 0, 64 * 64 * 3, 1),
    stts: bytes = struct.pack(">IIII", 0, 1, 1, 1),
    stco: bytes = struct.pack(">III", 0, 1, 40),
    stsc: bytes = struct.pack(">IIIII", 0, 1, 1, 1, 1),
) -> bytes:
    """A QuickTime movie of one raw-video track, any part of it replaced."""
    entry = box(
        "raw ",
        bytes(6)
        + b"\0\1"
        + bytes(16)
        + struct.pack(">HH", *size)
        + bytes(14)
        + b"\0" * 32
        + struct.pack(">Hh", 24, -1),
    )
    table = (
        box("stsd", struct.pack(">II", 0, 1) + entry)
        + box("stts", stts)
        + box("stsz", stsz)
        + box("stco", stco)
        + box("stsc", stsc)
    )
    information = (
        box("vmhd", bytes(12))
        + box("dinf", box("dref", struct.pack(">II", 0, 1) + dref))
        + box("stbl", table)
    )
    handler = box("hdlr", bytes(4) + b"mhlrvide" + bytes(13))
    media = box("mdhd", struct.pack(">IIIIII", 0, 0, 0, 25, 25, 0)) + handler + box("minf", information)
    header = box(
        "tkhd",
        struct.pack(">IIIIII", 1, 0, 0, 1, 0, 25)
        + bytes(52)
        + struct.pack(">II", size[0] << 16, size[1] << 16),
    )
    track = box("trak", header + box("mdia", media))
    general = box("mvhd", struct.pack(">IIIII", 0, 0, 0, 25, 25) + bytes(80))
    return box("ftyp", b"qt  \0\0\0\0qt  ") + box("mdat", bytes(64 * 64 * 3)) + box("moov", general + track)


def ebml(identifier: int, payload: bytes) -> bytes:
    """A Matroska element with an 8-byte size."""
    name = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    return name + (len(payload) | 1 << 56).to_bytes(8, "big") + payload


def matroska(*, codec: bytes, kind: int, payload: bytes, compressed: bool = False) -> bytes:
    """A Matroska file of one track with one block, and the payload attached as a file too."""
    track = ebml(0xD7, b"\1") + ebml(0x73C5, b"\1") + ebml(0x83, bytes([kind])) + ebml(0x86, codec)
    if kind == 1:
        track += ebml(0xE0, ebml(0xB0, b"\x10\0") + ebml(0xBA, b"\x10\0"))
    if compressed:
        track += ebml(0x6D80, ebml(0x6240, ebml(0x5034, ebml(0x4254, b"\0"))))
    block = ebml(0xA3, b"\x81\0\0\x80" + payload)
    attached = ebml(
        0x61A7,
        ebml(0x466E, b"list.m3u8") + ebml(0x4660, b"application/x-mpegurl") + ebml(0x465C, payload[:1000]),
    )
    body = (
        ebml(0x1654AE6B, ebml(0xAE, track))
        + ebml(0x1941A469, attached)
        + ebml(0x1F43B675, ebml(0xE7, b"\0") + block)
    )
    return ebml(0x1A45DFA3, ebml(0x4282, b"matroska")) + ebml(0x18538067, body)


def chunk(kind: bytes, payload: bytes) -> bytes:
    """A RIFF chunk."""
    return kind + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) & 1)


def riff(kind: bytes, *chunks: bytes) -> bytes:
    """A RIFF file."""
    return chunk(b"RIFF", kind + b"".join(chunks))


def avi(*, size: tuple[int, int] = (64, 64), text: bytes = b"") -> bytes:
    """An AVI of one raw frame; with `text`, also a subtitle stream whose one packet (GAB2) holds it."""

    def stream(kind: bytes, format_: bytes) -> bytes:
        header = (
            kind + b"DIB " + struct.pack("<IHHIIIIIIIIhhhh", 0, 0, 0, 0, 1, 25, 0, 1, 0, 0, 0, 0, 0, 0, 0)
        )
        return chunk(b"LIST", b"strl" + chunk(b"strh", header) + chunk(b"strf", format_))

    width, height = size
    picture = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    main = chunk(
        b"avih", struct.pack("<IIIIIIIIII", 40000, 0, 0, 0x10, 1, 0, 1 + bool(text), 0, 64, 64) + bytes(16)
    )
    streams = stream(b"vids", picture) + (stream(b"txts", b"") if text else b"")
    media = chunk(b"00db", bytes(64 * 64 * 3))
    if text:
        media += chunk(
            b"01tx", b"GAB2\0\2\0" + struct.pack("<I", 2) + b"l\0" + struct.pack("<HI", 4, len(text)) + text
        )
    return riff(b"AVI ", chunk(b"LIST", b"hdrl" + main + streams), chunk(b"LIST", b"movi" + media))
