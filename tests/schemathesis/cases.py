"""Counts the requests of a run and its answers, and sums the requests up in a digest, so that two runs can be compared.

With CASES=FILE each request is appended to FILE, a line each.
"""

import atexit
import hashlib
import os
import sys
from collections import Counter

import schemathesis
from schemathesis.core import NotSet

# What a run cannot repeat: the token and the number of the case.
VOLATILE = {"authorization", "x-schemathesis-testcaseid", "user-agent"}

digest = hashlib.sha256()
answers = Counter()


@schemathesis.hook
def before_call(context, case, kwargs):
    headers = sorted((name.lower(), value) for name, value in (case.headers or {}).items())
    headers = [(name, value) for name, value in headers if name not in VOLATILE]
    body = "no body" if isinstance(case.body, NotSet) else case.body
    line = repr((case.method, case.path, case.path_parameters, case.query, headers, case.media_type, body))
    digest.update(line.encode("utf-8", "surrogatepass"))
    if file := os.environ.get("CASES"):
        with open(file, "a", encoding="utf-8", errors="backslashreplace") as lines:
            lines.write(line + "\n")


@schemathesis.hook
def after_call(context, case, response):
    answers[response.status_code] += 1


@atexit.register
def report():
    counts = ", ".join(f"{count} × {status}" for status, count in sorted(answers.items()))
    print(f"schemathesis: {answers.total()} requests, digest {digest.hexdigest()[:16]} (answers: {counts})", file=sys.stderr)
