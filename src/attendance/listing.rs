//! `search/all`: which records, in which order, and where the next page begins.
//!
//! Policy: the order is employee (the database's text order), then date, nulls last. Pages are found by key,
//! never by offset: the cost of a page depends on its size, not on its position. Rows that only other programs can have written
//! (null dates, null ids) have no unique key; they are ordered by their physical address. Where such rows may be, the server
//! has to sort by the address and to send it; records that have a key come in the order of their index ([`Order::Key`]).

use serde::{Deserialize, Serialize};
use tokio_postgres::types::{ToSql, Type};

use super::cursor_text;
use super::date::Date;
use super::visibility::Visibility;
use crate::database::Parameter;

/// Which records `search/all` lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Only this employee.
    pub id: Option<String>,
    /// Only this status.
    pub status: Option<String>,
    /// Only this name.
    pub name: Option<String>,
    /// Not before this day.
    pub from: Option<Date>,
    /// Not after this day.
    pub to: Option<Date>,
    /// At most this many records (1 to 10,000); without it, all.
    pub limit: Option<u32>,
    /// Only what comes after this record.
    pub after: Option<Cursor>,
    /// Only what the caller may see.
    pub visibility: Visibility,
}

/// The last record of a page, as the address of the next one. Opaque to clients, but not secret: a client can forge one, so each
/// part is checked like any other input before it becomes a parameter of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    #[serde(rename = "i")]
    pub(super) id: Option<String>,
    /// Days since 2000-01-01.
    #[serde(rename = "d", with = "days")]
    pub(super) date: Option<Date>,
    /// `(block,row)`, where id and date do not identify the row.
    #[serde(rename = "t")]
    pub(super) address: Option<String>,
}

impl ListQuery {
    /// Whether anything but the cursor and the limit excludes records.
    fn has_filter(&self) -> bool {
        let Self { id, status, name, from, to, limit: _, after: _, visibility } = self;
        id.is_some()
            || status.is_some()
            || name.is_some()
            || from.is_some()
            || to.is_some()
            || *visibility != Visibility::All
    }
}

impl Cursor {
    /// The form in a URL.
    pub fn encode(&self) -> String {
        cursor_text::encode(self)
    }

    /// Reads what [`Cursor::encode`] wrote; `None` for anything else.
    pub fn decode(text: &str) -> Option<Self> {
        let cursor: Self = cursor_text::decode(text)?;
        let is_key_complete = cursor.id.is_some() && cursor.date.is_some();
        // A row has an address in its cursor exactly if its key does not identify it.
        let is_address_valid = match &cursor.address {
            Some(address) => !is_key_complete && is_row_address(address),
            None => is_key_complete,
        };
        // PostgreSQL's text cannot contain NUL, and its dates end before those of an `i32` do.
        let is_id_valid = cursor.id.as_deref().is_none_or(|id| !id.contains('\0'));
        let is_date_valid = cursor.date.is_none_or(Date::is_in_range);
        (is_address_valid && is_id_valid && is_date_valid).then_some(cursor)
    }
}

/// `(block,row)` exactly as PostgreSQL writes it, within its types.
fn is_row_address(text: &str) -> bool {
    let parts = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).and_then(|t| t.split_once(','));
    let Some((block, row)) =
        parts.and_then(|(block, row)| Some((block.parse::<u32>().ok()?, row.parse::<u16>().ok()?)))
    else {
        return false;
    };
    // Parsing also accepts signs and leading zeros.
    text == format!("({block},{row})")
}

pub(super) mod days {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::attendance::date::Date;

    pub(in crate::attendance) fn serialize<S: Serializer>(
        date: &Option<Date>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        date.map(Date::days).serialize(serializer)
    }

    pub(in crate::attendance) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Date>, D::Error> {
        Ok(Option::<i32>::deserialize(deserializer)?.map(Date::from_days))
    }
}

/// The two parts of the order: first the rows that have an id, then those that have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Segment {
    Identified,
    Anonymous,
}

impl Segment {
    /// Whether the segment can still have records of a query after a cursor.
    pub(super) fn applies(self, query: &ListQuery, after: Option<&Cursor>) -> bool {
        match self {
            Self::Identified => after.is_none_or(|cursor| cursor.id.is_some()),
            // A record without an id is that of no employee.
            Self::Anonymous => query.id.is_none() && query.visibility == Visibility::All,
        }
    }
}

/// How the identified rows are put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By their key alone, as in the index. Its reader must stop at the first row without a date.
    Key,
    /// By their key, then by their address.
    Address,
}

impl Order {
    /// The order to try first after a cursor: most tables have no row without a date.
    pub(super) fn after(cursor: Option<&Cursor>) -> Self {
        if cursor.is_none_or(|cursor| cursor.date.is_some()) { Self::Key } else { Self::Address }
    }
}

/// The sizes of pages whose statements PostgreSQL plans once: those that clients usually ask for, and that of a chunk of a whole list.
const USUAL_SIZES: [u16; 10] = [10, 20, 25, 50, 100, 200, 250, 500, 1000, CHUNK_ROWS];
/// The records that are read at once of a list that is sent whole.
pub(super) const CHUNK_ROWS: u16 = 2_000;

