"""What Schemathesis cannot know of our GraphQL: our scalars, our `@oneOf` input, our limits, and that every error has a code."""

import graphql
import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes

import cases  # noqa: F401

# With odd values in between, as for every other argument.
schemathesis.graphql.scalar("Long", st.integers(-(2**63), 2**63 - 1).map(nodes.Int))
schemathesis.graphql.scalar("UUID", st.one_of(st.uuids().map(str), st.text(max_size=5)).map(nodes.String))
schemathesis.graphql.scalar(
    "DateTime", st.one_of(st.datetimes().map(lambda time: time.isoformat() + "Z"), st.text(max_size=5)).map(nodes.String)
)
schemathesis.graphql.scalar("Date", st.one_of(st.dates().map(str), st.text(max_size=5)).map(nodes.String))

# The most rows of a page: of `events`, and of every other field.
MOST_EVENTS = 1_000
MOST_ROWS = 100


class Arguments(graphql.Visitor):
    """Looks whether every `asOf` names one thing, since the generator does not know `@oneOf`, and whether every page has a size that
    is allowed."""

    def __init__(self):
        super().__init__()
        self.names_one = True
        self.fits = True

    def enter_field(self, node, *_):
        most = MOST_EVENTS if node.name.value == "events" else MOST_ROWS
        for argument in node.arguments or ():
            value = argument.value
            if argument.name.value == "first" and isinstance(value, graphql.IntValueNode):
                self.fits &= 1 <= int(value.value) <= most
            if argument.name.value == "asOf" and isinstance(value, graphql.ObjectValueNode):
                named = [field for field in value.fields or () if not isinstance(field.value, graphql.NullValueNode)]
                self.names_one &= len(value.fields or ()) == 1 and len(named) == 1


def arguments_of(case):
    """The arguments of a document; none of one that is wrong on purpose."""
    arguments = Arguments()
    try:
        graphql.visit(graphql.parse(str(case.body)), arguments)
    except graphql.GraphQLSyntaxError:
        return None
    return arguments


@schemathesis.hook
def filter_case(context, case):
    arguments = arguments_of(case)
    return arguments is None or arguments.names_one


# The server has failed. What does not exist yet, or is too much for now, is the fault of neither the server nor the client.
FAILED = {None, "", "INTERNAL"}


@schemathesis.check
def every_answer_is_typed(context, response, case):
    assert response.status_code < 500, f"status {response.status_code}"
    body = response.json()
    if response.status_code >= 400 and "errors" not in body:
        assert response.headers["content-type"] == ["application/problem+json"], response.headers
        assert body["code"] and body["detail"] and body["status"] == response.status_code, body
        return
    for error in body.get("errors", []):
        assert error["message"] and error.get("extensions", {}).get("code") not in FAILED, error


@schemathesis.check
def a_document_of_the_schema_is_refused_by_a_limit_only(context, response, case):
    """A request error names no path. A page of a bad size is named as such, whatever the document costs."""
    errors = [error for error in response.json().get("errors", []) if "path" not in error]
    if case.meta.generation.mode.is_negative or not errors:
        return
    expected = "QUERY_TOO_COMPLEX" if arguments_of(case).fits else "BAD_PAGE"
    assert [error["extensions"]["code"] for error in errors] == [expected] * len(errors), errors
