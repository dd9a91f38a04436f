"""What JSON Schema leaves open."""

import schemathesis

import cases  # noqa: F401


def as_integers(value):
    """JSON Schema takes 1.0 for an integer. A client that counts writes 1, and the API accepts nothing else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: as_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_integers(item) for item in value]
    return value


@schemathesis.hook
def map_body(context, body):
    return as_integers(body)
