# Everything one does with a checkout. `make` alone lists it.
.DEFAULT_GOAL := help
PYTHON_FILES := config.py wsgi.py registry_ui migrations tests deploy
VENV := sh deploy/venv.sh
# Words of a private dialect, each with a plain replacement: no longer, many, forever, now.
DIALECT := whoever|told|deed|any more|for ever|by now|of which
PROSE := registry_ui templates docs README.md CONTRIBUTING.md SECURITY.md
# For every Python from 3.11 on, and without the name of a package host.
PIN := UV_CUSTOM_COMPILE_COMMAND="make requirements" .venv/bin/uv pip compile --quiet --upgrade --universal \
	--python-version 3.11 --generate-hashes
FAST := tests/unit tests/web -k "not postgresql"
PARALLEL := --numprocesses 4 --dist loadfile --no-loadscope-reorder

# Tests and checks start hundreds of Python processes. Without stored bytecode, each compiles all.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run run-gate dev demo screenshots test test-fast coverage test-all release migration \
	bench-token bench-browse bench-search bench-storage bench-abuse check format audit requirements

help: ## Show this list
	@sed -n 's/^\([a-z-]*\): *## /\1 /p' $(MAKEFILE_LIST) | \
		while read -r name text; do printf '%-14s%s\n' "$$name" "$$text"; done

run: ## Start the registry, the pages and the worker; Ctrl-C stops all
	@$(VENV) requirements.txt
	@exec .venv/bin/python -m registry_ui.launch --end-with-parent

run-gate: ## The same with nginx and the gate for protected tags in front of the registry
	@$(VENV) requirements.txt
	@REGISTRY_UI_GATE=yes exec .venv/bin/python -m registry_ui.launch --end-with-parent

dev: ## For developers: as `run`, but the pages reload when a file changes, with a debugger
	@$(VENV) requirements.txt
	@exec .venv/bin/python -m registry_ui.launch --end-with-parent --develop

demo: ## While `make run` runs: fill it with samples through the public doors
	@$(VENV) requirements.txt
	@exec .venv/bin/python -m registry_ui.demo

screenshots: ## After `make demo`: take the pictures of the documents
	@$(VENV) requirements.txt requirements-dev.txt
	@exec .venv/bin/python -m registry_ui.demo.screenshots

test: ## Run every test on SQLite, and on PostgreSQL what covers each statement; T=path: those, on both
	@$(VENV) requirements.txt requirements-dev.txt
	@sh deploy/test-programs.sh
	.venv/bin/python -m pytest $(if $(T),$(T),--lean) $(PARALLEL)

test-fast: ## Run the unit tests, and the web tests on SQLite
	@$(VENV) requirements.txt requirements-dev.txt
	.venv/bin/python -m pytest $(FAST) $(PARALLEL)

coverage: ## Run the tests of `test-fast`, and report which branches they cover; T=path: those
	@$(VENV) requirements.txt requirements-dev.txt
	@mkdir -p -m 700 var var/coverage
	.venv/bin/python -m pytest $(if $(T),$(T),$(FAST)) $(PARALLEL) --cov --cov-report=term --cov-report=html

test-all: ## Run every test on both; before a release
	@$(VENV) requirements.txt requirements-dev.txt
	@sh deploy/test-programs.sh
	.venv/bin/python -m pytest $(PARALLEL)

bench-token: ## Measure the token endpoint beside a view that only signs (needs wrk)
	@$(VENV) requirements.txt requirements-dev.txt
	.venv/bin/python -m tests.benchmarks.token_endpoint

bench-browse: ## Measure the pages beside the registry's own answers
	@$(VENV) requirements.txt requirements-dev.txt
	.venv/bin/python -m tests.benchmarks.browsing

bench-search: ## Measure the search with 100,000 tags in 20,000 images
	@$(VENV) requirements.txt requirements-dev.txt
	.venv/bin/python -m tests.benchmarks.search

bench-storage: ## Measure the pages of storage and activity at 50,000 tags
	@$(VENV) requirements.txt requirements-dev.txt
	.venv/bin/python -m tests.benchmarks.storage_page

bench-abuse: ## Measure what strangers can do: wrong passwords, made-up names, crafted images
	@$(VENV) requirements.txt requirements-dev.txt
	.venv/bin/python -m tests.benchmarks.abuse

release: ## Test, commit, and tag a version; push nothing: make release V=0.1.0; TESTED=yes: without tests
	@$(VENV) requirements.txt requirements-dev.txt
	@.venv/bin/python deploy/release.py "$(V)" "$(TESTED)"

migration: ## Generate a migration from the models: make migration M="add a column for ..."
	@$(VENV) requirements.txt
	@.venv/bin/python -m registry_ui.launch.migration "$(M)"

check: ## Lint, types, import rules, templates
	@$(VENV) requirements.txt requirements-dev.txt
	.venv/bin/ruff check $(PYTHON_FILES)
	.venv/bin/ruff format --check $(PYTHON_FILES)
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python deploy/code_limits.py
	.venv/bin/codespell $(PROSE)
	@! grep --recursive --line-number --ignore-case --word-regexp --extended-regexp \
		--include='*.py' --include='*.html' --include='*.md' '$(DIALECT)' $(PROSE)
	.venv/bin/djlint --check --lint --quiet templates

format: ## Write the format that `check` wants
	@$(VENV) requirements.txt requirements-dev.txt
	.venv/bin/ruff check --fix $(PYTHON_FILES)
	.venv/bin/ruff format $(PYTHON_FILES)
	.venv/bin/djlint --reformat --quiet templates

audit: ## Ask the public advisories about what is pinned; fail if one package is unknown there
	@$(VENV) requirements.txt requirements-dev.txt
	.venv/bin/pip-audit --strict --require-hashes --requirement requirements.txt

requirements: ## Pin the requirements of pyproject.toml anew, with hashes
	@$(VENV) requirements.txt requirements-dev.txt
	$(PIN) pyproject.toml --output-file requirements.txt
	$(PIN) --group dev --constraints requirements.txt --output-file requirements-dev.txt
