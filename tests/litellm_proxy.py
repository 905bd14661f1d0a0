"""LiteLLM's own proxy application, from a configuration file, asked in process: run by a test in a process of its own, since it is full of globals.

`python litellm_proxy.py CONFIG.yaml`: ordinary calls, a stream, a call that fails over; prints the ids that the proxy answered.
"""

import asyncio
import json
import sys
from importlib import import_module
from typing import Any

import httpx

MESSAGES = [{"role": "user", "content": "Summarise this mail: the launch code is 4711"}]


async def ask(client: httpx.AsyncClient, model: str, **fields: Any) -> tuple[str, str]:
    """The call's id and its deployment."""
    answer = await client.post("/v1/chat/completions", json={"model": model, "messages": MESSAGES} | fields)
    answer.raise_for_status()
    return answer.headers["x-litellm-call-id"], answer.headers["x-litellm-model-id"]


async def main(config: str) -> None:
    """Ask, and let the callback hand over its reports."""
    proxy: Any = import_module("litellm.proxy.proxy_server")
    handler: Any = import_module("pointsman.streams.litellm").handler
    await proxy.initialize(config=config)
    handler.start()
    while handler.mode == "apply" and handler.policy_version() is None:
        await asyncio.sleep(0.01)
    headers = {"authorization": "Bearer sk-test"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(proxy.app), base_url="http://proxy", headers=headers) as client:
        found = [await ask(client, "chat", metadata={"tags": ["category:mail"]}) for _ in range(10)]
        await ask(client, "chat", stream=True)
        failed_over = await ask(client, "broken")
    while handler.in_flight:
        await asyncio.sleep(0.01)
    handler.close(20.0)
    counts = [handler.sent, handler.dropped, handler.rejected, handler.errors]
    print(json.dumps({"found": found, "failed_over": failed_over, "counts": counts}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
