.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

help: ## List what can be made
	@grep -hE '^[a-z.]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.done: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

demo: $(VENV)/.done ## Play real recorded streams embedded; show what was learned and what it saves
	$(BIN)/pointsman demo

page: $(VENV)/.done ## Serve a live page and play recorded traffic into it, until Ctrl-C
	$(BIN)/pointsman serve --demo

test: $(VENV)/.done ## Run all tests
	$(BIN)/pytest --numprocesses auto --dist loadfile

lint: $(VENV)/.done ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.done ## Check types
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.done ## Build the site of docs/ into build/docs, strictly
	$(BIN)/sphinx-build -q -W --keep-going -n -b html docs build/docs

bench: $(VENV)/.done ## Measure, and write build/bench.json
	$(BIN)/pointsman bench --output build/bench.json
	$(BIN)/python ops/bench/worker.py --output build/bench.json

bench-routing: $(VENV)/.done ## Measure routing, failover, the closed loop and the estimators on recorded answers
	PYTHONPATH=tests $(BIN)/python -m benchmarks.routing --json build/bench-routing.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.failover --json build/bench-failover.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.closed_loop --json build/bench-closed-loop.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.evaluation

bench-predict: $(VENV)/.done ## Measure predictions, their intervals, forecasts and scaling beside their baselines
	PYTHONPATH=tests $(BIN)/python -m benchmarks.latency --json build/bench-latency.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.keyed --json build/bench-keyed.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.forecasts --json build/bench-forecasts.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.scaling --json build/bench-scaling.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.concurrency --json build/bench-concurrency.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.workload --json build/bench-workload.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.learners --json build/bench-learners.json
	$(BIN)/python ops/bench/worker.py --only throughput --learners light
	$(BIN)/python ops/bench/worker.py --only throughput --learners full

bench-signals: $(VENV)/.done ## Measure anomaly scores, causes, injected faults and their grouping beside baselines
	PYTHONPATH=tests $(BIN)/python -m benchmarks.anomalies --json build/bench-anomalies.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.watching --json build/bench-watching.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.causes --json build/bench-causes.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.faults --json build/bench-faults.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.clusters --json build/bench-clusters.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.quiet --json build/bench-quiet.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.bottlenecks --json build/bench-bottlenecks.json

kafka: $(VENV)/.done ## Run a real single-node Kafka without Docker, until Ctrl-C
	$(BIN)/python ops/kafka/broker.py --port 9092

.PHONY: help demo page test lint types docs bench bench-routing bench-predict bench-signals kafka
