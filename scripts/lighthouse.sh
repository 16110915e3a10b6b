#!/usr/bin/env bash
# Rates the two pages with Lighthouse, as a telephone on a slow network: `/` must have 95 in every category, `/apidocs/` 90 in performance.
#   scripts/lighthouse.sh [RUNS]             default: 3; the median of the runs counts, because the speed of a machine changes
# The program is BINARY (target/release/attendance-api), with nothing configured, and the browser is CHROME_PATH (chromium). Lighthouse is installed
# into target/lighthouse, in a fixed version. Exit status 1 if a figure is too low.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-3}
binary=${BINARY:-target/release/attendance-api}
export CHROME_PATH=${CHROME_PATH:-$(command -v chromium)}
work=target/lighthouse
mkdir -p $work
if ! cmp -s tests/lighthouse/package.json $work/package.json; then
  cp tests/lighthouse/package.json $work/package.json
  npm install --prefix $work --silent --no-fund --no-audit
fi

# shellcheck source=scripts/default-appliance.sh
. scripts/default-appliance.sh
start_default_appliance "$binary" $work/appliance.log

rate() { # NAME PATH RUN
  $work/node_modules/.bin/lighthouse "http://127.0.0.1:$port$2" --quiet --output=json --output-path="$work/$1-$3.json" \
    --chrome-flags="--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=$data/chromium-$1-$3"
}
for run in $(seq "$runs"); do
  rate home / "$run"
  rate apidocs /apidocs/ "$run"
done

python3 - "$work" "$runs" <<'PYTHON'
import json, statistics, sys

work, runs = sys.argv[1], int(sys.argv[2])
failed = False
for page, required in (("home", dict.fromkeys(("performance", "accessibility", "best-practices", "seo"), 95)), ("apidocs", {"performance": 90})):
    reports = [json.load(open(f"{work}/{page}-{run}.json")) for run in range(1, runs + 1)]
    for category in reports[0]["categories"]:
        scores = [round(100 * (report["categories"][category]["score"] or 0)) for report in reports]
        low = statistics.median(scores) < required.get(category, 0)
        failed |= low
        print(f"lighthouse {page} {category}: {statistics.median(scores):.0f} of {scores}{f', required {required[category]}' if low else ''}")
    for audit in ("first-contentful-paint", "largest-contentful-paint", "total-blocking-time", "speed-index", "cumulative-layout-shift"):
        print(f"lighthouse {page} {audit}: {reports[0]['audits'][audit]['displayValue']}")
sys.exit(failed)
PYTHON
