-- Which versions of the appliance have run on this database.
CREATE TABLE attendance_api.versions (
    version text PRIMARY KEY,
    first_started timestamptz NOT NULL DEFAULT now(),
    last_started timestamptz NOT NULL DEFAULT now(),
    starts bigint NOT NULL DEFAULT 1
);
