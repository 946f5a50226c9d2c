"""JSON of strangers: one reading, and never more work than its length."""

import pytest

from keys.strict_json import _STRING, strict_object


@pytest.mark.parametrize("size", [1, 10, 100, 1000])
def test_t12_a_string_that_never_closes_is_read_once(size: int) -> None:
    text = '{"a":"' + '\\"' * size
    assert len(_STRING.findall(text)) == 2, "the name, and the rest of the text as one"
    with pytest.raises(ValueError):
        strict_object(text.encode())


def test_brackets_inside_strings_do_not_count_as_nesting() -> None:
    assert strict_object(b'{"a":"[[[[[[[[[[[[\\"[[[["}') == {"a": '[[[[[[[[[[[["[[[['}
