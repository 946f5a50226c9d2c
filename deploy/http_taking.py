"""Whether a client takes what it is sent: some of it, however little, or nothing (SECURITY T11).

What counts is what the other side has acknowledged. Our own buffer would not do: with megabytes in the
kernel, a reader of 20 kB/s leaves it untouched for longer than any client may stall.
"""

import asyncio
import fcntl
import sys
import termios


class Taking:
    """What one client takes, looked at once in a while."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._seen = 0  # bytes unsent when last looked at
        self._since = 0.0

    def stalled_s(self, now: float) -> float:
        """Seconds since it was first seen that nothing was taken, although some waits. `now` is monotonic."""
        unsent = self.unsent()
        if not unsent or not self._seen or unsent < self._seen:  # more of it: we wrote, nobody took
            self._since = now
        self._seen = unsent
        return now - self._since

    def unsent(self) -> int:
        """Bytes not acknowledged while some of them wait in our own buffer; 0 when none wait there."""
        waiting = self._transport.get_write_buffer_size()
        return waiting + self._queued(termios.TIOCOUTQ) if waiting else 0

    def unread(self) -> int:
        """Bytes that came and were not read yet."""
        return self._queued(termios.FIONREAD)

    def _queued(self, queue: int) -> int:
        """Bytes in a queue of the socket (tcp(7): SIOCINQ, SIOCOUTQ); 0 when it is closed."""
        number = self._transport.get_extra_info("socket").fileno()
        try:
            return int.from_bytes(fcntl.ioctl(number, queue, bytes(4)), sys.byteorder)
        except OSError:
            return 0
