"""Which renditions an asset gets: sizes, rates and bit rates, decided from its probe. Pure.

Rungs are boxes of 16:9 (turned for upright films) that the picture, with square pixels and the right way up,
is fitted into; none is larger than the source. All rungs share one constant frame rate, so their keyframes
fall on the same frames. Each sound stream becomes one AAC rendition. Bit rates are averages with peaks held
to 1.45 times that over a segment, because players trust the BANDWIDTH that is measured from the densest
segment.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from origin.ingest.probe import AudioTrack, Probe, VideoTrack

# Short side of the box in pixels: bits a second for a full box at 30 frames a second.
BIT_RATES: Final = {1080: 4_500_000, 720: 2_400_000, 480: 1_100_000, 360: 650_000, 240: 320_000}
OVER_RUNG: Final = 1.15  # a source this much larger than the best rung below it gets a rung of its own size
FAST: Final = 31  # frames a second above which a rung costs half as much again
LEAST_BIT_RATE: Final = 48_000
# H.264 spends about this many times the bits of these codecs on the same picture.
HEAVIER: Final = {"hevc": 2.0, "av1": 2.5, "vp9": 1.8, "vvc": 3.0}

STANDARD_RATES: Final = (
    *(Fraction(n) for n in (5, 8, 10, 12, 15, 20)),
    Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(48),
    Fraction(50), Fraction(60000, 1001), Fraction(60),
)  # fmt: skip
MAX_RATE: Final = Fraction(60)
SAMPLE_RATES: Final = (44_100, 48_000)  # Hz that stay as they are; all others become the last

# ISO 639-2 (both forms) to the shortest tag, as RFC 5646 §2.2.1 wants it.
LANGUAGES: Final = {
    "ara": "ar", "bul": "bg", "cat": "ca", "ces": "cs", "cze": "cs", "chi": "zh", "zho": "zh", "dan": "da",
    "deu": "de", "ger": "de", "dut": "nl", "nld": "nl", "ell": "el", "gre": "el", "eng": "en", "est": "et",
    "fin": "fi", "fra": "fr", "fre": "fr", "heb": "he", "hin": "hi", "hrv": "hr", "hun": "hu", "ind": "id",
    "ita": "it", "jpn": "ja", "kor": "ko", "lav": "lv", "lit": "lt", "nor": "no", "nob": "nb", "per": "fa",
    "fas": "fa", "pol": "pl", "por": "pt", "ron": "ro", "rum": "ro", "rus": "ru", "slk": "sk", "slo": "sk",
    "slv": "sl", "spa": "es", "srp": "sr", "swe": "sv", "tha": "th", "tur": "tr", "ukr": "uk", "vie": "vi",
}  # fmt: skip
_NAMES: Final = {
    "ar": "العربية", "cs": "Čeština", "da": "Dansk", "de": "Deutsch", "el": "Ελληνικά", "en": "English",
    "es": "Español", "fi": "Suomi", "fr": "Français", "he": "עברית", "hi": "हिन्दी", "hu": "Magyar",
    "it": "Italiano", "ja": "日本語", "ko": "한국어", "nl": "Nederlands", "no": "Norsk", "pl": "Polski",
    "pt": "Português", "ro": "Română", "ru": "Русский", "sv": "Svenska", "tr": "Türkçe", "uk": "Українська",
    "zh": "中文",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wishes:
    """What an operator may choose."""

    max_rungs: int = 4
    segment_s: int = 4
    preset: str = "veryfast"  # of x264


@dataclass(frozen=True, slots=True)
class VideoRung:
    """One video rendition to make."""

    id: str  # such as "720p"
    width: int  # pixels, even
    height: int
    bit_rate: int  # bits a second, average
    max_rate: int  # bits a second the buffer is filled with
    buffer: int  # bits: what may be sent beyond max_rate at once


@dataclass(frozen=True, slots=True)
class AudioRung:
    """One audio rendition to make."""

    id: str  # "audio", "audio-2", …
    stream: int  # index in the source
    channels: int  # 1 or 2
    sample_rate: int  # Hz
    bit_rate: int  # bits a second
    language: str  # RFC 5646; may be empty
    name: str  # for people


@dataclass(frozen=True, slots=True)
class Ladder:
    """All renditions of one asset. Video from the best down; empty for sound alone."""

    video: tuple[VideoRung, ...]
    audio: tuple[AudioRung, ...]
    frame_rate: Fraction  # frames a second of every video rung; 0 for sound alone
    segment_s: int


def plan(probe: Probe, wishes: Wishes) -> Ladder:
    """The ladder of this source."""
    video = probe.video
    rate = frame_rate(video) if video else Fraction(0)
    rungs = _rungs(video, probe, rate, wishes.max_rungs) if video else ()
    return Ladder(rungs, _audio_rungs(probe.audio), rate, wishes.segment_s)


def picture_size(video: VideoTrack) -> tuple[int, int]:
    """Width and height on screen: square pixels, the right way up. One side grows, none shrinks."""
    width, height = Fraction(video.width), Fraction(video.height)
    if video.aspect >= 1:
        width *= video.aspect
    else:
        height /= video.aspect
    size = (round(width), round(height))
    return size if video.rotation % 180 == 0 else (size[1], size[0])


def frame_rate(video: VideoTrack) -> Fraction:
    """The constant rate all rungs get: the source's average; if its frames vary, the nearest standard one."""
    average, base = video.average_rate, video.base_rate
    known = average or base or Fraction(25)
    rate = known
    while rate > MAX_RATE * Fraction(1001, 1000):
        rate /= 2
    steady = not (average and base) or abs(average / base - 1) <= Fraction(1, 200)
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    # A rate measured over a film is off by a hair; a varying one is none at all; under 5 no segment is 4 s
    # long.
    if not steady or rate < STANDARD_RATES[0] or abs(nearest / rate - 1) <= Fraction(1, 500):
        return nearest
    return rate.limit_denominator(1001)


