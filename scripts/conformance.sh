#!/usr/bin/env bash
# Checks the API against its own description, and the description against three validators: without access control, and with it for each role.
#   scripts/conformance.sh [EXAMPLES]
# EXAMPLES is the maximum for each operation and phase of schemathesis, by default 25, the fast form; the full form (make conformance EXAMPLES=3400) makes
# more than 10,000 cases. ROLE_EXAMPLES is that of the six runs with access control, by default a fifth. ROLES names the roles, by default all six. The
# program is BINARY (target/release/attendance-api), with nothing else configured. The tools are installed into target/conformance, in fixed
# versions. Exit status 1 if there is a finding.
set -euo pipefail
cd "$(dirname "$0")/.."

examples=${1:-25}
role_examples=${ROLE_EXAMPLES:-$(((examples + 4) / 5))}
# The one that can remove accounts comes last.
roles=${ROLES:-metrics employee reader writer manager admin}
binary=${BINARY:-target/release/attendance-api}
work=target/conformance
rules=tests/conformance
mkdir -p $work

if [ ! -x $work/venv/bin/schemathesis ] || ! cmp -s $rules/requirements.txt $work/requirements.txt; then
  python3 -m venv $work/venv
  $work/venv/bin/pip install --quiet --requirement $rules/requirements.txt
  cp $rules/requirements.txt $work/requirements.txt
fi
if ! cmp -s $rules/package.json $work/npm/package.json; then
  mkdir -p $work/npm
  cp $rules/package.json $work/npm/package.json
  npm install --prefix $work/npm --silent --no-fund --no-audit
fi

failed=0
check() { # NAME COMMAND...
  local name=$1 log=$work/$1.log
  shift
  if "$@" >"$log" 2>&1; then
    echo "conformance $name: no finding"
  else
    cat "$log"
    echo "conformance $name: FAILED" >&2
    failed=1
  fi
}

check_document() { # DOCUMENT SUFFIX
  check "openapi-spec-validator$2" $work/venv/bin/openapi-spec-validator "$1"
  check "spectral$2" $work/npm/node_modules/.bin/spectral lint --ruleset $rules/spectral.yaml --fail-severity hint "$1"
  check "redocly$2" $work/npm/node_modules/.bin/redocly lint --config $rules/redocly.yaml "$1"
  # Warnings do not change redocly's exit status.
  if grep -Eq 'You have [0-9]+ warning' "$work/redocly$2.log"; then
    cat "$work/redocly$2.log"
    failed=1
  fi
}

schemathesis() { # NAME EXAMPLES DOCUMENT ARGUMENT...
  local name=$1 examples=$2 document=$3
  shift 3
  check "$name" $work/venv/bin/schemathesis --config-file $rules/schemathesis.toml run --url "http://127.0.0.1:$port" \
    --max-examples "$examples" --generation-database none --request-timeout 60 "$@" "$document"
  tail -30 "$work/$name.log"
}

check_log() { # LOG
  if grep -q '"level":"ERROR"\| ERROR ' "$1"; then
    grep '"level":"ERROR"\| ERROR ' "$1" | head
    echo "conformance: the appliance logged errors" >&2
    failed=1
  fi
}

# shellcheck source=scripts/default-appliance.sh
. scripts/default-appliance.sh

# No compiled hooks beside their sources.
export PYTHONDONTWRITEBYTECODE=1
export SCHEMATHESIS_HOOKS=$rules/validity.py
$binary openapi >$work/openapi.json
check_document $work/openapi.json ""
start_default_appliance "$binary" $work/appliance.log
schemathesis schemathesis "$examples" $work/openapi.json
check_log $work/appliance.log
stop_default_appliance

# With access control, the metrics too.
start_default_appliance "$binary" $work/appliance-access.log --set auth.mode=required --set auth.metrics=token
api=http://127.0.0.1:$port/api/v1/attendance
curl -sSf "http://127.0.0.1:$port/openapi.json" -o $work/openapi-access.json
check_document $work/openapi-access.json -access

on_appliance() { # WORD...: a command of the appliance that runs
  "$binary" "$@" --data-dir "$data/data"
}
# The password cannot be guessed, so that no case changes it.
head -c 24 /dev/urandom | base64 >"$data/password"
declare -A tokens ids
for role in $roles; do
  owner=$role
  if [ "$role" = metrics ]; then owner=manager; fi
  if [ "$role" = employee ]; then employee=(--employee 1); else employee=(); fi
  on_appliance account add "tester-$role" --role "$owner" "${employee[@]}" --password-file "$data/password" >/dev/null
  tokens[$role]=$(on_appliance token create "conformance" --account "tester-$role" --role "$role" 2>/dev/null)
  ids[$role]=$(on_appliance token list --json | python3 -c "import json, sys; print(max(token['id'] for token in json.load(sys.stdin)['tokens']))")
done
# So that each role finds something.
on_appliance account add tester-root --role admin --password-file "$data/password" >/dev/null
root=$(on_appliance token create "conformance" --account tester-root --role admin 2>/dev/null)
for id in 1 2; do
  curl -sSf -o /dev/null -H "Authorization: Bearer $root" -H 'Content-Type: application/json' "$api/create" \
    -d "{\"id\": \"$id\", \"name\": \"Asha\", \"status\": \"Present\", \"date\": \"2023-08-01\"}"
done

for role in $roles; do
  export SCHEMATHESIS_HOOKS=$rules/roles.py # which loads validity.py
  export CONFORMANCE_ROLE=$role CONFORMANCE_TOKEN=${tokens[$role]} CONFORMANCE_TOKEN_ID=${ids[$role]}
  schemathesis "schemathesis-$role" "$role_examples" $work/openapi-access.json --header "Authorization: Bearer ${tokens[$role]}"
  own=$api/session
  if [ "$role" = metrics ]; then own=http://127.0.0.1:$port/metrics; fi
  if ! curl -sSf -o /dev/null -H "Authorization: Bearer ${tokens[$role]}" "$own"; then
    echo "conformance schemathesis-$role: a case has ended the token of the run" >&2
    failed=1
  fi
done
check_log $work/appliance-access.log
exit $failed
