# demo test soak bench lint check-macos: each makes .venv itself where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What an installation depends on: a change here installs again.
SOURCES := pyproject.toml CMakeLists.txt $(shell find csrc -type f)

.PHONY: demo test soak bench lint check-macos new-op clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25'

# The build tools come from pyproject.toml's own list, so that a rebuild needs no isolated environment.
$(VENV)/.build-tools: pyproject.toml | $(BIN)/python
	$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml','rb'))['build-system']['requires'], 'ninja', sep='\n')" > $(VENV)/build-tools.txt
	$(BIN)/python -m pip install --quiet -r $(VENV)/build-tools.txt
	touch $@

$(VENV)/.installed: $(SOURCES) $(VENV)/.build-tools
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[test,demo]'
	touch $@

$(VENV)/.lint-tools: pyproject.toml | $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[lint]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python examples/demo.py

# Other packages' models, which the drop-in accelerates: apart from the environment and without their dependencies.
build/hosts/.installed: tests/patch/requirements.txt | $(BIN)/python
	rm -rf build/hosts
	$(BIN)/python -m pip install --quiet --no-deps --target build/hosts -r $<
	touch $@

test: $(VENV)/.installed build/hosts/.installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not soak"

# What times something gets the machine for itself, after the rest.
soak: $(VENV)/.installed build/hosts/.installed
	status=0; \
	$(BIN)/python -m pytest -n auto --dist worksteal -m "soak and not timed" || status=1; \
	$(BIN)/python -m pytest -m "soak and timed" || status=1; \
	exit $$status

bench: $(VENV)/.installed build/hosts/.installed
	mkdir -p build
	$(BIN)/python -m bench --json build/bench.json --html build/bench.html

lint: $(VENV)/.lint-tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache
	git ls-files '*.cpp' '*.h' '*.metal' | xargs -r $(BIN)/clang-format --dry-run -Werror
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/zizmor --offline --quiet .github/workflows action.yml

check-macos: $(VENV)/.installed
	$(BIN)/python csrc/check_macos.py

# make new-op NAME=scale_shift: the skeleton of CONTRIBUTING's steps 1 to 3.
new-op: $(BIN)/python
	$(BIN)/python -m tools.new_op '$(NAME)'

clean:
	rm -rf $(VENV) build
