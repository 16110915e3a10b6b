# Entry points only: the scripts and cargo do the work. `make help` lists them.
CARGO ?= cargo
PG    := target/postgres/postgres.tar.x86.zst

.DEFAULT_GOAL := run
.PHONY: help run build test lint doc deny unused lean fuzz deb apt-repo lint-deb test-deb test-deb-roots test-monitoring bench bench-start bench-migrate instructions conformance hostile chaos lighthouse interop run-migrations postgres clean

help:                           ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build                      ## build the appliance and start it with nothing configured (data in .data)
	scripts/run.sh

build: postgres                 ## build the release binary with everything embedded
	$(CARGO) build --release --locked

# Tests wait more than they compute, so two run for each processor.
test: export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))
test: postgres                  ## check the format and the lints, and run every test
	scripts/install-deps.sh test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --workspace --locked --no-fail-fast

lint:                           ## check the format and the lints only
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

doc:                            ## build the documentation of the workspace; a warning is an error
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

deny:                           ## check dependencies: licences, sources, banned crates, published advisories
	scripts/deny.sh

unused:                         ## find dependencies that are declared but not used
	scripts/install-deps.sh checks
	$(CARGO) machete

lean:                           ## check the build without default features (no download of PostgreSQL)
	$(CARGO) clippy --workspace --no-default-features --locked -- -D warnings

fuzz:                           ## build the fuzz targets and run each for FUZZ_SECONDS (20)
	scripts/install-deps.sh checks
	scripts/fuzz.sh $(FUZZ_SECONDS)

deb: build                      ## build the package, target/deb/attendance-api_VERSION_amd64.deb
	scripts/install-deps.sh deb
	packaging/deb/build.sh

apt-repo: deb                   ## build a signed apt repository of the package, target/apt (key: APT_KEY_FILE or APT_KEY_ID)
	packaging/deb/apt-repo.sh

lint-deb: deb                   ## run lintian on the package and shellcheck on every script
	lintian --fail-on error,warning target/deb/attendance-api_*_amd64.deb
	shellcheck -x --severity=warning .ci/run scripts/*.sh packaging/*/*.sh packaging/deb/preinst packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm packaging/deb/config

test-deb: build                 ## test the life cycle of the package in a booted Debian 12, or 13 with SUITE=trixie (root; STEP=WORD selects steps)
	scripts/install-deps.sh deb
	SUITE=$(SUITE) python3 -B tests/deb/run.py $(STEP)

test-deb-roots:                 ## make the root directories of the machines of test-deb only, if this computer can boot machines (root)
	scripts/install-deps.sh deb
	SUITE=$(SUITE) python3 -B tests/deb/run.py --roots || [ $$? -eq 77 ]

test-monitoring: build          ## test rules, dashboard, Postman and load balancers on running appliances (STEP=WORD selects steps)
	scripts/test-monitoring.sh $(STEP)

bench: build                    ## measure every performance claim beside its baseline (BENCH passes arguments)
	scripts/bench.sh $(BENCH)

bench-start: postgres           ## measure the time to the first answer, idle memory and binary size
	$(CARGO) bench --locked --bench start

instructions: build             ## count the instructions of a request, beside another binary (AGAINST=PATH)
	scripts/instructions.sh $(if $(AGAINST),--against $(AGAINST))

bench-migrate: build            ## time migrations, beside the real Liquibase where `make interop` has installed it
	scripts/bench-migrate.sh

conformance: build              ## check the API against its document, also as each role, and the document, with the public tools (EXAMPLES=3400: the full form)
	scripts/install-deps.sh conformance
	scripts/conformance.sh $(EXAMPLES)
	$(CARGO) test --workspace --locked --test integration protocol::

lighthouse: build               ## rate the two pages with Lighthouse, as a telephone on a slow network
	scripts/install-deps.sh lighthouse
	scripts/lighthouse.sh $(RUNS)

hostile: build                  ## attack the appliance, and measure what a good client notices (HOSTILE=--short: a minute; HOSTILE="--attacks silent")
	scripts/hostile.sh $(HOSTILE)

chaos: postgres                 ## disrupt everything while clients write and read, and check every answer (CHAOS="--rounds 500 --seed 7")
	scripts/install-deps.sh test
	$(CARGO) bench --profile dev --locked --bench chaos -- run $(CHAOS)

interop: build                  ## run ours and the real Liquibase in turn on one database, or CHANGELOGS=DIR (slow; not in CI)
	scripts/install-deps.sh interop
	CHANGELOGS='$(CHANGELOGS)' scripts/interop.sh

run-migrations: build           ## bring the schema up to date: liquibase.properties, else the configuration
	scripts/run-migrations.sh

postgres: $(PG)                 ## fetch, check and trim the PostgreSQL distribution that is embedded

$(PG): packaging/postgres/pin.env packaging/postgres/fetch.sh
	scripts/install-deps.sh build
	packaging/postgres/fetch.sh
	touch $@

clean:                          ## remove everything that was built
	$(CARGO) clean
