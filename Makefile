# `make` alone lists the targets. Everything is set up by the target that needs it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
SAM := .venv-sam/bin/sam
LOCKS := layers/core/requirements requirements/tools requirements/local requirements/dev requirements/sam requirements/audit requirements/docs requirements/awscli requirements/sdk-oldest
# Arguments for the command of a target: make dev ARGS=--help, make test ARGS="-k reserve"
ARGS ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[36m%-10s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.tools: requirements/tools.txt
	@echo "setting up $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.txt
	@touch $@

# The editable installs come last: they need hatchling from the lock, and nothing else.
define install
	@echo "installing $(1)"
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r $(1)
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e layers/core -e sdk/python -e .
	@touch $@
endef

$(VENV)/.local: $(VENV)/.tools requirements/local.txt pyproject.toml layers/core/pyproject.toml sdk/python/pyproject.toml
	$(call install,requirements/local.txt)

$(VENV)/.dev: $(VENV)/.tools requirements/dev.txt pyproject.toml layers/core/pyproject.toml sdk/python/pyproject.toml
	$(call install,requirements/dev.txt)
	@touch $(VENV)/.local

.venv-sam/.done: requirements/sam.txt $(VENV)/.tools
	@echo "installing the SAM CLI into .venv-sam"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-sam
	@$(UV) pip install --quiet --python .venv-sam/bin/python --require-hashes -r requirements/sam.txt
	@touch $@

.venv-audit/.done: requirements/audit.txt $(VENV)/.tools
	@echo "installing checkov into .venv-audit"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-audit
	@$(UV) pip install --quiet --python .venv-audit/bin/python --require-hashes -r requirements/audit.txt
	@touch $@

.venv-aws/.done: requirements/awscli.txt $(VENV)/.tools
	@echo "installing the AWS CLI into .venv-aws"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-aws
	@$(UV) pip install --quiet --python .venv-aws/bin/python --require-hashes -r requirements/awscli.txt
	@touch $@

.venv-docs/.done: requirements/docs.txt $(VENV)/.tools
	@echo "installing Sphinx into .venv-docs"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-docs
	@$(UV) pip install --quiet --python .venv-docs/bin/python --require-hashes -r requirements/docs.txt
	@touch $@

# pyright, which reads types in another way than mypy does, is an npm package.
tests/typing/node_modules/.done: tests/typing/package-lock.json
	@if command -v npm >/dev/null; then \
	  cd tests/typing && npm ci --silent --no-audit --no-fund && touch node_modules/.done; \
	else echo "there is no npm: the test of the types that pyright sees is skipped"; fi

# The React hook of the examples: its test needs React, a bundler and a compiler.
examples/react/node_modules/.done: examples/react/package-lock.json
	@if command -v npm >/dev/null; then \
	  cd examples/react && npm ci --silent --no-audit --no-fund && touch node_modules/.done; \
	else echo "there is no npm: the test of the React hook is skipped"; fi

.PHONY: setup
setup: $(VENV)/.dev .venv-sam/.done .venv-audit/.done .venv-aws/.done .venv-docs/.done tests/typing/node_modules/.done examples/react/node_modules/.done ## Install everything that the other targets need

.PHONY: dev
dev: $(VENV)/.local ## Run the whole product on this machine: no account, no key, no Docker
	@$(BIN)/python -m infra.local $(ARGS)

.PHONY: test
# A file's tests stay together, in one process of as many as there are cores: they share what they started.
test: $(VENV)/.dev .venv-sam/.done .venv-audit/.done .venv-aws/.done tests/typing/node_modules/.done examples/react/node_modules/.done ## Run all tests (ARGS="-k name" for some, "-n 0" for one process)
	@bash infra/setup/install_browser.sh
	@$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile $(ARGS)

.venv-oldest/.done: requirements/sdk-oldest.txt $(VENV)/.tools
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-oldest
	@$(UV) pip install --quiet --python .venv-oldest/bin/python --require-hashes -r requirements/sdk-oldest.txt
	@$(UV) pip install --quiet --python .venv-oldest/bin/python --no-deps --no-build-isolation -e layers/core -e sdk/python -e .
	@touch $@

.PHONY: sdk-oldest
sdk-oldest: .venv-oldest/.done ## Nightly: the SDK's tests with the oldest openai, anthropic and httpx
	@.venv-oldest/bin/python -m pytest tests/sdk --ignore tests/sdk/test_wheel.py $(ARGS)

.PHONY: sdk-pythons
sdk-pythons: $(VENV)/.dev ## Nightly: the SDK's examples on Python 3.9 and 3.13 (root, Debian)
	@$(BIN)/python -m tests.sdk_pythons

.PHONY: lambda-python
lambda-python: $(VENV)/.dev .venv-sam/.done ## Nightly: the built stack on Lambda's own Python 3.13 (root, Debian)
	@$(BIN)/python -m tests.lambda_python $(ARGS)

.PHONY: nightly
nightly: sdk-oldest sdk-pythons lambda-python soak ## All that is too long for every change

.PHONY: mutants
mutants: $(VENV)/.dev ## Plant bugs one by one and show which test catches each
	@$(BIN)/python -m tests.mutants $(ARGS)

.PHONY: bench
bench: $(VENV)/.dev .venv-sam/.done ## Measure the ledger, the SDK, the load and the price, into docs/bench
	@$(BIN)/python -m tests.bench $(ARGS)
	@$(BIN)/python -m tests.bench.sdk $(ARGS)
	@$(BIN)/python -m tests.bench.load $(ARGS)
	@$(BIN)/python -m tests.bench.cost $(ARGS)

.PHONY: soak
soak: $(VENV)/.dev ## Nightly: seeded faults, kills and crowds against the ledger, for half an hour
	@LEDGER_EXAMPLES=1000 $(BIN)/python -m pytest --timeout 0 tests/property/test_ledger_against_model.py
	@$(BIN)/python -m tests.faults --runs 10000 --processes 2
	@$(BIN)/python -m tests.kills --kills 1000
	@$(BIN)/python -m tests.kills.concurrency --seeds 500

.PHONY: check
check: $(VENV)/.dev .venv-sam/.done .venv-audit/.done .venv-docs/.done ## Lint, format, types, import rules, templates
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@.venv-sam/bin/cfn-lint template.yaml infra/monitoring/template.yaml
	@SAM_CLI_TELEMETRY=0 $(SAM) validate --lint
	@LOG_LEVEL=ERROR .venv-audit/bin/checkov --config-file .checkov.yaml
	@$(SITE)

.PHONY: format
format: $(VENV)/.dev ## Format and fix what can be fixed
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

.PHONY: build
build: $(VENV)/.tools .venv-sam/.done ## Build the stack with SAM (layer for Lambda's arm64)
	@BUILD_PYTHON="$(CURDIR)/$(BIN)/python" SAM_CLI_TELEMETRY=0 $(SAM) build $(ARGS)

.PHONY: deploy
deploy: $(VENV)/.local .venv-sam/.done ## Guide from an empty AWS account to a metered call
	@$(BIN)/python -m infra.setup $(ARGS)

.PHONY: smoke
smoke: $(VENV)/.local ## Live through the main job on a deployed stack (ARGS="--stage prod")
	@$(BIN)/python -m infra.setup.smoke $(ARGS)

.PHONY: remove
remove: $(VENV)/.local .venv-sam/.done ## Take a stage out of the account again; the archive stays
	@$(BIN)/python -m infra.setup.remove $(ARGS)

# A link to a page or heading that is not there is an error.
SITE = .venv-docs/bin/sphinx-build -n -W --keep-going -q -b html docs build/docs

.PHONY: docs
docs: .venv-docs/.done ## Build the documentation site into build/docs
	@$(SITE)
	@echo "build/docs/index.html"

.PHONY: pictures
pictures: $(VENV)/.dev ## Take the README's pictures of the running product
	@bash infra/setup/install_browser.sh
	@$(BIN)/python -m tests.pictures

.PHONY: reference
reference: $(VENV)/.dev ## Write the reference pages of docs/ from the code
	@$(BIN)/python -m infra.reference.configuration
	@$(BIN)/python -m infra.reference.openapi
	@$(BIN)/python -m infra.reference.openapi_pages
	@$(BIN)/python -m infra.reference.openapi_webhook

.PHONY: lock
lock: $(VENV)/.tools ## Resolve the .in files again into hashed locks
	@for f in $(LOCKS); do \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate $$f.in -o $$f.txt && echo "locked $$f.txt"; \
	done

.PHONY: clean
clean: ## Remove the environments and everything that was built
	rm -rf $(VENV) .venv-sam .venv-audit .venv-aws .venv-docs .venv-oldest .aws-sam build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