def _rungs(video: VideoTrack, probe: Probe, rate: Fraction, most: int) -> tuple[VideoRung, ...]:
    width, height = picture_size(video)
    boxes = [side for side in BIT_RATES if _reaches(width, height, side)]
    sizes = {f"{side}p": _fitted(width, height, side) for side in boxes}
    best = max(max(size) for size in sizes.values()) if sizes else 0
    if max(width, height) >= OVER_RUNG * best and 1080 not in boxes:
        whole = (_even_down(width), _even_down(height))
        sizes = {f"{_box_of(*whole)}p": whole, **sizes}
    chosen = _spread(list(sizes.items()), max(1, most))
    costs = [_cost(w, h, rate) for _, (w, h) in chosen]
    factor = min(1.0, _worth(video, probe) / costs[0])
    return tuple(
        _rung(name, size, round(cost * factor)) for (name, size), cost in zip(chosen, costs, strict=True)
    )


def _rung(name: str, size: tuple[int, int], bit_rate: int) -> VideoRung:
    rate = max(LEAST_BIT_RATE, bit_rate)
    # A 4-s segment holds at most 4 · 1.2 + 1 seconds of the average: 1.45 times it.
    return VideoRung(name, *size, bit_rate=rate, max_rate=rate * 12 // 10, buffer=rate)


def _reaches(width: int, height: int, side: int) -> bool:
    """Whether the picture fills the 16:9 box of that short side in one direction at least."""
    return max(width, height) >= _long(side) or min(width, height) >= side


def _fitted(width: int, height: int, side: int) -> tuple[int, int]:
    """The picture scaled into the box of that short side, even."""
    factor = min(Fraction(_long(side), max(width, height)), Fraction(side, min(width, height)), Fraction(1))
    return _even(width * factor, width), _even(height * factor, height)


def _long(side: int) -> int:
    return -(-side * 16 // 9) & ~1  # 854, not 853, for 480


def _box_of(width: int, height: int) -> int:
    """Short side of the smallest 16:9 box around the picture: what to call its size."""
    return max(min(width, height), round(max(width, height) * 9 / 16))


def _even(length: Fraction, most: int) -> int:
    return min(max(2, 2 * round(length / 2)), _even_down(most))


def _even_down(length: int) -> int:
    return max(2, length & ~1)


def _spread(sizes: list[tuple[str, tuple[int, int]]], most: int) -> list[tuple[str, tuple[int, int]]]:
    """At most so many, the best and the least among them, the others evenly between."""
    if len(sizes) <= most:
        return sizes
    step = (len(sizes) - 1) / max(1, most - 1)
    return [sizes[round(n * step)] for n in range(most)]


def _cost(width: int, height: int, rate: Fraction) -> float:
    """Bits a second a picture of that size needs: the nearest rung's, by pixels to the power of 0.75."""
    side = min(BIT_RATES, key=lambda side: abs(side - _box_of(width, height)))
    full = side * _long(side)
    cost = BIT_RATES[side] * min(1.5, (width * height / full)) ** 0.75
    return float(cost * (1.5 if rate > FAST else 1.0))


def _worth(video: VideoTrack, probe: Probe) -> float:
    """Bits a second beyond which the best rung would only copy the source's own losses."""
    source = probe.size * 8 / probe.duration
    return max(LEAST_BIT_RATE * 2, 1.2 * source * HEAVIER.get(video.codec, 1.0))


def _audio_rungs(tracks: tuple[AudioTrack, ...]) -> tuple[AudioRung, ...]:
    ordered = sorted(tracks, key=lambda track: not track.default)  # stable: the default first
    return tuple(_audio_rung(number, track) for number, track in enumerate(ordered, start=1))


def _audio_rung(number: int, track: AudioTrack) -> AudioRung:
    language = language_tag(track.language)
    channels = min(2, track.channels)
    rate = track.sample_rate if track.sample_rate in SAMPLE_RATES else SAMPLE_RATES[-1]
    return AudioRung(
        id="audio" if number == 1 else f"audio-{number}",
        stream=track.index,
        channels=channels,
        sample_rate=rate,
        bit_rate=128_000 if channels == 2 else 80_000,
        language=language,
        name=track.title or _NAMES.get(language, "") or (f"Audio {number}"),
    )


def language_name(tag: str) -> str:
    """What its speakers call a language; empty where that is not known here."""
    return _NAMES.get(tag.partition("-")[0], "")


def language_tag(text: str) -> str:
    """The RFC 5646 tag for what a file says of its language; empty when it says nothing usable."""
    tag = text.strip().replace("_", "-")
    primary, _, region = tag.partition("-")
    primary = LANGUAGES.get(primary.lower(), primary.lower())
    if not (2 <= len(primary) <= 3 and primary.isascii() and primary.isalpha()) or primary in (
        "und",
        "mis",
        "zxx",
    ):
        return ""
    return (
        f"{primary}-{region.upper()}"
        if len(region) == 2 and region.isascii() and region.isalpha()
        else primary
    )
