"""CPIX documents that cannot be used: each refused with a sentence, in little time and room."""

import random
import tracemalloc
import uuid
from time import process_time

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from keys.cpix import AUDIO, FAIRPLAY, PLAYREADY, VIDEO, WIDEVINE, ContentKey, Document, DrmSystem, UsageRule
from keys.cpix_xml import MAX_BYTES, BadCpix, read_cpix, write_cpix
from keys.drm_signalling import signalled, signalling
from keys.pssh import write_pssh
from tests.support.cpix_documents import (
    IV,
    KEY,
    KID,
    SOUND_KID,
    b64,
    document,
    encrypted_document,
    fragment,
    key,
    lines,
    rule,
    system,
)

PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
GOOD = signalling(ContentKey(uuid.UUID(KID), KEY, "cbcs", IV), WIDEVINE)

LINE = GOOD.hls_media or ""
FAIR = signalling(ContentKey(uuid.UUID(KID), KEY, "cbcs", IV), FAIRPLAY).hls_media or ""
PSSH = "<pssh xmlns='urn:mpeg:cenc:2013'>" + b64(GOOD.pssh or b"") + "</pssh>"
DOCTYPE = b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x" [<!ENTITY a "b">]>'
DEEP = b"<a>" * 100 + b"</a>" * 100
REFUSED: dict[str, bytes] = {
    "nothing": b"",
    "no XML": b"keys",
    "a document type": DOCTYPE + document(),
    "an entity": document().replace(b"abc123", b"&a;"),
    "an instruction": b"<?php 1?>" + document(),
    "another encoding": b'<?xml version="1.0" encoding="UTF-16"?>' + document(),
    "really in another encoding": document().decode().encode("utf-16"),
    "no UTF-8": document().replace(b"abc123", b"\xff\xfe"),
    "too large": document() + b" " * MAX_BYTES,
    "too deep": document(more=DEEP.decode()),
    "too many elements": document(more="<a/>" * 5000),
    "too many attributes": document(more="<a " + " ".join(f'a{n}=""' for n in range(40)) + "/>"),
    "two roots": document() + document(),
    "another namespace": document().replace(b"urn:dashif:org:cpix", b"urn:dashif:org:cpics"),
    "no namespace": document().replace(b"cpix:CPIX", b"CPIX"),
    "another version": document(head='contentId="a" version="3.0"'),
    "two lists": document(more="<cpix:ContentKeyList/>"),
    "no key": document("<!-- none -->"),
    "a content ID with a line end": document(head='contentId="a&#10;b"'),
    "a content ID too long": document(head=f'contentId="{"a" * 300}"'),
    "a kid that is none": document(key(kid="98ee5596cd3ea20d163ae382420c6eff")),
    "a kid in braces": document(key(kid="{" + KID + "}")),
    "a kid twice": document(key() + key(bytes(16))),
    "a kid twice, in capitals": document(key() + key(kid=KID.upper())),
    "no scheme": document().replace(b' commonEncryptionScheme="cbcs"', b""),
    "cbc1": document(key(scheme="cbc1")),
    "cens": document(key(scheme="cens")),
    "two schemes": document(key() + key(kid=SOUND_KID, scheme="cenc")),
    "a short key": document(key(KEY[:15])),
    "a long key": document(key(KEY + b"1")),
    "a key that is no base64": document().replace(b64(KEY).encode(), b"!" * 24),
    "a key in another spelling": document().replace(b64(KEY).encode(), b64(KEY)[:-3].encode() + b"x=="),
    "a key without padding": document().replace(b64(KEY).encode(), b64(KEY).rstrip("=").encode()),
    "a short IV": document(key(iv=bytes(8))),
    "an empty IV": document(key(iv=b"")),
    "a key that is encrypted": encrypted_document(PRIVATE),
    "periods": document(
        more="<cpix:ContentKeyPeriodList><cpix:ContentKeyPeriod/></cpix:ContentKeyPeriodList>"
    ),
    "too many keys": document("".join(key(kid=str(uuid.UUID(int=n))) for n in range(40))),
    "a system of no key": document(systems=system(WIDEVINE, "", SOUND_KID)),
    "a system twice": document(systems=system(WIDEVINE, "") * 2),
    "a system that is none": document(systems=system("widevine", "")),
    "a rule for no key": document(rules=rule("<cpix:VideoFilter/>", SOUND_KID)),
    "a rule for some pictures": document(rules=rule('<cpix:VideoFilter maxPixels="9"/>')),
    "a rule for a period": document(rules=rule('<cpix:KeyPeriodFilter periodId="p"/>')),
    "a rule for what is not known": document(rules=rule("", called="SD")),
    "a rule that contradicts itself": document(rules=rule("<cpix:AudioFilter/>", called="VIDEO")),
    "two keys for the pictures": document(
        key() + key(kid=SOUND_KID), rules=rule("", called="VIDEO") + rule("", SOUND_KID, called="ALL")
    ),
    "two PSSH": document(systems=system(WIDEVINE, "<cpix:PSSH/><cpix:PSSH/>")),
    "FairPlay in cenc": document(key(scheme="cenc"), system(FAIRPLAY, "")),
}
for _name, _box in {
    "a PSSH that is none": b"pssh",
    "a PSSH of another system": write_pssh(PLAYREADY, b""),
    "a PSSH and more": (GOOD.pssh or b"") + b"1",
    "a PSSH cut short": (GOOD.pssh or b"")[:-1],
    "a PSSH of other keys": write_pssh(WIDEVINE, b"", [uuid.UUID(SOUND_KID)]),
    "a PSSH of too many keys": write_pssh(WIDEVINE, b"")[:28] + b"\xff\xff\xff\xff",
}.items():
    REFUSED[_name] = document(systems=system(WIDEVINE, f"<cpix:PSSH>{b64(_box)}</cpix:PSSH>"))
