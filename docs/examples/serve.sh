#!/bin/sh
# A router in a few lines of shell: ask, call the track, report. Start a server first (docs/http.md), then
#   POINTSMAN_URL=http://127.0.0.1:8080 POINTSMAN_TOKEN=... sh docs/examples/serve.sh
set -eu
url=${POINTSMAN_URL:-http://127.0.0.1:8080}
now=$(date +%s)
api() { curl --fail-with-body --silent --show-error --header "Authorization: Bearer $POINTSMAN_TOKEN" --header "Content-Type: application/json" "$@"; }

# Which track should serve this request? The text is sketched and dropped.
decision=$(api "$url/v1/recommendations" --data '{"scope": "chat", "request_id": "r1", "query": "Summarise this mail", "max_output_tokens": 200}')
track=$(printf '%s' "$decision" | sed 's/^{"track":"\([^"]*\)".*/\1/')
propensity=$(printf '%s' "$decision" | sed 's/.*"propensity":\([0-9.e-]*\),"timeout_ms".*/\1/')
version=$(printf '%s' "$decision" | sed 's/.*"policy_version":\([0-9]*\).*/\1/')
echo "track: $track"

# It is on its way, and it came back: both in one batch here, one by one in a router.
api "$url/v1/events" --data "[
  {\"type\": \"request.started/1\", \"event_id\": \"r1-s\", \"scope\": \"chat\", \"occurred_at\": $now, \"request_id\": \"r1\", \"track\": \"$track\",
   \"propensity\": $propensity, \"policy_version\": $version, \"query\": \"Summarise this mail\", \"max_output_tokens\": 200},
  {\"type\": \"request.completed/1\", \"event_id\": \"r1-c\", \"scope\": \"chat\", \"occurred_at\": $now, \"request_id\": \"r1\", \"track\": \"$track\",
   \"success\": true, \"latency_ms\": 812, \"output_tokens\": 120, \"cost_usd\": 0.0}
]"
echo

# What is known now, why the request took its track, and what came out of it.
api "$url/v1/status?scope=chat" | head -c 200; echo
api "$url/v1/requests/r1?scope=chat" | head -c 200; echo
api --header "Last-Event-ID: 0" "$url/v1/stream?scope=chat&follow=false" | grep '^id:'
