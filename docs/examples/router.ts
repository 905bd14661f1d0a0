// A router in TypeScript without a library: decide, call, report, and follow what Pointsman says. Node 22.18 or newer runs it as it is:
//   POINTSMAN_URL=http://127.0.0.1:8080 POINTSMAN_TOKEN=... node docs/examples/router.ts
const url = process.env.POINTSMAN_URL ?? "http://127.0.0.1:8080";
const headers = { authorization: `Bearer ${process.env.POINTSMAN_TOKEN}`, "content-type": "application/json" };

type Decision = { track: string; propensity: number; timeout_ms: number; policy_version: number; recommendation_id: string; reasons: string[] };

async function post<Answer>(path: string, body: unknown): Promise<Answer> {
  const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Answer;
}

async function route(scope: string, id: string, query: string, call: (track: string, signal: AbortSignal) => Promise<number>): Promise<string> {
  const decision = await post<Decision>("/v1/recommendations", { scope, request_id: id, query });
  const { track, propensity, policy_version, recommendation_id } = decision;
  const about = { scope, request_id: id, track, source: "router.ts" };
  const start = { ...about, type: "request.started/1", event_id: `${id}/started`, occurred_at: Date.now() / 1000, query, policy_version, recommendation_id };
  const began = performance.now();
  let outcome: object;
  try {
    outcome = { success: true, output_tokens: await call(track, AbortSignal.timeout(decision.timeout_ms)) };
  } catch (error) {
    outcome = { success: false, error_type: String(error).slice(0, 200), failure_class: (error as Error).name === "TimeoutError" ? "timeout" : "provider" };
  }
  const end = { ...about, ...outcome, type: "request.completed/1", event_id: `${id}/completed`, occurred_at: Date.now() / 1000, latency_ms: performance.now() - began };
  await post("/v1/events", [propensity > 0 ? { ...start, propensity } : start, end]); // off the request's path in a real router
  return track;
}

async function* outputs(scope: string, after: string): AsyncGenerator<{ event_id: string; type: string }> {
  const answer = await fetch(`${url}/v1/stream?scope=${scope}&follow=false`, { headers: { ...headers, "last-event-id": after } });
  let text = "";
  for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
    const events = (text + piece).split("\n\n");
    text = events.pop()!;
    for (const event of events) {
      const data = event.split("\n").find((line) => line.startsWith("data: "));
      if (data && !event.startsWith("event: ")) yield JSON.parse(data.slice(6));
    }
  }
}

for (let number = 0; number < 10; number++) {
  console.log("routed to", await route("chat", `ts-${number}`, "Summarise this mail", async () => 120));
}
const kinds = new Map<string, number>();
for await (const output of outputs("chat", "0")) kinds.set(output.type, (kinds.get(output.type) ?? 0) + 1);
console.log("outputs", Object.fromEntries(kinds));
