//! Reads the objects of a schema as changes that create them.

use tokio_postgres::{Client, Row};

use super::element::Element;
use crate::error::Error;
use crate::history::tables::Tables;
use crate::sql::texts;

/// SQL condition for objects to include: they are not part of an extension, and not one of the two Liquibase tables.
const IS_USER_OBJECT: &str = "c.oid IS DISTINCT FROM to_regclass($2) AND c.oid IS DISTINCT FROM to_regclass($3) AND NOT EXISTS \
    (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";

/// The changes that create the schema, in an order in which they can run.
pub(super) async fn read(client: &Client, at: &Tables) -> Result<Vec<Element>, Error> {
    let mut changes = sequences(client, at).await?;
    changes.extend(tables(client, at).await?);
    changes.extend(unique_constraints(client, at).await?);
    changes.extend(indexes(client, at).await?);
    changes.extend(foreign_keys(client, at).await?);
    changes.extend(views(client, at).await?);
    Ok(changes)
}

async fn rows(client: &Client, sql: &str, at: &Tables) -> Result<Vec<Row>, Error> {
    let parameters = texts(&[&at.schema, &at.changelog, &at.lock]);
    client.query_typed(sql, &parameters).await.map_err(Error::database("reading the schema"))
}

/// The sequences that no column owns. The others are created with their column.
async fn sequences(client: &Client, at: &Tables) -> Result<Vec<Element>, Error> {
    let sql = format!(
        "SELECT c.relname::text, format_type(s.seqtypid, NULL), s.seqstart::text, s.seqincrement::text, s.seqmin::text, \
         s.seqmax::text, s.seqcycle FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND {IS_USER_OBJECT} AND NOT EXISTS (SELECT FROM pg_depend d \
         WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')) ORDER BY 1"
    );
    let change = |row: &Row| {
        let text = |index: usize| row.get::<_, String>(index);
        let change = Element::new("createSequence")
            .with("sequenceName", text(0))
            .with("dataType", text(1))
            .with("startValue", text(2))
            .with("incrementBy", text(3))
            .with("minValue", text(4))
            .with("maxValue", text(5));
        if row.get(6) { change.with("cycle", "true") } else { change }
    };
    Ok(rows(client, &sql, at).await?.iter().map(change).collect())
}

async fn tables(client: &Client, at: &Tables) -> Result<Vec<Element>, Error> {
    let sql = format!(
        "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
           CASE WHEN a.attgenerated = '' THEN pg_get_expr(f.adbin, f.adrelid) \
             ELSE 'GENERATED ALWAYS AS (' || pg_get_expr(f.adbin, f.adrelid) || ') STORED' END, \
           a.attidentity <> '' OR s.oid IS NOT NULL, \
           k.conname::text, obj_description(c.oid, 'pg_class'), col_description(c.oid, a.attnum), \
           a.attidentity = 'a', NULLIF(q.seqstart, 1)::text, NULLIF(q.seqincrement, 1)::text, \
           k.condeferrable, k.condeferred \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_attrdef f ON f.adrelid = c.oid AND f.adnum = a.attnum \
         LEFT JOIN pg_class s ON s.oid = pg_get_serial_sequence(quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.attname)::regclass \
         LEFT JOIN pg_sequence q ON q.seqrelid = s.oid \
         LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p' AND a.attnum = ANY (k.conkey) \
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND {IS_USER_OBJECT} ORDER BY c.relname, a.attnum"
    );
    let mut tables: Vec<Element> = Vec::new();
    for row in rows(client, &sql, at).await? {
        let name: String = row.get(0);
        if tables.last().is_none_or(|table| table.attributes[0].1 != name) {
            let table = Element::new("createTable").with("tableName", name);
            tables.push(match row.get::<_, Option<String>>(7) {
                Some(remarks) => table.with("remarks", remarks),
                None => table,
            });
        }
        if let Some(table) = tables.last_mut() {
            table.children.push(column(&row));
        }
    }
    Ok(tables)
}

