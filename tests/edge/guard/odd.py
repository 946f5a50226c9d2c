"""Heads that must be refused, by what is wrong with them: {what: (bytes, code of the refusal)}."""

from typing import Final

START: Final = b"GET / HTTP/1.1\r\nHost: a\r\n"
BAD: Final = "bad_request"


def _with(*lines: bytes) -> bytes:
    return START + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def _line(line: bytes) -> bytes:
    return line + b"\r\nHost: a\r\n\r\n"


def _host(value: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost:" + value + b"\r\n\r\n"


REFUSED: Final[dict[str, tuple[bytes, str]]] = {
    # framing
    "length and coding": (_with(b"Content-Length: 5", b"Transfer-Encoding: chunked"), BAD),
    "coding and length": (_with(b"Transfer-Encoding: chunked", b"Content-Length: 5"), BAD),
    "two lengths": (_with(b"Content-Length: 5", b"Content-Length: 6"), BAD),
    "the same length twice": (_with(b"Content-Length: 5", b"Content-Length: 5"), BAD),
    "a list of lengths": (_with(b"Content-Length: 5, 5"), BAD),
    "a signed length": (_with(b"Content-Length: +5"), BAD),
    "a negative length": (_with(b"Content-Length: -5"), BAD),
    "a length in hex": (_with(b"Content-Length: 0x5"), BAD),
    "a length with a zero before it": (_with(b"Content-Length: 05"), BAD),
    "a length with a space in it": (_with(b"Content-Length: 1 5"), BAD),
    "a length that is empty": (_with(b"Content-Length:"), BAD),
    "a length beyond all numbers": (_with(b"Content-Length: 99999999999999999999"), BAD),
    "a length in other digits": (_with("Content-Length: ٥".encode()), BAD),
    "coding twice": (_with(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), BAD),
    "coding chunked, chunked": (_with(b"Transfer-Encoding: chunked, chunked"), BAD),
    "coding gzip, chunked": (_with(b"Transfer-Encoding: gzip, chunked"), BAD),
    "coding chunked, identity": (_with(b"Transfer-Encoding: chunked, identity"), BAD),
    "coding identity": (_with(b"Transfer-Encoding: identity"), BAD),
    "coding xchunked": (_with(b"Transfer-Encoding: xchunked"), BAD),
    "coding in quotes": (_with(b'Transfer-Encoding: "chunked"'), BAD),
    "coding with a parameter": (_with(b"Transfer-Encoding: chunked;q=1"), BAD),
    "coding after a vertical tab": (_with(b"Transfer-Encoding: \x0bchunked"), BAD),
    "coding that is empty": (_with(b"Transfer-Encoding:"), BAD),
    "coding in 1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", BAD),
    # lines
    "space before the colon": (_with(b"Transfer-Encoding : chunked"), BAD),
    "tab before the colon": (_with(b"X\t: y"), BAD),
    "a folded line": (_with(b"X: a", b" b"), BAD),
    "a folded first line": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", BAD),
    "a line of a space": (_with(b" "), BAD),
    "a bare LF between lines": (START + b"X: a\nY: b\r\n\r\n", BAD),
    "bare LF throughout": (b"GET / HTTP/1.1\nHost: a\n\n", BAD),
    "LF LF at the end": (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\n\n\r\n\r\n", BAD),
    "a bare CR in a value": (_with(b"X: a\rTransfer-Encoding: chunked"), BAD),
    "CR CR LF": (START + b"X: a\r\r\n\r\n", BAD),
    "NUL in a value": (_with(b"X: a\0b"), BAD),
    "NUL in a name": (_with(b"X\0: b"), BAD),
    "DEL in a value": (_with(b"X: a\x7fb"), BAD),
    "ESC in a value": (_with(b"X: \x1b[2J"), BAD),
    "a line without colon": (_with(b"nonsense"), BAD),
    "no name": (_with(b": x"), BAD),
    "a name in brackets": (_with(b"[X]: y"), BAD),
    "a name outside ASCII": (_with("Ü: y".encode()), BAD),
    # request line
    "HTTP/0.9": (b"GET /\r\n\r\n", BAD),
    "two spaces": (_line(b"GET  / HTTP/1.1"), BAD),
    "a tab for a space": (_line(b"GET\t/ HTTP/1.1"), BAD),
    "a space in the target": (_line(b"GET /a b HTTP/1.1"), BAD),
    "a space at the end": (_line(b"GET / HTTP/1.1 "), BAD),
    "a space at the beginning": (_line(b" GET / HTTP/1.1"), BAD),
    "two empty lines before it": (b"\r\n\r\n" + START + b"\r\n", BAD),
    "a lower-case version": (_line(b"GET / http/1.1"), BAD),
    "a long version": (_line(b"GET / HTTP/1.10"), BAD),
    "a version without minor": (_line(b"GET / HTTP/1"), BAD),
    "HTTP/2.0": (_line(b"GET / HTTP/2.0"), "version_not_supported"),
    "HTTP/1.2": (_line(b"GET / HTTP/1.2"), "version_not_supported"),
    "HTTP/2 with prior knowledge": (b"PRI * HTTP/2.0\r\n\r\n", "version_not_supported"),
    "no target": (_line(b"GET HTTP/1.1"), BAD),
    "a target without slash": (_line(b"GET x HTTP/1.1"), BAD),
    "a target of bytes": (_line(b"GET /\xff HTTP/1.1"), BAD),
    "a target with a fragment": (_line(b"GET /a#b HTTP/1.1"), BAD),
    "a target with NUL": (_line(b"GET /a\0 HTTP/1.1"), BAD),
    "the asterisk": (_line(b"OPTIONS * HTTP/1.1"), BAD),
    "another host's target": (_line(b"GET http://b/ HTTP/1.1"), BAD),
    "a target with a user": (_line(b"GET http://u@a/ HTTP/1.1"), BAD),
    "a target without path": (_line(b"GET http://a HTTP/1.1"), BAD),
    "a target of another scheme": (_line(b"GET ftp://a/ HTTP/1.1"), BAD),
    "CONNECT": (_line(b"CONNECT a:80 HTTP/1.1"), "not_implemented"),
    "an unknown method": (_line(b"BREW / HTTP/1.1"), "not_implemented"),
    "a method in lower case": (_line(b"get / HTTP/1.1"), "not_implemented"),
    "a method with brackets": (_line(b"G(T / HTTP/1.1"), BAD),
    # Host
    "no Host": (b"GET / HTTP/1.1\r\nX: y\r\n\r\n", BAD),
    "no fields": (b"GET / HTTP/1.1\r\n\r\n", BAD),
    "two Hosts": (_with(b"Host: b"), BAD),
    "the same Host twice": (_with(b"host: a"), BAD),
    "an empty Host": (_host(b""), BAD),
    "Host with a path": (_host(b" a/evil"), BAD),
    "Host with a query": (_host(b" a?x"), BAD),
    "Host with a fragment": (_host(b" a#x"), BAD),
    "Host with a user": (_host(b" u@a"), BAD),
    "Host with a space": (_host(b" a b"), BAD),
    "Host with a comma": (_host(b" a,b"), BAD),
    "Host with a long port": (_host(b" a:123456"), BAD),
    "Host with a word for a port": (_host(b" a:x"), BAD),
    "Host with two ports": (_host(b" a:1:2"), BAD),
    "Host with a percent": (_host(b" a%2fb"), BAD),
    "Host with a backslash": (_host(b" a\\b"), BAD),
    "Host in broken brackets": (_host(b" [::1"), BAD),
    "Host with quotes": (_host(b' "a"'), BAD),
    "Host with bytes": (_host(b" \xc3\xa9"), BAD),
    # others
    "an unknown expectation": (_with(b"Expect: 200-ok"), "expectation_failed"),
    "two expectations": (_with(b"Expect: 100-continue", b"Expect: x"), "expectation_failed"),
}

UNFINISHED: Final[dict[str, bytes]] = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a bare LF": b"GET / HTTP/1.1\n",
    "a bare CR": b"GET / HTTP/1.1\rX",
    "NUL": b"GET /\0",
    "a space first": b" GET",
    "SSH": b"SSH-2.0-OpenSSH_9.2\n",
    "the PROXY protocol, version 2": b"\r\n\r\n\0\r\nQUIT\n",
}
