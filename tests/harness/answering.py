"""The conversation between a test and the process that an Anki client runs in."""

import json
import os
import sys


def answer_requests(client):
    """Does what each line of the input asks for, until it ends."""
    # What the client prints must not end up between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"value": getattr(client, request["do"])(**request["with"])}
        except Exception as error:
            answer = failure(error)
        print(json.dumps(answer), file=answers, flush=True)
    client.close()


def failure(error):
    kind = getattr(error, "kind", None)
    return {
        "error": type(error).__name__,
        "kind": getattr(kind, "name", None),
        "message": str(error),
    }
