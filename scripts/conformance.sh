#!/usr/bin/env bash
# Checks the API against its own description, and the description against three validators.
#   scripts/conformance.sh [EXAMPLES]        default: 25, the fast form; the full form (make conformance EXAMPLES=3400) makes more than 10,000 cases
# EXAMPLES is the maximum for each operation and phase of schemathesis. The program is BINARY (target/release/attendance-api), with nothing
# configured. The tools are installed into target/conformance, in fixed versions. Exit status 1 if there is a finding.
set -euo pipefail
cd "$(dirname "$0")/.."

examples=${1:-25}
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

$binary openapi >$work/openapi.json
check openapi-spec-validator $work/venv/bin/openapi-spec-validator $work/openapi.json
check spectral $work/npm/node_modules/.bin/spectral lint --ruleset $rules/spectral.yaml --fail-severity hint $work/openapi.json
check redocly $work/npm/node_modules/.bin/redocly lint --config $rules/redocly.yaml $work/openapi.json
# Warnings do not change redocly's exit status.
if grep -Eq 'You have [0-9]+ warning' $work/redocly.log; then
  cat $work/redocly.log
  failed=1
fi

# shellcheck source=scripts/default-appliance.sh
. scripts/default-appliance.sh
start_default_appliance "$binary" $work/appliance.log
check schemathesis $work/venv/bin/schemathesis --config-file $rules/schemathesis.toml run --url "http://127.0.0.1:$port" \
  --max-examples "$examples" --generation-database none $work/openapi.json
tail -30 $work/schemathesis.log
if grep -q '"level":"ERROR"\| ERROR ' $work/appliance.log; then
  grep '"level":"ERROR"\| ERROR ' $work/appliance.log | head
  echo "conformance: the appliance logged errors" >&2
  failed=1
fi
exit $failed
