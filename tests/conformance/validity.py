"""Cases that break a rule which no schema can say become valid before schemathesis sends them, so that the server has to accept them.

These rules are: a body may repeat the key of the request's target, and must not differ from it; a password is not one that is guessed first; a token ends in
the future. What a schema says about a value is kept: an invalid one stays as it is.
"""

import datetime
import re
import secrets
import urllib.parse

import schemathesis


def is_day(value):
    """Says whether a value is a day, as the schemas require it of `date`."""
    try:
        return bool(datetime.date.fromisoformat(value)) and len(value) == 10
    except (TypeError, ValueError):
        return False


def repeat_key(body, key):
    """Lets a body that has the members of a key repeat the key of the request's target."""
    if isinstance(body.get("id"), str) and "id" in key:
        body["id"] = key["id"]
    if is_day(body.get("date")) and "date" in key:
        body["date"] = key["date"]


def replace_secrets_and_ends(body):
    """Replaces passwords that are guessed first, and moments that have passed, by others of the same form."""
    for name in ("password", "new"):
        if isinstance(body.get(name), str) and 12 <= len(body[name]) <= 256:
            body[name] = secrets.token_urlsafe(256)[: len(body[name])]
    if isinstance(body.get("expires_at"), str):
        body["expires_at"] = re.sub(r"^\d{4}(?=-\d\d-\d\d[Tt])", "2996", body["expires_at"])


@schemathesis.hook
def before_call(context, case, kwargs):
    if not isinstance(case.body, dict):
        return
    replace_secrets_and_ends(case.body)
    if case.method.upper() == "PUT":
        # What is in the path is percent-encoded.
        in_path = {name: urllib.parse.unquote(str(value)) for name, value in (case.path_parameters or {}).items()}
        repeat_key(case.body, {**(case.query or {}), **in_path})
