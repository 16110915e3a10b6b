//! `api.ascii`: text in answers as ASCII or as UTF-8.

use crate::support::{API, Appliance, RedisServer, create, record, shared, shared_postgres, unique, wait_for_cache};

const NAME: &str = "Zoë 😀 \u{2028}\"";

fn with(api: &str, database: &str, redis: &str) -> Appliance {
    let settings = Appliance::builder().postgres(shared_postgres(), database).config(redis);
    settings.config(&format!("api: {api}\n")).start()
}

#[test]
fn every_text_of_an_answer_is_utf_8_if_it_need_not_be_ascii() {
    let appliance = with("{ ascii: false }", &shared_postgres().create_database(), "");
    wait_for_cache(&appliance);
    let created = create(&appliance, &record("ü1", NAME, "да", "2023-08-01")).expect(200);
    assert_eq!(created.text(), "{\"message\":\"Successfully created the record for the employee id: $ü1\"}\n");
    let expected = format!(
        "{{\"id\":\"ü1\",\"name\":\"{}\",\"status\":\"да\",\"date\":\"2023-08-01\"}}",
        NAME.replace('"', "\\\"")
    );
    for _ in 0..3 {
        let one = appliance.get(&format!("{API}/search?id=%C3%BC1")).expect(200);
        assert_eq!((one.text(), one.header("content-type")), (format!("{expected}\n"), Some("application/json")));
        let all = appliance.get(&format!("{API}/search/all?limit=5")).expect(200);
        assert_eq!(all.text(), format!("[{expected}]\n"));
    }
    let refused = appliance.post(&format!("{API}/create"), "{\"ключ\":1}").expect(400).text();
    assert!(refused.contains("\"field\":\"ключ\""), "{refused}");
}

#[test]
fn answers_are_ascii_by_default() {
    let id = unique("ascii");
    create(shared(), &record(&id, NAME, "ü", "2023-08-01")).expect(200);
    let text = shared().get(&format!("{API}/search?id={id}")).expect(200).text();
    assert!(text.is_ascii() && text.contains("Zo\\u00eb \\ud83d\\ude00 \\u2028\\\""), "{text}");
}

#[test]
fn instances_with_different_settings_share_a_cache_but_no_answers() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let ascii = with("{ ascii: true }", &database, &redis.config());
    let utf8 = with("{ ascii: false }", &database, &redis.config());
    wait_for_cache(&ascii);
    wait_for_cache(&utf8);
    create(&ascii, &record("1", "Zoë", "s", "2023-08-01")).expect(200);
    for target in ["search?id=1", "search/all?limit=5", "search/all"] {
        let of = |appliance: &Appliance| appliance.get(&format!("{API}/{target}")).expect(200);
        for _ in 0..3 {
            let (escaped, plain) = (of(&ascii), of(&utf8));
            assert!(escaped.text().contains("Zo\\u00eb") && plain.text().contains("Zoë"), "{target}");
            assert_ne!(escaped.header("etag"), plain.header("etag"), "{target}");
        }
    }
}
