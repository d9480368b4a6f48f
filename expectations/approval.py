"""The decision of a person to publish a candidate that warnings hold, with its reason.

It is bound to the bytes that were judged: another build needs another decision. What was approved is carried from
release to release for as long as the same check observes the same.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from expectations.gate import Gate, last_verdict
from hfc.home import GateFailed, Home, UsageError, write_json


@dataclass(frozen=True)
class Decision:
    """Why a held candidate may be published, and who says so.

    Raises:
        UsageError: there is no reason, or no name.
    """

    reason: str
    by: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise UsageError("An approval needs a reason: it is published with the release")
        if not self.by.strip():
            raise UsageError("An approval needs the name of the person who gives it")


@dataclass(frozen=True)
class Approval:
    """A decision on a candidate: when it was taken (UTC), and each warning that it lets pass."""

    release_id: str
    candidate_sha256: str
    by: str
    reason: str
    at: str
    warnings: list[dict[str, str]]

    def entries(self) -> list[dict[str, str]]:
        """The decision on each warning by itself, as a release's manifest keeps it."""
        decision = {"release_id": self.release_id, "by": self.by, "reason": self.reason, "at": self.at}
        return [{**warning, **decision} for warning in self.warnings]


def approval_file(home: Home) -> Path:
    """Where the decision on the candidate is kept."""
    return home.warehouse / "approval.json"


def approve(home: Home, decision: Decision) -> Approval:
    """Record that a person lets the held candidate pass.

    Raises:
        UsageError: there is no verdict, or the candidate passed.
        GateFailed: a check refused the candidate, which can't be approved.
    """
    verdict = last_verdict(home)
    if verdict.passed:
        raise UsageError(f"Candidate {verdict.release_id} passed the gate: there is nothing to approve")
    if verdict.failures or not verdict.held:
        raise GateFailed(f"The gate refused candidate {verdict.release_id}: a refusal can't be approved")
    at = datetime.now(UTC).isoformat(timespec="seconds")
    identity = verdict.release_id, verdict.candidate_sha256
    given = Approval(*identity, decision.by.strip(), decision.reason.strip(), at, held_by(verdict))
    write_json(approval_file(home), asdict(given))
    return given


def held_by(verdict: Gate) -> list[dict[str, str]]:
    """The warnings that hold a candidate, by check and what was observed."""
    return [{"check_id": check.check_id, "observed": check.observed} for check in verdict.warnings]


def approval_of(home: Home, verdict: Gate) -> Approval | None:
    """The decision on exactly these bytes and these warnings, if a person took one."""
    if not approval_file(home).is_file():
        return None
    given = Approval(**json.loads(approval_file(home).read_text(encoding="utf-8")))
    same = (given.release_id, given.candidate_sha256) == (verdict.release_id, verdict.candidate_sha256)
    return given if same and given.warnings == held_by(verdict) else None


def approved_warnings(manifest: dict[str, Any]) -> dict[tuple[str, str], dict[str, str]]:
    """The decisions that a release was published with, by check and what was observed."""
    return {(entry["check_id"], entry["observed"]): entry for entry in manifest.get("approvals", [])}