for _name, _text in {
    "another tag": "#EXTINF:1",
    "a segment": f"{LINE}\nhttps://evil.example/1.ts",
    "no encryption": LINE + "\n#EXT-X-KEY:METHOD=NONE",
    "another method": LINE.replace("SAMPLE-AES", "AES-128"),
    "the method of cenc": LINE.replace("SAMPLE-AES", "SAMPLE-AES-CTR"),
    "a line of the other playlist": LINE.replace("EXT-X-KEY", "EXT-X-SESSION-KEY"),
    "an attribute nobody knows": LINE + ",X=1",
    "an attribute twice": LINE + ",METHOD=SAMPLE-AES",
    "a comma too many": LINE + ",",
    "no URI": LINE.replace("URI=", "URL="),
    "no format": LINE.replace(",KEYFORMAT=", ",KEYFORMATS="),
    "the format of another": LINE.replace(str(WIDEVINE), str(PLAYREADY)),
    "another key": LINE.replace(uuid.UUID(KID).hex, uuid.UUID(SOUND_KID).hex),
    "an address": LINE.replace("data:text/plain;base64,", "https://evil.example/"),
    "a script": LINE.replace("data:text/plain;base64,", "javascript:"),
    "a variable": LINE.replace("data:text/plain;base64,", "data:text/plain;base64,{$x}"),
    "another line end": LINE + "\u2028#EXTINF:1",
    "a bare return": LINE + "\r#EXTINF:1",
    "too many lines": "\n".join([LINE] * 9),
    "another IV": LINE + ",IV=0x" + "00" * 16,
    "a quote left open": LINE[:-1],
}.items():
    REFUSED[f"HLS: {_name}"] = document(systems=system(WIDEVINE, lines(_text)))
for _name, _text in {
    "an https address": FAIR.replace("skd://", "https://"),
    "a data URI": FAIR.replace("skd://", "data:text/plain;base64,"),
}.items():
    REFUSED[f"FairPlay: {_name}"] = document(systems=system(FAIRPLAY, lines(_text)))
for _name, _text in {
    "a script": "<script xmlns='http://www.w3.org/1999/xhtml'>1</script>",
    "a descriptor's end": "</ContentProtection></AdaptationSet>",
    "an end and a beginning": "</r><r>",
    "an end and a beginning around what is good": f"{PSSH}</r><r>{PSSH}",
    "text": f"hello{PSSH}",
    "no namespace": "<pssh>AAAA</pssh>",
    "a namespace undeclared": "<cenc:pssh>AAAA</cenc:pssh>",
    "an attribute": PSSH.replace("<pssh", "<pssh onload='x'"),
    "a child": PSSH.replace("</pssh>", "<a/></pssh>"),
    "a descriptor of another": (
        f"<ContentProtection schemeIdUri='urn:uuid:{PLAYREADY}'>{PSSH}</ContentProtection>"
    ),
    "a descriptor of nobody": f"<ContentProtection>{PSSH}</ContentProtection>",
    "two descriptors": f"<ContentProtection schemeIdUri='urn:uuid:{WIDEVINE}'>{PSSH}</ContentProtection>" * 2,
    "an empty descriptor": f"<ContentProtection schemeIdUri='urn:uuid:{WIDEVINE}'/>",
    "a script in a descriptor": (
        f"<ContentProtection schemeIdUri='urn:uuid:{WIDEVINE}'>{PSSH}<script>1</script></ContentProtection>"
    ),
    "a BaseURL": "<BaseURL xmlns='urn:mpeg:dash:schema:mpd:2011'>https://evil.example/</BaseURL>",
    "XLink": PSSH.replace(
        "<pssh", "<pssh xmlns:x='http://www.w3.org/1999/xlink' x:href='https://evil.example'"
    ),
    "a pssh of another": PSSH.replace(b64(GOOD.pssh or b""), b64(write_pssh(PLAYREADY, b""))),
    "a PlayReady Object that is none": "<pro xmlns='urn:microsoft:playready'>AAAA</pro>",
    "a plain address": "<laurl xmlns='https://dashif.org/CPS'>http://l.example/</laurl>",
    "a script as address": "<laurl xmlns='https://dashif.org/CPS'>javascript:alert(1)</laurl>",
    "a document type": f"<!DOCTYPE a>{PSSH}",
    "an instruction": f"<?x y?>{PSSH}",
    "nothing but space": "  ",
}.items():
    REFUSED[f"fragment: {_name}"] = document(systems=system(WIDEVINE, fragment(_text)))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(BadCpix) as refused:
        read_cpix(REFUSED[name])
    said = str(refused.value)
    assert said.endswith(".")
    assert said.isprintable()
    assert len(said) < 400
    assert b64(KEY) not in said


