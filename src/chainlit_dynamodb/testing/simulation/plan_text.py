"""Plans as text: so a story that was found can be told again, though other plans are drawn from its seed by now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from chainlit_dynamodb.testing.simulation.plan import Act, Plan, Trouble, Visit


def to_json(plan: Plan) -> str:
    """Return a plan as text."""
    return json.dumps(asdict(plan), indent=1, default=sorted) + "\n"


def from_json(text: str) -> Plan:
    """Return the plan that a text is.

    Raises:
        TypeError: It is not one.
    """
    fields = json.loads(text)
    only = fields["only"]
    return Plan(
        **{
            **fields,
            "visits": tuple(map(_visit, fields["visits"])),
            "troubles": tuple(Trouble(**trouble) for trouble in fields["troubles"]),
            "only": None if only is None else frozenset(only),
        }
    )


def _visit(fields: Mapping[str, Any]) -> Visit:
    return Visit(**{**fields, "acts": tuple(map(_act, fields["acts"]))})


def _act(fields: Mapping[str, Any]) -> Act:
    return Act(**{**fields, "others": tuple(fields["others"])})
