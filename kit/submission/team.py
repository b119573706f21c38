"""The `team.json` that organisers ask for beside the video folders.

The keys are those of the example on the LSVOS 2025 challenge page ("place in the root submission
folder, at the same level as the video folders"), where false, missing or empty information and
unreachable addresses may make a submission invalid.
"""

import re
from typing import Any

from kit.core.files import parse_json

AGREEMENT = "By submitting the test results, I agree with the challenge terms and policies."
MAX_BYTES = 1 << 20
_PLACEHOLDERS = {"Put_your_team_name_here", "your_email@example.edu"}
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def problems(data: bytes) -> list[str]:
    """What is wrong with a team file, one sentence each; empty when nothing is."""
    if len(data) > MAX_BYTES:
        return [f"{len(data):,} bytes; a team file has at most {MAX_BYTES:,}"]
    try:
        team = parse_json(data)
    except ValueError as error:
        return [f"not JSON: {error}"]
    if not isinstance(team, dict):
        return [f"expected a JSON object, found {type(team).__name__}"]
    found = [] if team.get(AGREEMENT) is True else [f'"{AGREEMENT}" is not true']
    if not _filled(team.get("team_name")):
        found.append(f"team_name is {team.get('team_name')!r:.60}, expected the team's name")
    email = team.get("email")
    if not _filled(email) or not _ADDRESS.fullmatch(str(email)):
        found.append(f"email is {email!r:.60}, expected a reachable address")
    return found + _member_problems(team.get("members"))


def _member_problems(members: Any) -> list[str]:
    if not isinstance(members, list) or not members:
        return ["members is empty, expected a list of {name, affiliation}"]
    return [
        f"members[{index}].{key} is empty"
        for index, member in enumerate(members)
        for key in ("name", "affiliation")
        if not (isinstance(member, dict) and _filled(member.get(key)))
    ]


def _filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value not in _PLACEHOLDERS
