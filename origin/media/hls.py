"""Playlists of an asset as HLS text (RFC 8216): the multivariant playlist and one media playlist a rendition.

Written from the descriptor alone, so every session gets the same bytes; every URI is relative, so each
inherits the viewer's token from the path. Keys: RFC 8216 §4.3.2.4. No init segment is encrypted
(EXT-X-MAP stands before the first EXT-X-KEY). `aes`: the IV is implicit, the media sequence number, which is
the segment number. Common Encryption: one key for the rendition, in the `identity` form; a player that wants
key IDs reads them in the init segment, and may ask for a license instead. DRM: the lines of each DRM system
that the asset's provider wrote, and no key of ours. Measuring: `measure` gives the
BANDWIDTH figures a descriptor declares.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from keys.hls_key_lines import METHODS  # RFC 8216 §4.3.2.4; draft-pantos-hls-rfc8216bis
from origin.media import hls_captions
from origin.media.asset import INIT_OBJECT, STREAMED, Descriptor, Rendition, segment_object

MEDIA_PLAYLIST = "index.m3u8"
PROTECTIONS = ("clear", "aes", *METHODS, "drm")  # of the protections, what HLS carries here
TITLE_DATA_ID = "com.apple.hls.title"
STORYBOARD_DATA_ID = "sluice.storyboard"  # where its small pictures are listed, for a page that shows them
OFFERED_DATA_ID = "sluice.protections"  # which of them the asset has, for a page that chooses
AES_BLOCK = 16  # PKCS#7 pads a segment to the next whole block


def multivariant(descriptor: Descriptor, protection: str) -> bytes:
    """`main.m3u8`: the variants and audio of an asset. ValueError for a protection it cannot carry."""
    _check(protection)
    video = [r for r in descriptor.renditions if r.track == "video"]
    groups = _audio_groups(descriptor)
    alternatives = bool(video) or any(len({r.language for r in group}) > 1 for group in groups.values())
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS", *_title(descriptor.title)]
    lines.append(_session_data(OFFERED_DATA_ID, ",".join(p for p in descriptor.protections if p in STREAMED)))
    if protection == "drm" and descriptor.drm:
        lines += _lines(each.multivariant for each in descriptor.drm.systems)
    lines += hls_captions.media_tags(descriptor)
    if descriptor.storyboard:
        lines.append(_session_data(STORYBOARD_DATA_ID, hls_captions.STORYBOARD_URI))
    if alternatives:
        for name, group in groups.items():
            lines += _media_tags(name, group)
    if video:
        lines += _video_variants(video, groups, hls_captions.group(descriptor))
    else:
        lines += _audio_variants(groups, alternatives)
    return _text(lines)


def media(descriptor: Descriptor, rendition: Rendition, protection: str) -> bytes:
    """`<rendition>/index.m3u8`: every segment. ValueError for a protection it cannot carry."""
    _check(protection)
    # RFC 8216 §6.2.4: the same in every media playlist of an asset
    target = max(target_duration(r.durations, r.timescale) for r in descriptor.renditions)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{target}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{INIT_OBJECT}"',
    ]
    if protection in METHODS:
        lines.append(f'#EXT-X-KEY:METHOD={METHODS[protection]},URI="key/0",KEYFORMAT="identity"')
    if protection == "drm" and descriptor.drm:
        lines += _lines(each.media for each in descriptor.drm.of(rendition.track))
    for number in range(len(rendition.durations)):
        if protection == "aes" and number % descriptor.period_segments == 0:
            period = number // descriptor.period_segments
            lines.append(f'#EXT-X-KEY:METHOD=AES-128,URI="key/{period}"')
        lines += [f"#EXTINF:{rendition.seconds(number):.6f},", segment_object(number)]
    return _text([*lines, "#EXT-X-ENDLIST"])


def _lines(texts: Iterable[str]) -> list[str]:
    """The lines of these texts, each once."""
    return list(dict.fromkeys(line for text in texts if text for line in text.split("\n")))


def _title(title: str) -> list[str]:
    """The title as session data, for the player's page. A quoted string holds no quote and no line break."""
    text = "".join(c for c in " ".join(title.replace('"', "”").split()) if c.isprintable())
    return [_session_data(TITLE_DATA_ID, text)] if text else []


def _session_data(name: str, value: str) -> str:
    return f'#EXT-X-SESSION-DATA:DATA-ID="{name}",VALUE="{value}"'


