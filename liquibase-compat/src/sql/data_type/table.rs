//! The names of data types and their classes. Liquibase has one Java class for each.

/// A class of data types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Int,
    BigInt,
    SmallInt,
    TinyInt,
    MediumInt,
    Decimal,
    Number,
    Currency,
    Float,
    Double,
    Boolean,
    Varchar,
    NVarchar,
    Char,
    NChar,
    Clob,
    Blob,
    Uuid,
    Xml,
    Date,
    Time,
    DateTime,
    Timestamp,
    Function,
    Unknown,
}

/// Each class with the name of Liquibase's Java class and the names of its types, in lower case.
const CLASSES: &[(Class, &str, &[&str])] = &[
    (
        Class::Int,
        "IntType",
        &["int", "integer", "java.sql.types.integer", "java.lang.integer", "serial", "int4", "serial4"],
    ),
    (
        Class::BigInt,
        "BigIntType",
        &[
            "bigint",
            "java.sql.types.bigint",
            "java.math.biginteger",
            "java.lang.long",
            "integer8",
            "bigserial",
            "serial8",
            "int8",
        ],
    ),
    (Class::SmallInt, "SmallIntType", &["smallint", "java.sql.types.smallint", "int2", "smallserial"]),
    (Class::TinyInt, "TinyIntType", &["tinyint", "java.sql.types.tinyint"]),
    (Class::MediumInt, "MediumIntType", &["mediumint"]),
    (Class::Decimal, "DecimalType", &["decimal", "java.sql.types.decimal", "java.math.bigdecimal"]),
    (Class::Number, "NumberType", &["number", "numeric", "java.sql.types.numeric"]),
    (Class::Currency, "CurrencyType", &["currency", "money", "smallmoney"]),
    (Class::Float, "FloatType", &["float", "java.sql.types.float", "java.lang.float", "real", "java.sql.types.real"]),
    (Class::Double, "DoubleType", &["double", "java.sql.types.double", "java.lang.double"]),
    (Class::Boolean, "BooleanType", &["boolean", "java.sql.types.boolean", "java.lang.boolean", "bit", "bool"]),
    (
        Class::Varchar,
        "VarcharType",
        &["varchar", "java.sql.types.varchar", "java.lang.string", "varchar2", "character varying"],
    ),
    (Class::NVarchar, "NVarcharType", &["nvarchar", "java.sql.types.nvarchar", "nvarchar2", "national"]),
    (Class::Char, "CharType", &["char", "java.sql.types.char", "bpchar", "character"]),
    (Class::NChar, "NCharType", &["nchar", "java.sql.types.nchar", "nchar2"]),
    (
        Class::Clob,
        "ClobType",
        &[
            "longvarchar",
            "text",
            "longtext",
            "java.sql.types.longvarchar",
            "java.sql.types.clob",
            "nclob",
            "longnvarchar",
            "ntext",
            "java.sql.types.longnvarchar",
            "java.sql.types.nclob",
            "tinytext",
            "mediumtext",
            "long varchar",
            "long nvarchar",
            "clob",
        ],
    ),
    (
        Class::Blob,
        "BlobType",
        &[
            "blob",
            "longblob",
            "longvarbinary",
            "java.sql.types.blob",
            "java.sql.types.longblob",
            "java.sql.types.longvarbinary",
            "java.sql.types.varbinary",
            "java.sql.types.binary",
            "varbinary",
            "binary",
            "image",
            "tinyblob",
            "mediumblob",
            "long binary",
            "long varbinary",
        ],
    ),
    (Class::Uuid, "UUIDType", &["uuid", "uniqueidentifier", "java.util.uuid"]),
    (Class::Xml, "XMLType", &["xml", "xmltype", "java.sql.types.sqlxml"]),
    (Class::Date, "DateType", &["date", "java.sql.types.date", "java.sql.date"]),
    (Class::Time, "TimeType", &["time", "java.sql.types.time", "java.sql.time", "timetz"]),
    (
        Class::DateTime,
        "DateTimeType",
        &["datetime", "java.sql.types.datetime", "java.util.date", "smalldatetime", "datetime2"],
    ),
    (
        Class::Timestamp,
        "TimestampType",
        &[
            "timestamp",
            "java.sql.types.timestamp",
            "java.sql.timestamp",
            "timestamptz",
            "java.sql.types.timestamp_with_timezone",
        ],
    ),
    (Class::Function, "DatabaseFunctionType", &["function", "liquibase.statement.databasefunction"]),
];

impl Class {
    /// The class of a name in any case.
    pub(super) fn named(name: &str) -> Self {
        let lower = name.to_lowercase();
        let found = CLASSES.iter().find(|(_, _, names)| names.contains(&lower.as_str()));
        found.map_or(Self::Unknown, |(class, ..)| *class)
    }

    /// The name in Liquibase's messages.
    pub(super) fn java_name(self) -> &'static str {
        let found = CLASSES.iter().find(|(class, ..)| *class == self);
        found.map_or("UnknownType", |(_, name, _)| name)
    }

    /// Whether a column of the class can be declared an identity.
    pub(super) const fn has_auto_increment(self) -> bool {
        use Class::{BigInt, Decimal, Int, MediumInt, Number, SmallInt, TinyInt, Unknown};
        matches!(self, Int | BigInt | SmallInt | TinyInt | MediumInt | Decimal | Number | Unknown)
    }

    /// Whether a column of the class is an identity by itself if its definition contains the word `serial`.
    pub(super) const fn has_serial_names(self) -> bool {
        matches!(self, Self::Int | Self::BigInt | Self::SmallInt)
    }
}
