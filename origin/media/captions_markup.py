"""What a caption says, cleaned: text, and of all markup b, i, u, v and c (W3C WebVTT §4.2.2). Pure.

A tag that is none of these goes and its content stays; every `<`, `>` and `&` that is left is escaped, so no
reader can find a tag, an arrow or a line that ends the cue in what somebody wrote.
"""

import re
from typing import Final

from origin.media.captions import MAX_CUE_CHARACTERS

MAX_OPEN: Final = 8  # tags inside each other
MAX_LINES: Final = 12

_TOKEN: Final = re.compile(
    r"<(/?)([A-Za-z]{1,8})(\.[A-Za-z0-9_.-]{1,64})?([ \t][^<>]{0,200})?/?>|<[^<>\n]{0,200}>"
)
_OVERRIDE: Final = re.compile(r"\{\\[^{}\n]{0,200}\}")  # of SSA, found in SubRip too
_ENTITIES: Final = {
    "&lt;": "<",
    "&gt;": ">",
    "&nbsp;": "\xa0",
    "&lrm;": "\u200e",
    "&rlm;": "\u200f",
    "&quot;": '"',
}
_SETTING: Final = re.compile(
    r"(?:vertical:(?:rl|lr)|line:-?\d{1,3}(?:\.\d{1,3})?%?(?:,(?:start|center|end))?"
    r"|position:\d{1,3}(?:\.\d{1,3})?%(?:,(?:line-left|center|line-right))?"
    r"|size:\d{1,3}(?:\.\d{1,3})?%|align:(?:start|center|end|left|right))"
)


def cleaned(text: str) -> str:
    """The text of a cue as it may go out; empty when nothing is left to read."""
    text = _OVERRIDE.sub("", text[: 4 * MAX_CUE_CHARACTERS]).replace("\r\n", "\n").replace("\r", "\n")
    out: list[str] = []
    still_open: list[str] = []
    at = 0
    for token in _TOKEN.finditer(text):
        out.append(escaped(text[at : token.start()]))
        at = token.end()
        out.append(_tag(token, still_open))
    out.append(escaped(text[at:]))
    out += [f"</{name}>" for name in reversed(still_open)]
    lines = [line.strip(" \t") for line in "".join(out).split("\n")]
    found = "\n".join([line for line in lines if line][:MAX_LINES])
    if len(found) > MAX_CUE_CHARACTERS:  # nobody reads so much: the plain beginning of it
        return escaped(plain(found)[: MAX_CUE_CHARACTERS // 6])
    return found if plain(found).strip() else ""


def escaped(text: str) -> str:
    """Text in which nothing is markup. What cannot be seen but lines and tabs goes."""
    for entity, meant in _ENTITIES.items():
        text = text.replace(entity, meant)
    text = text.replace("&amp;", "&")
    kept = "".join(c for c in text if c in "\n\xa0\u200e\u200f\u200d\u200c" or c.isprintable() or c == "\t")
    return kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(markup: str) -> str:
    """The text of cleaned markup alone."""
    text = re.sub(r"<[^<>]*>", "", markup)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def settings(text: str) -> str:
    """Of the settings behind a cue's times, those that say where it stands."""
    return " ".join([part for part in text[:200].split() if _SETTING.fullmatch(part)][:5])


def _tag(token: re.Match[str], still_open: list[str]) -> str:
    """What goes out in place of a tag."""
    closing, name = token[1], (token[2] or "").lower()
    if name == "br" and not closing:
        return "\n"
    if name not in ("b", "i", "u", "v", "c"):
        return ""
    if closing:
        if name not in still_open:
            return ""
        out = ""
        while True:  # what was opened inside of it ends with it
            inner = still_open.pop()
            out += f"</{inner}>"
            if inner == name:
                return out
    said = " ".join(escaped(token[4] or "").split()).rstrip("- ")  # else `-->` could come about
    if len(still_open) >= MAX_OPEN or (name == "v" and not said):
        return ""
    still_open.append(name)
    classes = ".".join(part for part in (token[3] or "").split(".") if part).rstrip("-.")
    return f"<{name}{'.' + classes if classes and name == 'c' else ''}{' ' + said if name == 'v' else ''}>"
