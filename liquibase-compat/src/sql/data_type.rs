//! Data types of a changelog, as types of PostgreSQL.
//!
//! A changelog writes the types of many databases: `nvarchar(30)`, `int unsigned`, `java.sql.Types.DECIMAL(10,2)`. [`DataType::parse`]
//! splits a definition into a name, parameters and the words behind them, by the rules of Liquibase; `table.rs` has the class of each
//! name; [`DataType::sql`] writes the type, and `default.rs` the default of a column of this type. A name that is in no class is written in
//! upper case, and PostgreSQL accepts or refuses it.

mod default;
mod definition;
mod error;
mod java;
mod table;

pub(crate) use default::Value;
pub use error::DataTypeError;
pub(crate) use java::parse_number;

use definition::Definition;
use table::Class;

/// PostgreSQL keeps at most this many fractional digits of a time.
const MAX_FRACTIONAL_DIGITS: u32 = 6;
/// Liquibase writes this length for a type without one.
const NO_LENGTH: &str = "2147483647";
/// PostgreSQL's limit for the precision of `numeric`.
const MAX_NUMERIC_PRECISION: u32 = 1000;
/// Liquibase keeps this many parameters of most types.
const MAX_PARAMETERS: usize = 2;

/// A data type of a changelog.
#[derive(Debug, Clone)]
pub(crate) struct DataType {
    definition: Definition,
    class: Class,
    is_auto_increment: bool,
}

impl DataType {
    /// Reads a type definition.
    ///
    /// # Errors
    /// When the text in braces is not a property of the type, as in `varchar(${size})` with an undefined property.
    pub(crate) fn parse(written: &str) -> Result<Self, DataTypeError> {
        let definition = Definition::parse(written);
        let class = Class::named(&definition.name);
        let mut is_auto_increment = definition.is_identity && matches!(class, Class::Int | Class::BigInt);
        for property in definition.properties()? {
            let (name, value) = property;
            if name != "autoIncrement" || !class.has_auto_increment() {
                return Err(DataTypeError::UnknownProperty { property: name.to_owned(), class: class.java_name() });
            }
            is_auto_increment = value == "true";
        }
        is_auto_increment |= class.has_serial_names() && definition.written.to_lowercase().contains("serial");
        Ok(Self { definition, class, is_auto_increment })
    }

    /// Reads the type of a column that is an identity if `auto_increment` says so.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and when the type cannot be that of an identity.
    pub(crate) fn parse_column(written: &str, auto_increment: bool) -> Result<Self, DataTypeError> {
        if auto_increment { Self::parse(&format!("{written}{{autoIncrement:true}}")) } else { Self::parse(written) }
    }

    /// Whether a column that is created with this type is an identity, also without `autoIncrement`.
    pub(crate) fn is_auto_increment(&self) -> bool {
        self.is_auto_increment
    }

    /// Whether it is a boolean; `bit` belongs to the class.
    pub(crate) fn is_boolean(&self) -> bool {
        self.class == Class::Boolean
    }

    /// Whether it is `bit`.
    pub(crate) fn is_bit(&self) -> bool {
        self.is_boolean() && self.definition.starts_with("bit")
    }

    /// Whether it is a string with a length.
    pub(crate) fn is_string(&self) -> bool {
        matches!(self.class, Class::Varchar | Class::NVarchar | Class::Char | Class::NChar)
    }

    /// The type of PostgreSQL.
    ///
    /// # Errors
    /// When the parameters are not possible for the type.
    pub(crate) fn sql(&self) -> Result<String, DataTypeError> {
        let definition = &self.definition;
        let parameters = definition.parameters.as_slice();
        Ok(match self.class {
            Class::Int => "INTEGER".to_owned(),
            Class::SmallInt | Class::TinyInt => "SMALLINT".to_owned(),
            Class::BigInt => self.with_information("BIGINT"),
            Class::MediumInt => self.generic("MEDIUMINT"),
            Class::Decimal => self.generic("DECIMAL"),
            Class::Number if is_above(parameters, MAX_NUMERIC_PRECISION) => "numeric".to_owned(),
            Class::Number => with_parameters("numeric", parameters),
            Class::Currency => "DECIMAL".to_owned(),
            Class::Float if definition.written.eq_ignore_ascii_case("real") => "REAL".to_owned(),
            Class::Float => self.generic("FLOAT"),
            Class::Double => "DOUBLE PRECISION".to_owned(),
            Class::Boolean if self.is_bit() => with_parameters("BIT", parameters),
            Class::Boolean => self.generic("BOOLEAN"),
            Class::Varchar => self.string("VARCHAR"),
            Class::Char => self.string("CHAR"),
            Class::NChar => self.string("NCHAR"),
            Class::NVarchar => with_parameters("VARCHAR", parameters),
            Class::Clob => "TEXT".to_owned(),
            Class::Blob if definition.starts_with("blob") || definition.written == "java.sql.Types.BLOB" => {
                "OID".to_owned()
            }
            Class::Blob => "BYTEA".to_owned(),
            Class::Uuid => "UUID".to_owned(),
            Class::Xml => "XML".to_owned(),
            Class::Date => "date".to_owned(),
            Class::Time => self.time()?,
            Class::DateTime => self.date_time(self.has_time_zone()),
            Class::Timestamp => self.timestamp()?,
            Class::Function | Class::Unknown => self.unknown(),
        })
    }

