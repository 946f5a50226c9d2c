"""That an answer's body ended before it was whole: from the origin's connection to the client's."""


class BrokenOff(Exception):
    """The rest of a body will not come: who was given its beginning is cut off visibly."""
