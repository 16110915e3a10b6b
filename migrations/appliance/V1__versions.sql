-- Which versions of the appliance have run on this database.
CREATE TABLE attendance_api.versions (
    version text PRIMARY KEY,
    first_started timestamptz NOT NULL DEFAULT now(),
    last_started timestamptz NOT NULL DEFAULT now(),
    starts bigint NOT NULL DEFAULT 1
);

-- What tells this database from others that share a Redis with it. Exactly one row.
CREATE TABLE attendance_api.identity (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    id text NOT NULL DEFAULT md5(random()::text || clock_timestamp()::text || pg_backend_pid()::text)
);
INSERT INTO attendance_api.identity DEFAULT VALUES;