/// A statement and its parameters. The text depends on which filters are given, never on their values.
///
/// PostgreSQL would plan a statement whose limit is a parameter anew each time, because it expects a tenth of the table without the value. So one of the
/// usual sizes is a part of the text if there is no filter. With filters, their values decide on the best plan, and the statements that a session
/// keeps would become many.
pub(super) struct PageStatement<'a> {
    pub(super) sql: String,
    pub(super) parameters: Vec<Parameter<'a>>,
}

impl<'a> PageStatement<'a> {
    /// Selects at most `limit` records of a segment after a cursor: id, name, status, date, and with [`Order::Address`] the address. The limit is one more
    /// than the size of the page, which shows whether there is a next one.
    pub(super) fn new(
        query: &'a ListQuery,
        segment: Segment,
        order: Order,
        after: Option<&'a Cursor>,
        limit: &'a i64,
    ) -> Self {
        let address = match order {
            Order::Key => "",
            Order::Address => ", CASE WHEN date IS NULL OR id IS NULL THEN ctid::text END",
        };
        let mut statement = Self {
            sql: format!("SELECT id, name, status, date{address} FROM records WHERE "),
            parameters: Vec::with_capacity(8),
        };
        match segment {
            Segment::Identified => statement.identified_after(after),
            Segment::Anonymous => statement.anonymous_after(after),
        }
        for (condition, value) in
            [(" AND id = ", &query.id), (" AND status = ", &query.status), (" AND name = ", &query.name)]
        {
            if let Some(text) = value {
                statement.push(condition, text, Type::UNKNOWN);
            }
        }
        if let Some(employee) = query.visibility.employee() {
            statement.push(" AND id = ", employee, Type::UNKNOWN);
        }
        for (condition, value) in [(" AND date >= ", &query.from), (" AND date <= ", &query.to)] {
            if let Some(date) = value {
                statement.push(condition, date, Type::DATE);
            }
        }
        statement.sql.push_str(match (segment, order) {
            (Segment::Identified, Order::Key) => " ORDER BY id, date LIMIT ",
            (Segment::Identified, Order::Address) => " ORDER BY id, date, ctid LIMIT ",
            (Segment::Anonymous, _) => " ORDER BY ctid LIMIT ",
        });
        if query.has_filter() || !USUAL_SIZES.iter().any(|usual| i64::from(*usual) + 1 == *limit) {
            statement.push("", limit, Type::INT8);
        } else {
            statement.sql.push_str(&limit.to_string());
        }
        statement
    }

    fn identified_after(&mut self, after: Option<&'a Cursor>) {
        match after {
            None => self.sql.push_str("id IS NOT NULL"),
            Some(Cursor { id, date: Some(date), .. }) => {
                // `id >=` alone bounds the index scan; the rest excludes rows of one employee.
                self.push("id >= ", id, Type::UNKNOWN);
                self.push(" AND (id > ", id, Type::UNKNOWN);
                self.push(" OR date > ", date, Type::DATE);
                self.sql.push_str(" OR date IS NULL)");
            }
            Some(Cursor { id, date: None, address }) => {
                self.push("id >= ", id, Type::UNKNOWN);
                self.push(" AND (id > ", id, Type::UNKNOWN);
                self.push(" OR (date IS NULL AND ctid > ", address, Type::UNKNOWN);
                self.sql.push_str("::text::tid))");
            }
        }
    }

    fn anonymous_after(&mut self, after: Option<&'a Cursor>) {
        self.sql.push_str("id IS NULL");
        if let Some(Cursor { id: None, address, .. }) = after {
            self.push(" AND ctid > ", address, Type::UNKNOWN);
            self.sql.push_str("::text::tid");
        }
    }

