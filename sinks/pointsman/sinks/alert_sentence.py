"""What an alert says, as a sentence for people."""

from pointsman.schemas import AlertRaised, AlertResolved

_SAID = {
    "anomaly": "{name} in scope {scope} is {observed}; usual is {expected}",
    "constraint": "{name} in scope {scope} is {observed}, beyond its bound of {expected}",
    "slo_burn": "{name} in scope {scope} burns its error budget at {observed} times the rate; allowed is {expected}",
    "drift": "{name} in scope {scope} is {observed}; expected is {expected}",
    "forecast": "{name} in scope {scope} is expected to be {observed}, beyond its limit of {expected}",
    "budget": "{name} in scope {scope} is at {observed} of the budget; the warning is for {expected}",
}


def alert_sentence(alert: AlertRaised | AlertResolved) -> str:
    """One sentence with the numbers."""
    numbers = {"observed": f"{alert.observed:.6g}", "expected": f"{alert.expected:.6g}"}
    return _SAID[alert.kind].format(name=alert.fingerprint, scope=alert.scope, **numbers) + "."


__all__ = ["alert_sentence"]