def mutated(text: bytes, chance: random.Random) -> bytes:
    """The document with a few of its bytes, or a piece of it, changed."""
    found = bytearray(text)
    for _ in range(chance.randint(1, 4)):
        at, to = sorted(chance.randrange(len(found) + 1) for _ in range(2))
        how = chance.randrange(5)
        if how == 0 and at < len(found):
            found[at] = chance.randrange(256)
        elif how == 1:
            del found[at : min(to, at + 40)]
        elif how == 2:
            found[at:at] = found[at : min(to, at + 200)]
        elif how == 3:
            found[at:at] = chance.choice(
                [b"<", b">", b"&", b'"', b"=", b"<cpix:PSSH>", b"&#0;", b"]]>", b"<!--"]
            )
        else:
            other = chance.randrange(len(found) + 1)
            found[at:at] = found[other : other + 30]
        if not found:
            break
    return bytes(found)


@pytest.mark.heavy
def test_a_hundred_thousand_broken_documents_are_refused_or_used() -> None:
    chance = random.Random(20260)
    both = Document(
        "abc123",
        (ContentKey(uuid.UUID(KID), KEY, "cbcs", IV), ContentKey(uuid.UUID(SOUND_KID), KEY, "cbcs")),
        (DrmSystem(uuid.UUID(KID), WIDEVINE), DrmSystem(uuid.UUID(KID), FAIRPLAY)),
        (UsageRule(uuid.UUID(KID), VIDEO), UsageRule(uuid.UUID(SOUND_KID), AUDIO)),
    )
    texts = [write_cpix(signalled(both)), document(), *REFUSED.values(), encrypted_document(PRIVATE)]
    texts = [text for text in texts if 0 < len(text) < 16 << 10]
    refused = 0
    longest = 0.0
    for number in range(100_000):
        text = mutated(texts[number % len(texts)] if number % 2 else texts[number // 2 % 2], chance)
        start = process_time()
        try:
            found = read_cpix(text)
        except BadCpix:
            refused += 1
        else:
            assert all(each.key is None or len(each.key) == 16 for each in found.keys)
            for each in found.systems:
                told = (each.hls_media or "") + "\n" + (each.hls_multivariant or "")
                assert all(
                    line.startswith(("#EXT-X-KEY:", "#EXT-X-SESSION-KEY:"))
                    for line in told.split("\n")
                    if line
                )
            if number % 10 == 0:
                assert read_cpix(write_cpix(found)) == found
        longest = max(longest, process_time() - start)
    assert 50_000 < refused < 100_000
    assert longest < 2  # seconds of one document


@pytest.mark.parametrize(
    "text",
    [
        document(more="<a/>" * (MAX_BYTES // 5)),
        document(more="<a>" * (MAX_BYTES // 4)),
        document(more="x" * (MAX_BYTES - 2000)),
        document(more="<a " + " ".join(f'a{n}=""' for n in range(80_000)) + "/>"),
        document(more="<!--" + "-x" * (MAX_BYTES // 3) + "-->"),
        document(systems=system(WIDEVINE, lines("#EXT-X-KEY:" + "A=B," * 100_000))),
        document(systems=system(WIDEVINE, fragment("<a>" * 30_000))),
    ],
    ids=["wide", "deep", "text", "attributes", "comment", "line", "fragment"],
)
def test_a_document_of_any_shape_takes_little_room(text: bytes) -> None:
    assert len(text) <= MAX_BYTES
    tracemalloc.start()
    try:
        with pytest.raises(BadCpix):
            read_cpix(text + b"<")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 24 << 20
