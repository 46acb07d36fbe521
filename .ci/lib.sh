# Functions of the scripts in this folder, which source this file from the root of the checkout.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Sets the toolchain and the Postgres that set-up chose for this machine. Every script but set-up calls it.
load_env() {
    # The scripts need this target folder, and builds must not ask a database.
    export CARGO_TARGET_DIR=$PWD/target SQLX_OFFLINE=true
    # shellcheck disable=SC1091
    if [[ -f target/setup.env ]]; then . target/setup.env; fi
}

# Building tools from source takes minutes, so they are kept outside of the checkout, for all clones.
# shellcheck disable=SC2034  # used by those who source this
tools=${KEYDESK_TOOLS:-${HOME:-/var/cache}/.cache/keydesk/tools}

# The versions of the programs that look at what Keydesk depends on.
# shellcheck disable=SC2034  # used by those who source this
deny=cargo-deny-0.20.2 machete=cargo-machete-0.9.2

# The version of a crate in Cargo.lock.
locked() { awk -v name="\"$1\"" '$1 == "name" { hit = $3 == name } hit && $1 == "version" { gsub(/"/, "", $3); print $3; exit }' Cargo.lock; }

# The folder of a complete set of Postgres server binaries: PG_BIN_DIR, PATH, Debian's folders (newest first).
# Prints nothing and fails when there is none.
pg_bin() {
    local dir dirs=("${PG_BIN_DIR:-}")
    dirs+=("$(dirname "$(readlink -f "$(command -v initdb || echo /none)")")")
    mapfile -t -O 2 dirs < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV)
    for dir in "${dirs[@]}"; do
        if [[ -x $dir/initdb && -x $dir/postgres && -x $dir/pg_ctl ]]; then
            printf '%s\n' "$dir"
            return
        fi
    done
    return 1
}
