#!/usr/bin/env bash
# Brings the schema up to date: the database and changelog of liquibase.properties where there is one, else those of the
# appliance's configuration. Arguments are passed on, for example --contexts=prod.
set -euo pipefail

ATTENDANCE_RUN="migrate update" exec "$(dirname "$0")/run.sh" "$@"