def target_duration(durations: Sequence[int], timescale: int) -> int:
    """EXT-X-TARGETDURATION, whole seconds, at least 1: no EXTINF rounds to more (RFC 8216 §4.3.3.1)."""
    longest = max(durations, default=0)
    return max(1, (2 * longest + timescale) // (2 * timescale))


def measure(sizes: Sequence[int], durations: Sequence[int], timescale: int) -> tuple[int, int]:
    """Peak and average bits a second of a rendition as sent, padding included; sizes in bytes before that.

    The peak is the largest rate of any run of segments that lasts 0.5 to 1.5 target durations (RFC 8216
    §4.1), so a last segment of two frames does not pass for the rate of the film. Zeros without segments.
    """
    bits = [8 * (size // AES_BLOCK + 1) * AES_BLOCK for size in sizes]
    if not sum(durations):
        return 0, 0
    average = _rate(sum(bits), sum(durations), timescale)
    target = target_duration(durations, timescale) * timescale
    runs = _runs(bits, durations, target // 2, target + target // 2)
    return max((_rate(b, ticks, timescale) for b, ticks in runs), default=average), average


def _rate(bits: int, ticks: int, timescale: int) -> int:
    return -(-bits * timescale // ticks)  # rounded up: never less than what is sent


def _runs(
    bits: Sequence[int], durations: Sequence[int], shortest: int, longest: int
) -> Iterator[tuple[int, int]]:
    """Bits and ticks of each run of segments that lasts `shortest` to `longest` ticks."""
    for start in range(len(bits)):
        total, ticks = 0, 0
        for number in range(start, len(bits)):
            total, ticks = total + bits[number], ticks + durations[number]
            if ticks > longest:
                break
            if ticks >= shortest and ticks:
                yield total, ticks


def _audio_groups(descriptor: Descriptor) -> dict[str, list[Rendition]]:
    """Audio by GROUP-ID: a group for each codec, because a variant names its codecs."""
    audio = sorted((r for r in descriptor.renditions if r.track == "audio"), key=lambda r: r.codecs)
    by_codec = [list(group) for _, group in groupby(audio, key=lambda r: r.codecs)]
    by_codec.sort(key=lambda group: group[0].index)
    return {"audio" if n == 0 else f"audio-{n + 1}": group for n, group in enumerate(by_codec)}


def _media_tags(group_id: str, group: Sequence[Rendition]) -> Iterator[str]:
    names: set[str] = set()
    for r in group:
        name = _quoted(r.name or r.language or r.id)
        if name in names:  # RFC 8216 §4.3.4.1.1: names are unique in a group
            name = f"{name} ({r.id})"
        names.add(name)
        yield _tag(
            "EXT-X-MEDIA",
            TYPE="AUDIO",
            GROUP_ID=f'"{group_id}"',
            NAME=f'"{name}"',
            LANGUAGE=f'"{_quoted(r.language)}"' if r.language else "",
            DEFAULT="YES" if r is group[0] else "NO",
            AUTOSELECT="YES",
            CHANNELS=f'"{r.channels}"' if r.channels else "",
            URI=f'"{r.id}/{MEDIA_PLAYLIST}"',
        )


def _video_variants(
    video: Sequence[Rendition], groups: dict[str, list[Rendition]], subtitles: str
) -> Iterator[str]:
    for group_id, group in groups.items() or (("", []),):
        for r in video:
            # RFC 8216 §4.3.4.2: the sum over the variant and the densest audio that can be played with it
            peak = r.bandwidth + max((a.bandwidth for a in group), default=0)
            average = r.average_bandwidth + max((a.average_bandwidth for a in group), default=0)
            yield _tag(
                "EXT-X-STREAM-INF",
                BANDWIDTH=str(peak),
                AVERAGE_BANDWIDTH=str(average),
                CODECS=f'"{",".join([_quoted(r.codecs), *(_quoted(a.codecs) for a in group[:1])])}"',
                RESOLUTION=f"{r.width}x{r.height}",
                FRAME_RATE=f"{r.frame_rate:.3f}" if r.frame_rate else "",
                AUDIO=f'"{group_id}"' if group else "",
                SUBTITLES=subtitles,
                CLOSED_CAPTIONS="NONE",
            )
            yield f"{r.id}/{MEDIA_PLAYLIST}"


def _audio_variants(groups: dict[str, list[Rendition]], alternatives: bool) -> Iterator[str]:
    """Variants without a picture: every rendition; with a choice of language, the first of each group."""
    for group_id, group in groups.items():
        for r in group[:1] if alternatives else group:
            densest = group if alternatives else [r]
            yield _tag(
                "EXT-X-STREAM-INF",
                BANDWIDTH=str(max(a.bandwidth for a in densest)),
                AVERAGE_BANDWIDTH=str(max(a.average_bandwidth for a in densest)),
                CODECS=f'"{_quoted(r.codecs)}"',
                AUDIO=f'"{group_id}"' if alternatives else "",
            )
            yield f"{r.id}/{MEDIA_PLAYLIST}"


def _tag(name: str, **attributes: str) -> str:
    """A tag with its attribute list (RFC 8216 §4.2); empty attributes are left out, `_` in a name is `-`."""
    pairs = ",".join(f"{key.replace('_', '-')}={value}" for key, value in attributes.items() if value)
    return f"#{name}:{pairs}"


def _quoted(text: str) -> str:
    """Text that may stand in a quoted string (RFC 8216 §4.2): no quotation mark, no control character."""
    return "".join(c for c in text if c != '"' and c.isprintable())


def _check(protection: str) -> None:
    if protection not in PROTECTIONS:
        raise ValueError(f"HLS carries {PROTECTIONS}, not {protection!r}")


def _text(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
