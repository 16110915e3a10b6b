//! Children the appliance runs: PostgreSQL and Redis. Knows nothing of attendance or HTTP.