fn column(row: &Row) -> Element {
    let automatic: bool = row.get(5);
    let mut column = Element::new("column").with("name", row.get::<_, String>(1)).with("type", column_type(row.get(2)));
    if automatic {
        column = column.with("autoIncrement", "true");
        if row.get(9) {
            column = column.with("generationType", "ALWAYS");
        }
        for (name, index) in [("startWith", 10), ("incrementBy", 11)] {
            if let Some(number) = row.get::<_, Option<String>>(index) {
                column = column.with(name, number);
            }
        }
    } else if let Some(default) = row.get::<_, Option<String>>(4) {
        column = column.with("defaultValueComputed", default);
    }
    if let Some(remarks) = row.get::<_, Option<String>>(8) {
        column = column.with("remarks", remarks);
    }
    let constraints = match (row.get::<_, Option<String>>(6), row.get(3)) {
        (Some(key), _) => {
            let constraints = Element::new("constraints").with("nullable", "false").with("primaryKey", "true");
            Some(deferred(constraints.with("primaryKeyName", key), row.get(12), row.get(13)))
        }
        (None, true) => Some(Element::new("constraints").with("nullable", "false")),
        (None, false) => None,
    };
    column.children.extend(constraints);
    column
}

/// A constraint, with the attributes of one that is checked at the end of a transaction.
fn deferred(mut element: Element, is_deferrable: Option<bool>, is_deferred: Option<bool>) -> Element {
    for (name, holds) in [("deferrable", is_deferrable), ("initiallyDeferred", is_deferred)] {
        if holds == Some(true) {
            element = element.with(name, "true");
        }
    }
    element
}

/// The type as a changelog writes it. Words behind the name of an array's elements would separate them from the brackets.
fn column_type(written: String) -> String {
    let Some(element) = written.strip_suffix("[]") else { return written };
    let name = match element {
        "double precision" => "float8",
        "time without time zone" => "time",
        "time with time zone" => "timetz",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        other => other,
    };
    format!("{name}[]")
}

const KEY_COLUMNS: &str = "(SELECT string_agg(a.attname, ', ' ORDER BY p.place) \
    FROM unnest(k.conkey) WITH ORDINALITY AS p(number, place) \
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number)";

async fn unique_constraints(client: &Client, at: &Tables) -> Result<Vec<Element>, Error> {
    let sql = format!(
        "SELECT {KEY_COLUMNS}, k.conname::text, c.relname::text, k.condeferrable, k.condeferred \
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND k.contype = 'u' AND NOT c.relispartition AND {IS_USER_OBJECT} ORDER BY 3, 2"
    );
    let change = |row: &Row| {
        let constraint = Element::new("addUniqueConstraint")
            .with("columnNames", row.get::<_, String>(0))
            .with("constraintName", row.get::<_, String>(1))
            .with("tableName", row.get::<_, String>(2));
        deferred(constraint, row.get(3), row.get(4))
    };
    Ok(rows(client, &sql, at).await?.iter().map(change).collect())
}

/// Whether `createIndex` can express an index: a btree of all rows, with the usual operators, collations, order of NULLs and storage.
const IS_SIMPLE_INDEX: &str = "x.indpred IS NULL AND m.amname = 'btree' AND x.indnkeyatts = x.indnatts AND i.reloptions IS NULL \
    AND i.reltablespace = 0 AND pg_get_indexdef(x.indexrelid) NOT LIKE '%NULLS NOT DISTINCT%' \
    AND NOT EXISTS (SELECT FROM generate_series(0, x.indnkeyatts - 1) AS place \
      JOIN pg_opclass p ON p.oid = x.indclass[place] LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[place] \
      WHERE NOT p.opcdefault OR x.indoption[place] NOT IN (0, 3) OR x.indcollation[place] <> COALESCE(a.attcollation, x.indcollation[place]))";