    fn push(&mut self, sql: &str, value: &'a (dyn ToSql + Sync), kind: Type) {
        self.parameters.push((value, kind));
        self.sql.push_str(sql);
        self.sql.push('$');
        self.sql.push_str(&self.parameters.len().to_string());
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn a_cursor_survives_encoding() {
        let date = Date::parse("2023-08-01");
        for cursor in [
            Cursor { id: Some("ü\"'".into()), date, address: None },
            Cursor { id: Some("x".into()), date: None, address: Some("(12,3)".into()) },
            Cursor { id: None, date: Some(Date::INFINITY), address: Some("(0,1)".into()) },
        ] {
            assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }
    }

    #[test]
    fn forged_cursors_are_rejected() {
        let forged = |json: &str| URL_SAFE_NO_PAD.encode(json);
        for text in [
            "",
            "x",
            "%",
            &forged("{}"),
            &forged(r#"{"i":null,"d":null,"t":null}"#),
            &forged(r#"{"i":"a","d":null,"t":"(1,2); DROP TABLE records"}"#),
            &forged(r#"{"i":"a","d":null,"t":"(99999999999,2)"}"#),
            &forged(r#"{"i":"a","d":null,"t":"(+1,2)"}"#),
            &forged(r#"{"i":"a","d":null,"t":"(1,02)"}"#),
            &forged(r#"{"i":"a","d":null,"t":"(1,65536)"}"#),
            &forged(r#"{"i":"a","d":1,"t":"(1,2)"}"#),
            &forged(r#"{"i":"a","d":1,"t":null,"x":1}"#),
            &forged(r#"{"i":"a","d":1,"d":1,"t":null}"#),
            &forged(r#"{"i":"a\u0000","d":1,"t":null}"#),
            &forged(r#"{"i":"a","d":-2451546,"t":null}"#),
            &forged(r#"{"i":"a","d":2145031949,"t":null}"#),
            &forged(r#"{"i":"a","d":2147483646,"t":null}"#),
            &forged(r#"{"i":"a","d":-2147483647,"t":null}"#),
            &forged(r#"{"i":"a","d":2147483648,"t":null}"#),
            &forged(r#"{"i":"a","d":1.5,"t":null}"#),
        ] {
            assert_eq!(Cursor::decode(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_that_postgresql_has_can_be_in_a_cursor() {
        for days in [i32::MIN, -2_451_545, 0, 2_145_031_948, i32::MAX] {
            let cursor = Cursor { id: Some("a".into()), date: Some(Date::from_days(days)), address: None };
            assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }
    }

    proptest::proptest! {
        /// Every accepted text is what [`Cursor::encode`] would write, up to the spelling of the JSON.
        #[test]
        fn an_accepted_cursor_is_one_that_could_have_been_written(
            id in proptest::option::of(".{0,20}"),
            days in proptest::option::of(proptest::num::i32::ANY),
            block in proptest::num::u64::ANY,
            row in 0_u32..100_000,
            has_address in proptest::bool::ANY,
        ) {
            let address = has_address.then(|| format!("({},{row})", block >> (block % 60)));
            let text = URL_SAFE_NO_PAD.encode(serde_json::json!({"i": id, "d": days, "t": address}).to_string());
            let Some(cursor) = Cursor::decode(&text) else { return Ok(()) };
            assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor.clone()));
            assert_ne!(cursor.address.is_some(), cursor.id.is_some() && cursor.date.is_some());
            assert!(cursor.date.is_none_or(Date::is_in_range));
        }

        #[test]
        fn no_text_at_all_makes_decoding_panic(text in ".{0,64}", json in ".{0,64}") {
            let _ = Cursor::decode(&text);
            let _ = Cursor::decode(&URL_SAFE_NO_PAD.encode(json));
        }
    }

    #[test]
    fn values_are_parameters_and_never_part_of_the_statement() {
        let query =
            ListQuery { id: Some("1' OR '1'='1".into()), to: Date::parse("2023-08-01"), ..ListQuery::default() };
        let after = Cursor { id: Some("a".into()), date: Date::parse("2023-08-01"), address: None };
        let statement = PageStatement::new(&query, Segment::Identified, Order::Address, Some(&after), &3);
        assert!(!statement.sql.contains('\''));
        assert_eq!(statement.parameters.len(), 6);
        assert!(statement.sql.ends_with(
            "id >= $1 AND (id > $2 OR date > $3 OR date IS NULL) AND id = $4 AND date <= $5 ORDER BY id, date, ctid LIMIT $6"
        ));
    }

    #[test]
    fn only_a_usual_size_of_a_list_without_filters_is_a_part_of_the_statement() {
        let limit = |query: &ListQuery, size: i64| {
            let limit = size + 1;
            let statement = PageStatement::new(query, Segment::Identified, Order::Key, None, &limit);
            statement.sql.rsplit_once(" LIMIT ").map(|(_, limit)| limit.to_owned()).unwrap()
        };
        let all = ListQuery::default();
        for size in USUAL_SIZES.map(i64::from) {
            assert_eq!(limit(&all, size), (size + 1).to_string());
        }
        assert_eq!(limit(&all, 99), "$1");
        let text = Some("x".to_owned());
        let date = Date::parse("2023-08-01");
        for query in [
            ListQuery { id: text.clone(), ..all.clone() },
            ListQuery { status: text.clone(), ..all.clone() },
            ListQuery { name: text, ..all.clone() },
            ListQuery { from: date, ..all.clone() },
            ListQuery { to: date, ..all.clone() },
            ListQuery { visibility: Visibility::Employee("1".into()), ..all },
        ] {
            assert!(limit(&query, 100).starts_with('$'), "{query:?}");
        }
    }

    #[test]
    fn a_narrowed_list_selects_the_records_of_its_employee_whatever_the_query_and_the_cursor_are() {
        let visibility = Visibility::Employee("1".into());
        let after = Cursor { id: Some("a".into()), date: Date::parse("2023-08-01"), address: None };
        for id in [None, Some("2".to_owned())] {
            let query = ListQuery { id: id.clone(), visibility: visibility.clone(), ..ListQuery::default() };
            for after in [None, Some(&after)] {
                let statement = PageStatement::new(&query, Segment::Identified, Order::Key, after, &3);
                let own = statement.parameters.len() - 1;
                assert!(statement.sql.contains(&format!(" AND id = ${own} ORDER BY")), "{}", statement.sql);
                assert!(!Segment::Anonymous.applies(&query, after));
            }
        }
    }
}
