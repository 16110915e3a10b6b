//! `api.lenient_create`: numbers in place of texts, and records without a name.

use crate::support::{API, Appliance, create, record, shared, shared_postgres, unique, wait_for_cache};

fn lenient() -> Appliance {
    let database = shared_postgres().create_database();
    let settings = Appliance::builder().postgres(shared_postgres(), &database);
    settings.config("api: { lenient_create: true }\n").start()
}

fn post(appliance: &Appliance, body: &str, status: u16) -> String {
    appliance.post(&format!("{API}/create"), body).expect(status).text()
}

fn found(appliance: &Appliance, query: &str) -> String {
    appliance.get(&format!("{API}/search?{query}")).expect(200).text()
}

#[test]
fn a_number_counts_as_the_text_that_it_is_written_with() {
    let appliance = lenient();
    for (number, query) in [
        ("7", "7"),
        ("-0", "-0"),
        ("1.50", "1.50"),
        ("1E+3", "1E%2B3"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
    ] {
        let answer = post(&appliance, &format!(r#"{{"id":{number},"name":5,"status":1,"date":20230801}}"#), 200);
        assert_eq!(
            answer,
            format!("{{\"message\":\"Successfully created the record for the employee id: ${number}\"}}\n")
        );
        let expected = format!("{{\"id\":\"{number}\",\"name\":\"5\",\"status\":\"1\",\"date\":\"2023-08-01\"}}\n");
        assert_eq!(found(&appliance, &format!("id={query}")), expected);
    }
    post(&appliance, r#"{"id":"7","name":"n","status":"s","date":"2023-08-01"}"#, 409);
    for id in ["true", "[7]", "{}", "null", "01", "7x"] {
        post(&appliance, &format!(r#"{{"id":{id},"name":"n","status":"s","date":"2023-08-02"}}"#), 400);
    }
    post(&appliance, r#"{"id":7,"name":"n","status":"s","date":"2023-08-02","extra":1}"#, 400);
    post(&appliance, r#"{"id":7,"name":"n","status":"s","date":20231301}"#, 400);
}

#[test]
fn a_missing_name_is_that_of_the_latest_record_or_else_the_id() {
    let appliance = lenient();
    wait_for_cache(&appliance);
    let name_on = |id: &str, day: u32| {
        let found = appliance.get(&format!("{API}/search?id={id}&date=2023-08-0{day}")).expect(200).json();
        found["name"].as_str().unwrap_or_default().to_owned()
    };
    post(&appliance, r#"{"id":"e","status":"s","date":"2023-08-01"}"#, 200);
    assert_eq!(name_on("e", 1), "e");
    create(&appliance, &record("e", "Zoë 😀", "s", "2023-08-03")).expect(200);
    create(&appliance, &record("e", "Old", "s", "2023-08-02")).expect(200);
    post(&appliance, r#"{"id":"e","name":null,"status":"s","date":"2023-08-04"}"#, 200);
    assert_eq!(name_on("e", 4), "Zoë 😀");
    post(&appliance, r#"{"id":12,"status":"s","date":"2023-08-05"}"#, 200);
    assert_eq!(name_on("12", 5), "12");
    post(&appliance, r#"{"id":"e","name":"","status":"s","date":"2023-08-06"}"#, 400);
    post(&appliance, r#"{"id":"e","date":"2023-08-06"}"#, 400);
}

#[test]
fn without_the_setting_both_are_refused_as_before() {
    let answer = post(shared(), r#"{"id":7,"status":"s","date":"2023-08-01"}"#, 400);
    assert_eq!(
        answer,
        "{\"error\":\"Validation Error\",\"message\":\"The record is not valid: see details.\",\"details\":[\
         {\"field\":\"id\",\"problem\":\"must be a string, not a number\"},{\"field\":\"name\",\"problem\":\"is required\"}]}\n"
    );
    let id = unique("strict");
    assert!(
        post(shared(), &format!(r#"{{"id":"{id}","name":null,"status":"s","date":"2023-08-01"}}"#), 400)
            .contains("not null")
    );
}
