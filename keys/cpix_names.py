"""Namespaces of a CPIX document, and base64 as XML has it."""

from typing import Final

from keys.strict_base64 import from_base64

CPIX: Final = "{urn:dashif:org:cpix}"
PSKC: Final = "{urn:ietf:params:xml:ns:keyprov:pskc}"
XMLENC: Final = "{http://www.w3.org/2001/04/xmlenc#}"
DSIG: Final = "{http://www.w3.org/2000/09/xmldsig#}"

_SPACE: Final = str.maketrans("", "", " \t\r\n")


def xml_bytes(text: str) -> bytes:
    """What the text of an element of type base64Binary spells; white space is none of it. ValueError."""
    return from_base64(text.translate(_SPACE))
