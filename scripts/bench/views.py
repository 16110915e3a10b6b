"""Sheets and summaries, beside the best SQL that was found by hand for the same contents, and beside a list of as many bytes."""

import json

from rows import alternate
from servers import API, Appliance, wrk

EMPLOYEES, DAYS = 10_000, {6: 100, 7: 1000}
# A page of the records of a month, with the name of each employee's latest record, as the directory is empty.
SHEET = (
    "\\set day random(0, {days} - 31)\n"
    "SELECT page.id, (SELECT name FROM records AS latest WHERE latest.id = page.id ORDER BY date DESC LIMIT 1), page.dates, page.statuses FROM "
    "(SELECT id, array_agg(date) AS dates, array_agg(status) AS statuses FROM records "
    "WHERE date BETWEEN '2023-01-01'::date + :day::int AND '2023-01-31'::date + :day::int GROUP BY id ORDER BY id LIMIT 500) AS page ORDER BY id;\n"
)
SUMMARY = "SELECT date_trunc('month', date::timestamp), status, count(*) FROM records GROUP BY 1, 2 ORDER BY 1;\n"
SHEETS = (
    "local function date(day) return os.date('%Y-%m-%d', os.time{{year = 2023, month = 1, day = 1 + day, hour = 12}}) end\n"
    "request = function() local day = math.random(0, {days} - 31)\n"
    "return wrk.format('GET', '{api}/sheet?from=' .. date(day) .. '&to=' .. date(day + 30)) end"
)


def fill(server, days):
    """Replaces all records by those of all employees on so many days, in the order in which days come."""
    server.psql("TRUNCATE records")
    server.psql(
        "INSERT INTO records (id, name, status, date) SELECT 'e' || lpad(employee::text, 6, '0'), 'Asha Rao ' || employee, "
        "(ARRAY['Present', 'Present', 'Present', 'Absent', 'Half Day'])[1 + (employee * 7 + day) % 5], '2023-01-01'::date + day "
        f"FROM generate_series(0, {days - 1}) AS day, generate_series(1, {EMPLOYEES}) AS employee"
    )
    server.psql("VACUUM (ANALYZE) records")
    server.psql("CHECKPOINT")


def views(table, options, work):
    power = 7 if options.big else 6
    days = DAYS[power]
    script = work / "sheets.lua"
    script.write_text(SHEETS.format(days=days, api=API))
    with Appliance(options.root, work, "views", "redis.mode=off") as server:
        fill(server, days)
        # One client: the time of one sheet, which is read from PostgreSQL each time.
        ours = lambda: 1000 * wrk(server.port, "/", options.seconds, 1, script)[1]
        baseline = lambda: 1000 * server.pgbench(SHEET.format(days=days), 1, options.seconds)[1]
        ours(), baseline()
        mine, other, ratio = alternate(options.rounds, ours, baseline)
        table.add(f"sheet, 500 × 31 of 10^{power} records, uncached", f"{mine / 1000:.1f} ms", f"SQL {other / 1000:.1f} ms", f"{ratio:.2f}", "≤ 1.3, 100 ms", ratio <= 1.3 and mine <= 100_000)
        fill(server, 100)
        ours = lambda: 1000 * wrk(server.port, f"{API}/summary?by=month", options.seconds, 1)[1]
        baseline = lambda: 1000 * server.pgbench(SUMMARY, 1, options.seconds)[1]
        ours(), baseline()
        mine, other, ratio = alternate(options.rounds, ours, baseline)
        table.add("summary by month, 10^6 records, uncached", f"{mine / 1000:.0f} ms", f"SQL {other / 1000:.0f} ms", f"{ratio:.2f}", "≤ 1.2", ratio <= 1.2)
        data = server.data
    with Appliance(options.root, work, "cached", data=data) as server:
        sheet = f"{API}/sheet?from=2023-01-01&to=2023-01-31"
        size = len(server.get(sheet)[1])
        # A page of search/all of about as many bytes.
        record = len(json.dumps(json.loads(server.get(f"{API}/search/all?limit=1")[1])[0], separators=(",", ":"))) + 1
        page = f"{API}/search/all?limit={size // record}"
        ours, baseline = ((lambda path=path: wrk(server.port, path, options.seconds, 32)[0]) for path in (sheet, page))
        ours(), baseline()
        rate, other, ratio = alternate(options.rounds, ours, baseline)
        table.add(f"  cached, {size / 1000:.0f} kB, 32 connections", f"{rate:,.0f}/s", f"search/all {other:,.0f}/s", f"{ratio:.2f}", "≥ 0.90", ratio >= 0.9)
