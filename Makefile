# make run    set up, make the demo data set, run the workflow on it
# make test   set up, run every test
# make baseline  recognise the expressions of the demo by their flow, subjects left out
# make verify SUBJECT=…  make a subject anew and compare it with its manifest (REFERENCE=…)
# make test-slurm  set up a Slurm on this host, as root, and run the workflow on it, with faults
# make setup  set up alone, into .venv

CORES ?= 2
RESULTS ?= results
CONFIG ?= config/demo.yaml
# The first Python on the PATH that the packages are locked for.
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null \
	&& command -v $$p && break; done)
UV := $(or $(shell command -v uv),.tools/bin/uv)
UV_VERSION := 0.13.9
BIN := .venv/bin

# uv takes the Python that is there and downloads none.
export UV_PYTHON_DOWNLOADS := never
# A virtual environment that happens to be active is not ours.
unexport VIRTUAL_ENV
unexport PYTHONPATH
unexport PYTHONHOME

.PHONY: run test test-slurm setup-slurm baseline test-torch verify setup demo check format benchmark-alignment benchmark-detection benchmark-apex \
	benchmark-flow benchmark-repeats benchmark-scale benchmark-overhead benchmark-throughput benchmark-reports \
	envs docs-reruns clean
.DELETE_ON_ERROR:

run: demo
	@echo "== Workflow on the demo data set"
	$(BIN)/snakemake --cores $(CORES) --configfile config/demo.yaml --quiet host rules
	@$(BIN)/python workflow/scripts/summarise_run.py $(RESULTS)

test: setup
	$(BIN)/python -m pytest --numprocesses $(CORES) --dist loadfile

# The plugin is no part of the default set-up; the packages of Slurm itself come from Debian.
test-slurm: setup-slurm
	.venv-slurm/bin/python -m pytest tests/slurm

# Apart from the others: where the plugin is installed, Snakemake asks for a Slurm at every start.
setup-slurm: setup
	UV_PROJECT_ENVIRONMENT=.venv-slurm $(UV) sync --locked --quiet --group slurm --python $(BIN)/python

verify: setup
	@test -n "$(SUBJECT)" || { echo "Say which subject: make verify SUBJECT=Subject_01"; exit 1; }
	$(BIN)/snakemake --cores $(CORES) --configfile $(CONFIG) --quiet host rules progress \
		--forcerun verify_subject $(if $(REFERENCE),--config 'verify={reference: "$(REFERENCE)"}') \
		-- $(RESULTS)/verify/$(SUBJECT).verified

setup: .venv/.ready

demo: setup
	@echo "== Demo data set"
	$(BIN)/python -m tests.makers.make_demo --output demo

check: demo
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile workflow/rules
	$(BIN)/snakemake --lint --configfile config/demo.yaml

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow/Snakefile workflow/rules
	cd workflow/scripts && find . -name '*.py' -o -path './*/assets/*' -type f | sed 's|^\./||' | LC_ALL=C sort > modules.txt

baseline: demo
	$(BIN)/snakemake --cores $(CORES) --configfile config/demo.yaml --quiet host rules progress \
		--config 'motion={methods: [dis]}'
	$(BIN)/python examples/baseline.py $(RESULTS)

# PyTorch is not among the locked packages: uv adds one, for this test alone.
test-torch: setup
	UV_FIND_LINKS="$$(pip config get global.find-links 2>/dev/null)" \
		$(UV) run --no-sync --with 'torch==2.13.*' \
		python -m pytest tests/test_examples.py -k torch

benchmark-alignment: setup
	$(BIN)/python benchmarks/alignment.py

benchmark-detection: setup
	$(BIN)/python benchmarks/detection.py

benchmark-apex: setup
	$(BIN)/python benchmarks/apex.py

benchmark-flow: setup
	$(BIN)/python benchmarks/flow.py

benchmark-repeats: setup
	$(BIN)/python benchmarks/repeats.py

benchmark-scale: setup
	$(BIN)/python benchmarks/scale.py

benchmark-overhead: setup
	$(BIN)/python benchmarks/overhead.py

benchmark-reports: run
	$(BIN)/python benchmarks/reports.py

benchmark-throughput: setup
	$(BIN)/python benchmarks/throughput.py

envs: setup
	$(BIN)/python envs/make_environment.py

docs-reruns: setup
	$(BIN)/python -m tests.reruns

clean:
	rm -rf .venv .tools .snakemake demo results

.venv/.ready: pyproject.toml uv.lock | $(UV)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed and not on the PATH:" \
		"install it, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@echo "== Set-up into .venv with $(PYTHON)"
	$(UV) sync --locked --quiet --python $(PYTHON)
	@touch $@

.tools/bin/uv:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed and not on the PATH:" \
		"install it, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@echo "== uv into .tools"
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
