#!/usr/bin/env bash
# Brings the schema up to date: the database and changelog of liquibase.properties where there is one, else those of the
# appliance's configuration. Arguments are passed on, for example --contexts=prod.
set -euo pipefail
cd "$(dirname "$0")/.."

exec target/release/attendance-api migrate "$@" update
