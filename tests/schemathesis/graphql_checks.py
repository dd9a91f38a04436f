"""What Schemathesis cannot know of our GraphQL: our scalars, our choices, and that every error has a code that says whose fault it is."""

import graphql
import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes

# With odd ones in between, as for every other argument.
schemathesis.graphql.scalar("Long", st.integers(-(2**63), 2**63 - 1).map(nodes.Int))
schemathesis.graphql.scalar("UUID", st.one_of(st.uuids().map(str), st.text(max_size=5)).map(nodes.String))
schemathesis.graphql.scalar(
    "DateTime", st.one_of(st.datetimes().map(lambda time: time.isoformat() + "Z"), st.text(max_size=5)).map(nodes.String)
)
schemathesis.graphql.scalar("NaiveDate", st.one_of(st.dates().map(str), st.text(max_size=5)).map(nodes.String))


class Choices(graphql.Visitor):
    """Looks whether every `asOf` says one thing. It is a `@oneOf` input, which the generator does not know."""

    is_one = True

    def enter_argument(self, node, *_):
        if node.name.value == "asOf" and isinstance(node.value, graphql.ObjectValueNode):
            said = [field for field in node.value.fields if not isinstance(field.value, graphql.NullValueNode)]
            self.is_one &= len(node.value.fields) == 1 and len(said) == 1


@schemathesis.hook
def filter_case(ctx, case):
    choices = Choices()
    try:
        graphql.visit(graphql.parse(str(case.body)), choices)
    except graphql.GraphQLSyntaxError:
        # Wrong on purpose.
        return True
    return choices.is_one


# The server has failed. What is not there yet or too much for now is neither its fault nor the caller's.
OURS = {None, "", "INTERNAL"}


@schemathesis.check
def every_answer_is_typed(ctx, response, case):
    assert response.status_code < 500, f"status {response.status_code}"
    body = response.json()
    if response.status_code >= 400 and "errors" not in body:
        assert response.headers["content-type"] == ["application/problem+json"], response.headers
        assert body["code"] and body["detail"] and body["status"] == response.status_code, body
        return
    for error in body.get("errors", []):
        assert error["message"] and error.get("extensions", {}).get("code") not in OURS, error
