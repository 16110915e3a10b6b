"""What schemathesis checks with the credentials of one role, beside its own checks.

The document says which role an operation needs, in its answer 403. A success without that role is a failure, and so is a refusal of a role that is enough.
At the end, each kind of operation must have been reached. The environment names the role (CONFORMANCE_ROLE), the credential (CONFORMANCE_TOKEN) and the
number of its token (CONFORMANCE_TOKEN_ID).
"""

import os
import re
import sys

import schemathesis

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import validity  # noqa: E402, F401  (registers its hook)

ROLE = os.environ["CONFORMANCE_ROLE"]
CREDENTIAL = f"Bearer {os.environ['CONFORMANCE_TOKEN']}"
TOKEN_ID = int(os.environ["CONFORMANCE_TOKEN_ID"])
# The roles of people in their order; `metrics` stands apart.
RANKS = {role: rank for rank, role in enumerate(("employee", "reader", "writer", "manager", "admin"))}


def needed(case):
    """Returns the role that the document says an operation needs; None if it needs none."""
    forbidden = case.operation.definition.raw["responses"].get("403", {})
    found = re.search(r"this needs `(\w+)`", forbidden.get("description", ""))
    return found and found.group(1)


def is_enough(role):
    """Says whether an operation that needs a role may be used."""
    if role is None or role == ROLE:
        return True
    return ROLE in RANKS and role in RANKS and RANKS[ROLE] >= RANKS[role]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Spares the account and the token of this run and of the others, which a case may have found in a list."""
    parameters = case.path_parameters or {}
    if str(parameters.get("username", "")).startswith("tester-"):
        parameters["username"] = "nobody"
    if case.operation.path.endswith("/tokens/{id}") and re.fullmatch(rf"\s*\+?0*{TOKEN_ID}\s*", str(parameters.get("id", ""))):
        parameters["id"] = "0"


@schemathesis.check
class RoleIsEnough:
    """An operation succeeds only for a role that may use it, and is not refused to one that may."""

    def __init__(self):
        self.successes = {True: 0, False: 0}
        self.refusals = {True: 0, False: 0}

    def after_response(self, context, response, case):
        role = needed(case)
        # A case may have another method than its operation; OPTIONS needs no credentials.
        if role is None or response.request.method.upper() != case.operation.method.upper():
            return
        allowed, status = is_enough(role), response.status_code
        if 200 <= status < 300:
            self.successes[allowed] += 1
            assert allowed, f"The role {ROLE} gets {status}, but the document says that this needs {role}."
        assert status != 401 or response.request.headers.get("Authorization") != CREDENTIAL, "The token of this run is not accepted."
        # A parameter may need another role than its operation does.
        refused = re.match(r"This needs the role `(\w+)`", response.json()["message"]) if status == 403 else None
        if refused:
            self.refusals[allowed] += 1
            assert not is_enough(refused.group(1)), f"The role {ROLE} gets {status}, but {refused.group(1)} is enough."

    def after_run(self, context):
        """Fails a run that shows nothing, because no operation that the role may use succeeded or none that it may not use was refused."""
        assert self.successes[True], f"No operation that the role {ROLE} may use has succeeded."
        assert ROLE == "admin" or self.refusals[False], f"No operation that the role {ROLE} may not use was refused."
