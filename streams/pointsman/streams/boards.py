"""The board of an embedded optimizer: what its events said, filled up with what only the core itself knows."""

from typing import Any

from pointsman.sinks.board import Board

from .embedded import Optimizer

RECALLED = 30_000
MOST_SCOPES = 64


def newest(optimizer: Optimizer, board: Board) -> tuple[list[str], int]:
    """The 64 scopes that were heard of last, and how many others there are."""
    names = list(dict.fromkeys([*board.scopes(), *reversed(optimizer.scopes())]))
    return names[:MOST_SCOPES], max(len(names) - MOST_SCOPES, 0)


def status(optimizer: Optimizer, board: Board, name: str) -> dict[str, Any]:
    """What the core says of a scope and its `board`; raises `LookupError` where it has had no event."""
    said: dict[str, Any] = optimizer.status(name)[name]
    return said | {"board": _board(board, name, said)}


def _board(board: Board, name: str, said: dict[str, Any]) -> dict[str, Any] | None:
    """The view of a scope that the core knows; None where the board has let it go, or has heard nothing of it."""
    try:
        return filled(board.view(name), said)
    except LookupError:
        return None


def filled(view: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """A view with what no event says: requests in flight and their limit per track, budgets, and how objectives are now."""
    tracks = [track | _of_track(said["tracks"].get(track["track"])) for track in view["tracks"]]
    budgets = [_budget(name, figures) for name, figures in said["budgets"].items()]
    return view | {"tracks": tracks, "budgets": budgets, "objectives": said["objectives"]}


def _of_track(said: dict[str, Any] | None) -> dict[str, Any]:
    return {} if said is None else {name: said[name] for name in ("in_flight", "max_concurrency")}


def _budget(name: str, figures: dict[str, float]) -> dict[str, Any]:
    """A budget by the hour or day: what is spent of it, and the share that will be at this pace. By request: the mean of late, and its share."""
    by_request = name == "usd_per_request"
    spent = figures["mean_usd"] if by_request else figures["spent_share"] * figures["limit_usd"]
    return {"name": name, "limit": figures["limit_usd"], "spent": spent, "pace": figures["projected_share"]}


__all__ = ["MOST_SCOPES", "RECALLED", "filled", "newest", "status"]
