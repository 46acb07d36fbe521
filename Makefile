# Everything a person does with this checkout. `make run` on a new machine sets up what is missing, says what it does,
# and serves. The work is in .ci/, one script per step.

SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# Otherwise sqlx's macros would read a user's DATABASE_URL, meant for the server, while compiling.
export SQLX_OFFLINE = true

.PHONY: help run test build bench lighthouse screenshots prove-revocation prove-outage schemathesis lint dev sqlx clean

help:
	@cat <<-'END'
	make run     set up what is missing, build, serve the console and the key plane, print where to go
	make test    set up what is missing, run every test; last line: N passed, N failed
	make build   the release binary: target/release/keydesk
	make bench   figures, side by side
	make lighthouse
	             what Lighthouse makes of sign-in, a list of 1,000 keys and a key's page, on a slow phone
	make screenshots
	             every page as a picture, light and dark, wide and phone, in screenshots/
	make prove-revocation
	             minutes of revokes, faults and a million verifies; 0 keys accepted that were revoked
	make prove-outage
	             what becomes of calls while Postgres is away for 1, 3, 10 and 30 s, with leases of 2, 10 and 45 s
	make schemathesis
	             the management API against its own OpenAPI document: every check, as owner, viewer and nobody
	make lint    formatting, clippy for both halves, crates (unused, licences, advisories), stylesheet, scripts
	make dev     serve, and build again on every change
	make sqlx    regenerate .sqlx/ after a change to a query or a migration
	make clean   remove what was built (not .keydesk/, your data)
	END

# The quick profile: four minutes from nothing instead of eight.
run:
	@.ci/setup run
	.ci/front target/debug
	.ci/with cargo build --locked --bin keydesk
	echo "built and up to date after $$SECONDS s" >&2
	exec .ci/with target/debug/keydesk serve

build:
	@.ci/setup build
	.ci/front target/release
	.ci/with cargo build --locked --release --bin keydesk
	echo 'built: target/release/keydesk, with target/release/site beside it'

test:
	@.ci/setup test
	.ci/front target/debug
	.ci/with .ci/test

bench:
	@if [[ ! -x .ci/bench ]]; then echo 'make bench: not built yet' >&2; exit 2; fi
	.ci/setup test
	.ci/front target/release
	.ci/with cargo build --locked --release --bin keydesk
	.ci/with .ci/bench

lighthouse:
	@.ci/setup test
	.ci/front target/release
	.ci/with cargo build --locked --release --bin keydesk
	.ci/with .ci/lighthouse/run

screenshots:
	@.ci/setup test
	.ci/front target/debug
	.ci/with cargo build --locked --bin keydesk
	.ci/with node end2end/screenshots.mjs screenshots

# The release profile: the million takes far longer in the other one.
prove-revocation:
	@.ci/setup run
	.ci/front target/release
	.ci/with cargo test --locked --release --test integration a_million_calls -- --ignored --nocapture

prove-outage:
	@.ci/setup run
	.ci/front target/debug
	.ci/with cargo test --locked --test integration less_than_a_lease -- --ignored --nocapture

# Of the quick profile: what takes the time is not the server.
schemathesis:
	@.ci/setup run
	.ci/front target/debug
	.ci/with cargo build --locked --bin keydesk
	.ci/with .ci/schemathesis

lint:
	@.ci/setup lint
	.ci/with .ci/lint

dev:
	@.ci/setup run
	exec .ci/with .ci/dev

sqlx:
	@.ci/setup run
	.ci/sqlx

clean:
	@if [[ -d target/sqlx-pg ]]; then .ci/sqlx --stop; fi
	rm -rf target style/node_modules end2end/node_modules end2end/test-results end2end/playwright-report
