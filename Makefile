# demo test soak bench lint docs check-macos: each makes .venv itself where it is missing.
# make PYTHON=/path/to/python3.12 chooses the interpreter; without it tools/find_python.sh does.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
# What is imported is compiled then: to compile all of every package would take longer than the rest of its installation.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile
BUILD = PATH="$(abspath $(BIN)):$$PATH" $(INSTALL) --no-build-isolation
# What an installation depends on: a change here installs again.
SOURCES := pyproject.toml CMakeLists.txt $(shell find csrc -type f)

.PHONY: demo test soak bench lint docs check-macos new-op clean

$(BIN)/python:
	@python=$$(sh tools/find_python.sh '$(PYTHON)') && echo "$(VENV): $$("$$python" --version)" && "$$python" -m venv $(VENV)
	$(INSTALL) --upgrade 'pip>=25'

# The build tools come from pyproject.toml's own list, so that a rebuild needs no isolated environment; the build backend
# then says whether this machine lacks CMake.
$(VENV)/.build-tools: pyproject.toml tools/requirements.py | $(BIN)/python
	$(BIN)/python tools/requirements.py build > $(VENV)/build-tools.txt
	$(INSTALL) -r $(VENV)/build-tools.txt
	$(BIN)/python tools/requirements.py cmake > $(VENV)/cmake.txt
	$(INSTALL) -r $(VENV)/cmake.txt
	touch $@

$(VENV)/.installed: $(SOURCES) $(VENV)/.build-tools
	$(BUILD) --editable '.[demo]'
	touch $@

# What the demo needs: all but the emulator's runtime, a fifth of the build. Once the whole is there, the demo takes that.
$(VENV)/.demo-installed: $(SOURCES) $(VENV)/.build-tools
	$(BUILD) --config-settings=cmake.define.VOXTRAL_KERNELS_DEMO=ON --editable '.[demo]'
	touch $@

# An extra without the package: .installed has that.
$(VENV)/.%-tools: pyproject.toml tools/requirements.py | $(VENV)/.installed
	$(BIN)/python tools/requirements.py $* > $(VENV)/$*-tools.txt
	$(INSTALL) -r $(VENV)/$*-tools.txt
	touch $@

demo: $(if $(wildcard $(VENV)/.installed),$(VENV)/.installed,$(VENV)/.demo-installed)
	$(BIN)/python examples/demo.py

# Other packages' models, which the drop-in accelerates: apart from the environment and without their dependencies.
build/hosts/.installed: tests/patch/requirements.txt | $(BIN)/python
	rm -rf build/hosts
	$(INSTALL) --no-deps --target build/hosts -r $<
	touch $@

test: $(VENV)/.test-tools build/hosts/.installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not soak"

# What times something gets the machine for itself, after the rest.
soak: $(VENV)/.test-tools build/hosts/.installed
	status=0; \
	$(BIN)/python -m pytest -n auto --dist worksteal -m "soak and not timed" || status=1; \
	$(BIN)/python -m pytest -m "soak and timed" || status=1; \
	exit $$status

bench: $(VENV)/.test-tools build/hosts/.installed
	mkdir -p build
	$(BIN)/python -m bench --json build/bench.json --html build/bench.html

lint: $(VENV)/.test-tools $(VENV)/.lint-tools docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache
	git ls-files '*.cpp' '*.h' '*.metal' | xargs -r $(BIN)/clang-format --dry-run -Werror
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format --default-filetype yaml CITATION.cff
	$(BIN)/zizmor --offline --quiet .github action.yml

# The site, into build/site: a link or an anchor that leads nowhere is an error.
docs: $(VENV)/.installed $(VENV)/.docs-tools
	$(BIN)/mkdocs build --strict

check-macos: $(VENV)/.test-tools
	$(BIN)/python csrc/check_macos.py

# make new-op NAME=scale_shift: the skeleton of CONTRIBUTING's steps 1 to 3.
new-op: $(BIN)/python
	$(BIN)/python -m tools.new_op '$(NAME)'

clean:
	rm -rf $(VENV) build