    /// A type whose parameters and further words stay.
    fn generic(&self, name: &str) -> String {
        let parameters = &self.definition.parameters;
        self.with_information(&with_parameters(name, &parameters[..parameters.len().min(MAX_PARAMETERS)]))
    }

    fn with_information(&self, sql: &str) -> String {
        match &self.definition.information {
            Some(information) => format!("{sql} {information}"),
            None => sql.to_owned(),
        }
    }

    /// A string type. Oracle's unit of the length, as in `15 char`, is dropped.
    fn string(&self, name: &str) -> String {
        match self.definition.parameters.as_slice() {
            [length] if length == NO_LENGTH => "CHARACTER VARYING".to_owned(),
            [length] => self.with_information(&format!("{name}({})", without_unit(length))),
            _ => self.generic(name),
        }
    }

    fn has_time_zone(&self) -> bool {
        let lower = self.definition.written.to_lowercase();
        lower.contains("with time zone") || lower.contains("tz")
    }

    fn time(&self) -> Result<String, DataTypeError> {
        let parameters = self.definition.parameters.as_slice();
        let digits = match parameters.first() {
            Some(digits) => digits.parse::<u32>().map_err(|_| DataTypeError::NotANumber { text: digits.clone() })?,
            None => 0,
        };
        let kept = if digits > MAX_FRACTIONAL_DIGITS { &[] } else { parameters };
        Ok(format!("{} {}", with_parameters("time", kept), zone(self.has_time_zone())))
    }

    fn timestamp(&self) -> Result<String, DataTypeError> {
        let parameters = self.definition.parameters.as_slice();
        if let Some(digits) = parameters.first() {
            let count = digits.parse::<u32>().map_err(|_| DataTypeError::TimestampDigits { digits: digits.clone() })?;
            if count > MAX_FRACTIONAL_DIGITS {
                return Err(DataTypeError::TimestampPrecision { digits: count });
            }
        }
        if self.definition.name.eq_ignore_ascii_case("java.sql.Types.TIMESTAMP_WITH_TIMEZONE") {
            return Ok(format!(
                "{} WITH TIME ZONE",
                with_parameters("TIMESTAMP", &parameters[..parameters.len().min(1)])
            ));
        }
        if let Some(information) = &self.definition.information {
            let upper = information.to_uppercase();
            let zone =
                if upper.contains("TIMEZONE") { upper.replace("TIMEZONE", "TIME ZONE") } else { information.clone() };
            return Ok(format!("{} {zone}", with_parameters("TIMESTAMP", &parameters[..parameters.len().min(1)])));
        }
        Ok(self.date_time(self.has_time_zone()))
    }

    /// A timestamp without further words. The second of two parameters counts.
    fn date_time(&self, has_time_zone: bool) -> String {
        let digits = match self.definition.parameters.as_slice() {
            [_, digits] => std::slice::from_ref(digits),
            parameters => &parameters[..parameters.len().min(1)],
        };
        format!("{} {}", with_parameters("TIMESTAMP", digits), zone(has_time_zone))
    }

    /// A type that is in no class.
    ///
    /// Liquibase repeats the words of an interval, and writes the parameters of an array behind its brackets. PostgreSQL accepts neither, so
    /// both are written correctly.
    fn unknown(&self) -> String {
        let definition = &self.definition;
        if definition.is_interval() {
            return definition.written.to_uppercase();
        }
        let name = definition.name.to_uppercase();
        let count = match name.as_str() {
            "ENUM" | "SET" => definition.parameters.len(),
            _ => definition.parameters.len().min(MAX_PARAMETERS),
        };
        let parameters = &definition.parameters[..count];
        let sql = match name.find('[').filter(|_| !parameters.is_empty()) {
            Some(start) => format!("{}{}", with_parameters(&name[..start], parameters), &name[start..]),
            None => with_parameters(&name, parameters),
        };
        self.with_information(&sql)
    }
}

fn zone(is_with: bool) -> &'static str {
    if is_with { "WITH TIME ZONE" } else { "WITHOUT TIME ZONE" }
}

fn with_parameters(name: &str, parameters: &[String]) -> String {
    if parameters.is_empty() { name.to_owned() } else { format!("{name}({})", parameters.join(", ")) }
}

/// A length without Oracle's unit, as in `15 char`.
fn without_unit(length: &str) -> &str {
    let number = |unit: &str| {
        let split = length.len().checked_sub(unit.len())?;
        let (number, word) = (length.get(..split)?, length.get(split..)?);
        word.eq_ignore_ascii_case(unit)
            .then(|| number.trim_end())
            .filter(|number| number.ends_with(|c: char| c.is_ascii_digit()))
    };
    number("char").or_else(|| length.strip_suffix(" BYTE")).unwrap_or(length)
}

/// Whether the first parameter is a number above the limit.
fn is_above(parameters: &[String], limit: u32) -> bool {
    parameters.first().and_then(|first| first.parse::<u32>().ok()).is_some_and(|first| first > limit)
}
