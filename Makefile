# Thin on purpose: the scripts and cargo do the work.
CARGO ?= cargo
PG    := target/postgres/postgres.tar.zst

.PHONY: run build test lint deb apt-repo lint-deb test-deb test-monitoring bench bench-start bench-migrate interop run-migrations postgres deny clean

run: build                      ## build and start the appliance with nothing configured
	scripts/run.sh

build: postgres                 ## the release binary with everything embedded
	$(CARGO) build --release --locked

test: postgres                  ## format, lints and every test
	scripts/install-deps.sh test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --workspace --locked

deb: build                      ## the package, target/deb/attendance-api_VERSION_amd64.deb
	scripts/install-deps.sh deb
	packaging/deb/build.sh

apt-repo: deb                   ## a signed apt repository of the package, target/apt (APT_KEY_FILE or APT_KEY_ID names the key)
	packaging/deb/apt-repo.sh

lint-deb: deb                   ## lintian on the package, shellcheck on every script
	lintian --fail-on error,warning target/deb/attendance-api_*_amd64.deb
	shellcheck -x --severity=warning .ci/run scripts/*.sh packaging/*/*.sh packaging/deb/preinst packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm packaging/deb/config

test-deb: build                 ## the life of the package in a booted Debian 12 (root; systemd-nspawn)
	scripts/install-deps.sh deb
	python3 -B tests/deb/run.py $(STEP)

test-monitoring: build          ## the monitoring pack against running appliances: rules, dashboard, Postman, load balancers
	scripts/test-monitoring.sh $(STEP)

lint:                           ## format and lints alone
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

deny:                           ## licences, sources and duplicate crates (cargo install cargo-deny)
	$(CARGO) deny check bans licenses sources

bench: build                    ## every performance claim beside its baseline (some minutes; arguments in BENCH)
	scripts/bench.sh $(BENCH)

bench-start: postgres           ## time to the first answer, idle memory, binary size
	$(CARGO) bench --locked --bench start

bench-migrate: build             ## time migrations, beside the real Liquibase where make interop has installed it
	scripts/bench-migrate.sh

interop: build                  ## ours and the real Liquibase in turn on one database (npm, Java 17; takes long; not in CI)
	scripts/interop.sh

run-migrations: build           ## bring the schema up to date: liquibase.properties, else the configuration
	scripts/run-migrations.sh

postgres: $(PG)                 ## fetch, check and trim the PostgreSQL distribution that is embedded

$(PG): packaging/postgres/pin.env packaging/postgres/fetch.sh
	scripts/install-deps.sh build
	packaging/postgres/fetch.sh
	touch $@

clean:
	$(CARGO) clean
