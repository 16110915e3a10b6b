#!/usr/bin/env bash
# Brings the schema up to date: with the database and changelog of liquibase.properties if that file exists, else with those of the
# appliance's configuration. Arguments are passed on, for example --contexts=prod.
set -euo pipefail

ATTENDANCE_RUN="migrate update" exec "$(dirname "$0")/run.sh" "$@"
