# Sfumato's commands.  Every target sets up what it needs (packaging/setup_dev.sh).
#
#   make run [PROMPT="a red apple"]   open the window; with no screen, run it offscreen
#   make test [PYTEST_ARGS="-x"]      tests on up to four cores; linters, types, contracts beside
#   make bench [ONLY="window stall"]  the performance budget, its peers, and what became worse here
#   make fuzz [SECONDS=600]           odd files for everything that reads files
#   make lint                         linters, types and import contracts only
#   make format                       rewrite the code in the house's format
#   make setup                        only set up
#   make lock                         write the lock file anew from .venv
#   make icon                         draw the icons and the disk image's background
#   make app                          build, examine and sign dist/Sfumato.app (on a Mac)
#   make prove [PLACES="build image"] its self-test in every place where people start it (on a Mac)
#   make dmg                          notarise where there is a key, and make the disk image (on a Mac)
#   make release-facts                checksums, release.json and notes of what is in dist
#   make app-linux                    the same bundle of macOS' packages, as far as Linux can
#   make check-app                    prove on Linux what can be proved of the bundle (half an hour)
#   make clean                        remove what can be made again (.venv stays)
#
# WORKERS=… says how many tests run at once; 0: one after the other, in one process.
# PYTHON=…, TORCH_INDEX_URL=… choose the interpreter and where torch comes from at set-up.

.PHONY: run test bench fuzz lint format setup setup-test lock icon app dmg release-facts prove \
	app-linux check-app clean
.DEFAULT_GOAL := run

PY := .venv/bin/python
PLACES ?=
TAG ?=
PROMPT ?=
RUN_DIR ?= build/run
PYTEST_ARGS ?=
WORKERS ?= auto
ONLY ?=
SECONDS ?= 600

# PROMPT reaches the shell as a variable, so that it may hold quotes.
export PYTHON TORCH_INDEX_URL PROMPT

# "no" only on a Linux session with neither X nor Wayland.
SCREEN := $(shell if [ "$$(uname -s)" != Linux ] || [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; \
	then echo yes; else echo no; fi)

setup:
	@packaging/setup_dev.sh run

setup-test:
	@packaging/setup_dev.sh test

run: setup
ifeq ($(SCREEN),yes)
	$(PY) -m gui
else
	@mkdir -p $(RUN_DIR)
	QT_QPA_PLATFORM=offscreen $(PY) -m gui --offscreen-run --out $(RUN_DIR) $(if $(PROMPT),-- "$$PROMPT")
endif

LINT := $(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m pyright \
	&& .venv/bin/lint-imports

lint: setup-test
	$(LINT)

format: setup-test
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# The type checker keeps one core busy for minutes: the tests run beside it on the others.
test: setup-test
	@mkdir -p build; \
	{ $(LINT); echo $$? >build/lint.code; } >build/lint.log 2>&1 & \
	$(PY) -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal $(PYTEST_ARGS); tests=$$?; \
	wait; test "$$(cat build/lint.code)" = 0 || { cat build/lint.log; exit 1; }; exit $$tests

fuzz: setup-test
	QT_QPA_PLATFORM=offscreen $(PY) -m tests.fuzz --seconds $(SECONDS)

bench: setup-test
	$(PY) -m tests.bench $(ONLY)

lock: setup-test
	$(PY) packaging/write_lock.py

icon: setup-test
	$(PY) packaging/icon.py
	$(PY) packaging/macos/background.py

app: setup
	$(PY) packaging/macos/build.py

# The build's own environment: it has dmgbuild, and what the app has.
BUNDLE_PY := build/bundle-venv/bin/python

dmg:
	$(BUNDLE_PY) packaging/macos/notarise.py --if-possible dist/Sfumato.app
	$(BUNDLE_PY) packaging/macos/image.py dist/Sfumato.app
	$(BUNDLE_PY) packaging/macos/notarise.py --if-possible \
		$(if $(SIGNING_IDENTITY),--sign "$$SIGNING_IDENTITY") dist/Sfumato-*.dmg

release-facts:
	$(BUNDLE_PY) packaging/macos/release.py dist $(if $(TAG),--tag $(TAG))

prove:
	packaging/macos/prove_on_mac.sh dist/Sfumato.app dist/Sfumato-*.dmg dist/proof $(PLACES)

app-linux: setup-test
	$(PY) packaging/macos/app_linux.py

check-app: setup-test
	$(PY) packaging/macos/check_app.py

clean:
	rm -rf build dist .pytest_cache .ruff_cache .import_linter_cache *.egg-info
	find gui packaging tests -name __pycache__ -type d -prune -exec rm -rf {} +
