//! Creates as versions of an employee.

use serde_json::Value;

use super::freshness::Change;
use super::http::{Request, Response};
use super::{API, record};

/// Creates: version `n` of an employee is the record of the day `n`, and the latest day is the current one.
pub(crate) struct Creates;

impl Creates {
    /// Day `version` of an employee's history, in order.
    pub(crate) fn day(version: u32) -> String {
        format!("{:04}-{:02}-{:02}", 2000 + version / 336, version % 336 / 28 + 1, version % 28 + 1)
    }
}

impl Change for Creates {
    fn write(&self, subject: usize, version: u32) -> Request {
        let body = record(&format!("e{subject}"), &format!("version {version}"), "Present", &Self::day(version));
        Request::post_json(&format!("{API}/create"), body.to_string())
    }

    fn reads(&self, subject: usize, acknowledged: u32) -> Vec<Request> {
        let latest = format!("{API}/search?id=e{subject}");
        let list = format!("{API}/search/all?id=e{subject}&from={}", Self::day(acknowledged));
        vec![Request::get(&latest), Request::get(&list)]
    }

    fn shows(&self, _subject: usize, version: u32, answer: &Response) -> bool {
        let found = answer.json();
        let latest = found.as_array().map_or(Some(&found), |records| records.last());
        answer.status == 200 && latest.map(|record| &record["date"]) == Some(&Value::from(Self::day(version)))
    }

    /// The latest day is current in whatever order days are created.
    fn allows_overlapping_writes(&self) -> bool {
        true
    }
}
