"""Which of what is kept has a surrogate key: an index that is bounded by what it indexes."""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

MOST: Final = 100  # labels that are indexed of one; who has more is looked at in each search
BYTES: Final = 128  # what one costs in the index

H = TypeVar("H", bound=Hashable)


class Labels(Generic[H]):
    """What is kept, by its labels."""

    def __init__(self) -> None:
        self._by_label: dict[bytes, set[H]] = {}
        self._many: dict[H, frozenset[bytes]] = {}

    def add(self, held: H, labels: frozenset[bytes]) -> None:
        """It has these."""
        if len(labels) > MOST:
            self._many[held] = labels
            return
        for label in labels:
            self._by_label.setdefault(label, set()).add(held)

    def remove(self, held: H, labels: frozenset[bytes]) -> None:
        """It had these, and is not kept any more. Fine when it never was."""
        if self._many.pop(held, None) is not None:
            return
        for label in labels:
            having = self._by_label.get(label)
            if having is not None:
                having.discard(held)
                if not having:
                    del self._by_label[label]

    def having(self, label: bytes) -> list[H]:
        """All that have it."""
        many = [held for held, labels in self._many.items() if label in labels]
        return [*self._by_label.get(label, ()), *many]


def cost(labels: frozenset[bytes]) -> int:
    """Bytes that the index takes for one that has these."""
    return BYTES * min(len(labels), MOST)
