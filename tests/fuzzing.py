"""External files of any content: used, or rejected with an error that names them.

`SAIP_FUZZ_EXAMPLES=10000 pytest tests/*/test_fuzz.py` runs longer.
"""

import copy
import functools
import os
import random
import string

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get('SAIP_FUZZ_EXAMPLES', 20))

fuzzed = functools.partial(
    settings,
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize='SAIP_FUZZ_EXAMPLES' not in os.environ,
    suppress_health_check=list(HealthCheck),
)

NUMBERS = st.integers(-3, 3) | st.integers() | st.floats()
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(string.ascii_letters, max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
SEEDS = st.integers(0, 2**32)


def places(content: object, path: tuple = ()) -> list[tuple]:
    """Paths of all values in a tree of dicts and lists."""
    found = [path] if path else []
    items = dict(enumerate(content)) if isinstance(content, list) else content
    for key, value in items.items() if isinstance(items, dict) else ():
        found += places(value, (*path, key))
    return found


@st.composite
def changed(draw, content: object) -> object:
    """A tree with values removed, replaced or appended."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        ways = places(content)
        if not ways:
            return content
        *way, last = draw(st.sampled_from(ways))
        inner = content
        for key in way:
            inner = inner[key]
        if draw(st.booleans()):
            inner[last] = draw(VALUES)
        elif isinstance(inner, dict):
            del inner[last]
        else:
            inner.append(draw(VALUES))
    return content


def spoil(content: bytes, seed: int) -> bytes:
    """Change, remove, insert or truncate bytes."""
    rng, spoiled = random.Random(seed), bytearray(content)
    for _ in range(rng.randint(1, 5)):
        begin = rng.randrange(len(spoiled) + 1)
        end = min(len(spoiled), begin + rng.choice([1, 1, 4, 100]))
        how = rng.randrange(4)
        if how == 0:
            spoiled[begin:end] = rng.randbytes(end - begin)
        elif how == 1:
            del spoiled[begin:end]
        elif how == 2:
            spoiled[begin:begin] = rng.randbytes(rng.choice([1, 4, 100]))
        else:
            del spoiled[begin:]
    return bytes(spoiled)


def attempt(function, path) -> None:
    """Call a function that reads a file: it works, or its error names the file."""
    try:
        function()
    except (OSError, ValueError) as error:
        assert str(path) in str(error), repr(error)
