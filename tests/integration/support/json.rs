//! Records as the API takes and gives them.

use serde_json::{Value, json};

use super::{API, Appliance, Response, eventually};

/// A record as JSON.
pub(crate) fn record(id: &str, name: &str, status: &str, date: &str) -> Value {
    json!({"id": id, "name": name, "status": status, "date": date})
}

/// Posts a record; any answer.
pub(crate) fn create(appliance: &Appliance, record: &Value) -> Response {
    appliance.post(&format!("{API}/create"), &record.to_string())
}

/// The records of a 200 answer of `search/all` with that query (`?…` or empty).
pub(crate) fn records(appliance: &Appliance, query: &str) -> Vec<Value> {
    let answer = appliance.get(&format!("{API}/search/all{query}")).expect(200).json();
    answer.as_array().expect("search/all answers an array").clone()
}

/// Waits until the appliance sees its Redis.
pub(crate) fn cache_is_up(appliance: &Appliance) {
    eventually("redis is up", || {
        (appliance.get(&format!("{API}/health/detail")).json()["redis"] == "up").then_some(())
    });
}
