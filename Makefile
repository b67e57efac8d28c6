# Commands for contributors. `make demo` and `make test` need no other command first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
TOOLS := build/tools
TOOLS_STAMP := $(TOOLS)/.ready
RUST := $(shell find rust/kernels rust/python -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock

.PHONY: demo benchmark benchmark-slides rust-benchmark fuzz test test-all lint format types docs rust-test python-test wheel check-wheel clean

## Segment real and synthetic pictures with the embedded model; results go to demo/
demo: $(STAMP)
	$(BIN)/python examples/demo.py demo

## All tests that CI runs, Rust and Python: minutes on two cores. Skipped tests are listed at the end with their reasons
test: rust-test python-test

## Heavy tests too, and new examples for tests that draw them. Huge images map some 20 GB of memory. Tests of a
## database need a PostgreSQL server to start.
## Tests of real data sets look for them in the folder NUCLEUS_DATA
test-all: rust-test $(STAMP)
	NUCLEUS_HUGE=1 $(BIN)/python -m pytest --quiet --numprocesses 2 --hypothesis-profile new-examples

rust-test:
	cargo test --release --quiet --package nucleus-kernels

python-test: $(STAMP)
	$(BIN)/python -m pytest --quiet --numprocesses 2 -m "not heavy"

## Formatting, lints and layers, as CI checks them
lint: $(STAMP)
	cargo fmt --check
	cargo clippy --quiet --release --all-targets -- -D warnings
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports --no-cache
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.citation-file-format CITATION.cff

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest nucleus_unet._core

## The documentation, in build/site: any broken link, anchor or reference ends it with an error
docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

## Correct formatting and what linters can correct
format: $(STAMP)
	cargo fmt
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --fix --quiet .

## Time the kernels against their peers (an hour; BENCHMARK=--quick for some minutes)
BENCHMARK ?= --json kernels.json --markdown kernels.md
benchmark: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group benchmark
	$(BIN)/python benchmarks/kernels.py $(BENCHMARK)

## Measure slides against MONAI on the same pixels (some minutes); benchmarks/slide_kills.py kills them in every phase,
## benchmarks/slide_exact.py cuts them five ways
SLIDES ?= --json slides.json
benchmark-slides: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group benchmark
	$(BIN)/python benchmarks/slides.py $(SLIDES)

## Time the kernels alone, against their own last run
rust-benchmark:
	cargo bench --package nucleus-kernels

## Feed each decoder and the outlines what nobody would think of, FUZZ_SECONDS each (cargo install cargo-fuzz)
FUZZ := kaggle_strings coco_strings mask_pngs outlines outline_bytes
FUZZ_SECONDS ?= 180
fuzz:
	for target in $(FUZZ); do \
		mkdir -p rust/fuzz/corpus/$$target; \
		cargo fuzz run --fuzz-dir rust/fuzz --sanitizer none $$target rust/fuzz/corpus/$$target rust/fuzz/seeds/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

## The sdist, and of it the wheel, in dist/. Every Python from 3.11 on takes this wheel, and on Linux every glibc from 2.17 on:
## the oldest that Rust itself runs on, which zig links against wherever this runs
SYSTEM := $(shell uname -s)
PORTABLE := $(if $(filter Linux,$(SYSTEM)),--zig --compatibility manylinux2014)
wheel: $(TOOLS_STAMP)
	rm -rf dist build/sdist
	mkdir -p build/sdist
	$(TOOLS)/bin/maturin sdist --out dist
	tar -xzmf dist/*.tar.gz --strip-components 1 -C build/sdist   # with the dates of now, which cargo goes by
	cd build/sdist && PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" maturin build --quiet --release $(PORTABLE) \
		--target-dir "$(CURDIR)/target" --out "$(CURDIR)/dist"
	ls -l dist

## Check both, install the wheel where there is no Rust, and follow the README with it
check-wheel: wheel
	$(TOOLS)/bin/python .ci/check_wheel.py dist

# What builds and checks wheels, without all that development needs.
$(TOOLS_STAMP): pyproject.toml constraints.txt
	test -d $(TOOLS) || $(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --upgrade pip
	$(TOOLS)/bin/python -m pip install --quiet --constraint constraints.txt --group wheel
	touch $@

# The environment, with the extension built in release mode; made anew when Rust code or dependencies change.
$(STAMP): pyproject.toml constraints.txt $(RUST)
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train]'
	touch $@

clean:
	rm -rf $(VENV) target demo build dist
