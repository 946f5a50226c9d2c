"""XML from strangers: elements, attributes and text, and nothing else of what XML can be.

Refused: document types, entities of one's own, processing instructions, encodings other than UTF-8, and more
depth, elements or attributes than any document here needs. Comments are passed over. Nothing is ever fetched.
"""

from dataclasses import dataclass, field
from typing import Any, Final, NoReturn
from xml.parsers import expat

MAX_DEPTH: Final = 16
MAX_ELEMENTS: Final = 4096
MAX_ATTRIBUTES: Final = 32  # of one element


class BadXml(ValueError):
    """Not XML that is read here; the text is a sentence for people."""


@dataclass(slots=True)
class Node:
    """An element. Names are `{namespace}local`, as in ElementTree; `text` is its own, not its children's."""

    name: str
    attributes: dict[str, str]
    children: list["Node"] = field(default_factory=list)
    text: str = field(default="", repr=False)  # may be a key

    def all(self, name: str) -> list["Node"]:
        """The children of this name."""
        return [each for each in self.children if each.name == name]

    def one(self, name: str) -> "Node | None":
        """The child of this name, if there is one. BadXml when there are two."""
        found = self.all(name)
        if len(found) > 1:
            raise BadXml(f"The element {local(self.name)} has more than one {local(name)}.")
        return found[0] if found else None


def local(name: str) -> str:
    """The name without its namespace."""
    return name.rpartition("}")[2]


def read_xml(data: bytes, max_bytes: int) -> Node:
    """The root element of the document in `data`. Raises BadXml."""
    if len(data) > max_bytes:
        raise BadXml(f"The document is larger than {max_bytes // 1024} KiB.")
    # expat would take UTF-16 for what it is, whatever it is told.
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadXml("The document is not in UTF-8.") from None
    if "\0" in text:
        raise BadXml("The document is not in UTF-8.")
    return _Reader().read(data)


class _Reader:
    """One reading of one document."""

    def __init__(self) -> None:
        self._root: Node | None = None
        self._open: list[Node] = []
        self._texts: list[list[str]] = []
        self._elements = 0

    def read(self, data: bytes) -> Node:
        # The encoding given here counts, whatever the document declares.
        parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.EntityDeclHandler = _refuse_doctype
        parser.ExternalEntityRefHandler = _refuse_doctype
        parser.ProcessingInstructionHandler = _refuse_instruction
        parser.XmlDeclHandler = _declared
        try:
            parser.Parse(data, True)
        except expat.ExpatError as exc:
            raise BadXml(f"The document is not well-formed XML ({exc}).") from None
        if self._root is None:
            raise BadXml("The document has no element.")
        return self._root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if len(self._open) >= MAX_DEPTH:
            raise BadXml("The document is nested too deeply.")
        if self._elements > MAX_ELEMENTS:
            raise BadXml("The document has too many elements.")
        if len(attributes) > MAX_ATTRIBUTES:
            raise BadXml("An element has too many attributes.")
        node = Node(_name(name), {_name(key): value for key, value in attributes.items()})
        if self._open:
            self._open[-1].children.append(node)
        else:
            self._root = node
        self._open.append(node)
        self._texts.append([])

    def _end(self, _name: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def _text(self, text: str) -> None:
        self._texts[-1].append(text)


def _name(name: str) -> str:
    namespace, space, rest = name.rpartition(" ")
    return f"{{{namespace}}}{rest}" if space else name


def _refuse_doctype(*_: Any) -> NoReturn:
    raise BadXml("The document has a DOCTYPE or entities, which are not read here.")


def _refuse_instruction(*_: Any) -> NoReturn:
    raise BadXml("The document has a processing instruction, which is not read here.")


def _declared(_version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and encoding.lower() not in {"utf-8", "us-ascii"}:
        raise BadXml("The document is not in UTF-8.")
