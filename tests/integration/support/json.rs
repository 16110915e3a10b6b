//! Records in the API's JSON, and the calls that most tests make.

use serde_json::{Value, json};

use super::{API, Appliance, Connection, Response, eventually};

/// A record as JSON.
pub(crate) fn record(id: &str, name: &str, status: &str, date: &str) -> Value {
    json!({"id": id, "name": name, "status": status, "date": date})
}

/// Posts a record and returns the answer, whatever its status.
pub(crate) fn create(appliance: &Appliance, record: &Value) -> Response {
    appliance.post(&format!("{API}/create"), &record.to_string())
}

/// Sends a create up to the middle of its body and waits until it is in flight; returns the rest of the body.
pub(crate) fn begin_create(appliance: &Appliance, id: &str) -> (Connection, String) {
    let body = record(id, "n", "s", "2023-08-01").to_string();
    let (first, second) = body.split_at(10);
    let mut connection = appliance.connect();
    let head = format!(
        "POST {API}/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{first}",
        body.len()
    );
    connection.write(head.as_bytes()).expect("the server reads");
    eventually("the request is in flight", || {
        appliance.get("/metrics").text().contains("attendance_api_requests_in_flight 2").then_some(())
    });
    (connection, second.to_owned())
}

/// The records that `search/all` lists for a query (`?…` or empty); fails unless the status is 200.
pub(crate) fn records(appliance: &Appliance, query: &str) -> Vec<Value> {
    let answer = appliance.get(&format!("{API}/search/all{query}")).expect(200).json();
    answer.as_array().expect("search/all answers an array").clone()
}

/// Waits until the appliance reports that Redis is up.
pub(crate) fn wait_for_cache(appliance: &Appliance) {
    eventually("redis is up", || {
        (appliance.get(&format!("{API}/health/detail")).json()["redis"] == "up").then_some(())
    });
}
