"""The draw for a Router's synchronous calls, as a custom routing strategy: LiteLLM has no filter of deployments there."""

from collections.abc import Callable
from functools import partial
from typing import Any

from litellm.types.router import CustomRoutingStrategyBase

Narrow = Callable[[str, list[dict[str, Any]], Any, dict[str, Any]], list[dict[str, Any]]]
Limit = Callable[[dict[str, Any], dict[str, Any], Any], Any]


class Routing(CustomRoutingStrategyBase):
    """LiteLLM's own choice (health, cooldowns, its strategy) among the deployments that the policy's draw leaves; asynchronous calls go as they went."""

    def __init__(self, router: Any, narrow: Narrow, limit: Limit) -> None:
        """`narrow` leaves some of a group's deployments, `limit` tells the timeout of a call on the chosen one."""
        self._router, self._narrow, self._limit = router, narrow, limit
        self._choose: Any = partial(type(router).get_available_deployment, router)
        self.async_get_available_deployment: Any = partial(type(router).async_get_available_deployment, router)

    def get_available_deployment(
        self,
        model: str,
        messages: Any = None,
        input: Any = None,
        specific_deployment: bool | None = False,
        request_kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """The deployment of one attempt; where all that the draw leaves cool down, LiteLLM's choice among the others."""
        asked: dict[str, Any] = request_kwargs if request_kwargs is not None else {}
        choose = partial(self._choose, model=model, messages=messages, input=input, specific_deployment=specific_deployment, request_kwargs=asked)
        if specific_deployment:
            return choose()
        refused = self._refused(model, messages or input, asked)
        deployment = self._among_others(choose, asked, refused) if refused else choose()
        timeout = self._limit(asked, deployment, self._router.timeout)
        if timeout is not None:
            asked["timeout"] = timeout
        return deployment

    def _refused(self, model: str, messages: Any, asked: dict[str, Any]) -> list[str]:
        """The ids of the deployments that the draw leaves out."""
        deployments: list[Any] = self._router.get_model_list(model_name=model) or []
        left = {_id(deployment) for deployment in self._narrow(model, deployments, messages, asked)}
        return [name for deployment in deployments if (name := _id(deployment)) not in left]

    def _among_others(self, choose: Callable[[], Any], asked: dict[str, Any], refused: list[str]) -> Any:
        before = dict(asked)
        asked["_excluded_deployment_ids"] = [*(asked.get("_excluded_deployment_ids") or []), *refused]
        try:
            return choose()
        except Exception:
            asked.pop("_excluded_deployment_ids", None)
            asked.update(before)
            return choose()


def _id(deployment: dict[str, Any]) -> str:
    return str((deployment.get("model_info") or {}).get("id") or "")


__all__ = ["Routing"]
