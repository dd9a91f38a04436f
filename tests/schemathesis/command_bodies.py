"""What JSON Schema leaves open."""

import re

import schemathesis

import cases  # noqa: F401

# What texts may not hold above U+FFFF: the patterns of the schemas leave it open (docs/text.md). It is what cannot be seen, and
# noncharacters.
REFUSED = re.compile(
    "[\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(1, 17))
    + "]"
)


def as_sent(value):
    """JSON Schema takes 1.0 for an integer. A client that counts writes 1, and the API accepts nothing else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return REFUSED.sub("x", value)
    if isinstance(value, dict):
        return {as_sent(key): as_sent(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_sent(item) for item in value]
    return value


@schemathesis.hook
def map_body(context, body):
    return as_sent(body)