/// An index that createIndex cannot express is written as `sql`.
async fn indexes(client: &Client, at: &Tables) -> Result<Vec<Element>, Error> {
    let sql = format!(
        "SELECT i.relname::text, c.relname::text, x.indisunique, \
           {IS_SIMPLE_INDEX}, pg_get_indexdef(x.indexrelid), \
           ARRAY(SELECT pg_get_indexdef(x.indexrelid, place, true) FROM generate_series(1, x.indnkeyatts) AS place), \
           ARRAY(SELECT x.indoption[place - 1] & 1 = 1 FROM generate_series(1, x.indnkeyatts) AS place), 0 = ANY (x.indkey) \
         FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid \
         JOIN pg_am m ON m.oid = i.relam JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND NOT c.relispartition AND {IS_USER_OBJECT} AND c.relkind IN ('r', 'p') \
         AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x')) \
         ORDER BY 2, 1"
    );
    let change = |row: &Row| {
        if !row.get::<_, bool>(3) {
            return sql_change(row.get(4));
        }
        let mut change = Element::new("createIndex")
            .with("indexName", row.get::<_, String>(0))
            .with("tableName", row.get::<_, String>(1));
        if row.get(2) {
            change = change.with("unique", "true");
        }
        let (names, descending): (Vec<String>, Vec<bool>) = (row.get(5), row.get(6));
        let computed: bool = row.get(7);
        for (name, descending) in names.iter().zip(descending) {
            // With an expression all names are SQL, and keep their quotes.
            let name = if computed { name.as_str() } else { name.trim_matches('"') };
            let mut column = Element::new("column").with("name", name);
            if computed {
                column = column.with("computed", "true");
            }
            change.children.push(if descending { column.with("descending", "true") } else { column });
        }
        change
    };
    Ok(rows(client, &sql, at).await?.iter().map(change).collect())
}

fn sql_change(sql: String) -> Element {
    Element { text: Some(("sql", sql)), ..Element::new("sql") }
}

async fn foreign_keys(client: &Client, at: &Tables) -> Result<Vec<Element>, Error> {
    let referenced = KEY_COLUMNS.replace("conkey", "confkey").replace("conrelid", "confrelid");
    let sql = format!(
        "SELECT {KEY_COLUMNS}, c.relname::text, k.conname::text, k.condeferrable::text, k.condeferred::text, \
           CASE k.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' \
             WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END, \
           CASE k.confupdtype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' \
             WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END, {referenced}, r.relname::text \
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND k.contype = 'f' AND NOT c.relispartition AND {IS_USER_OBJECT} ORDER BY 2, 3"
    );
    let names = [
        "baseColumnNames",
        "baseTableName",
        "constraintName",
        "deferrable",
        "initiallyDeferred",
        "onDelete",
        "onUpdate",
        "referencedColumnNames",
        "referencedTableName",
    ];
    let change = |row: &Row| {
        let attributes = names.iter().enumerate().map(|(index, name)| (*name, row.get(index))).collect();
        Element { attributes, ..Element::new("addForeignKeyConstraint") }
    };
    Ok(rows(client, &sql, at).await?.iter().map(change).collect())
}

/// The views in the order of their creation: a view can only use older ones, unless it was replaced.
async fn views(client: &Client, at: &Tables) -> Result<Vec<Element>, Error> {
    let sql = format!(
        "SELECT c.relname::text, pg_get_viewdef(c.oid), c.relkind = 'm' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relkind IN ('v', 'm') AND {IS_USER_OBJECT} ORDER BY c.oid"
    );
    let change = |row: &Row| {
        let (name, query): (String, String) = (row.get(0), row.get(1));
        let query = query.trim().trim_end_matches(';').to_owned();
        if row.get(2) {
            return sql_change(format!("CREATE MATERIALIZED VIEW \"{}\" AS {query}", name.replace('"', "\"\"")));
        }
        Element { text: Some(("selectQuery", query)), ..Element::new("createView").with("viewName", name) }
    };
    Ok(rows(client, &sql, at).await?.iter().map(change).collect())
}
