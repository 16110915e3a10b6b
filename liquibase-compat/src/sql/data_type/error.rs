//! Why a data type, or a value of it, has no SQL. The texts are Liquibase's.

/// Why a data type of a changelog, or a value of it, has no SQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataTypeError {
    /// The type has no such property; `autoIncrement` exists for numbers only.
    #[error("Property [{property}] was not found for object type [liquibase.datatype.core.{class}]")]
    UnknownProperty {
        /// The property.
        property: String,
        /// Liquibase's class of the type.
        class: &'static str,
    },
    /// The text in braces is not a property and its value, in most cases because a changelog property is undefined.
    #[error("Data type definition contains unparseable embedded information: `{definition}`")]
    EmbeddedInformation {
        /// The definition.
        definition: String,
    },
    /// The number of fractional digits of a timestamp is not a number.
    #[error(
        "A timestamp with '{digits}' fractional digits was requested, but '{digits}' does not seem to be an integer."
    )]
    TimestampDigits {
        /// The text in its place.
        digits: String,
    },
    /// A timestamp has more fractional digits than PostgreSQL keeps.
    #[error(
        "Using a TIMESTAMP data type with a fractional precision of {digits} is not supported on postgresql: A timestamp datatype with \
         {digits} fractional digits was requested, but PostgreSQL only supports 6 digits."
    )]
    TimestampPrecision {
        /// The number of digits.
        digits: u32,
    },
    /// The number of fractional digits of a time is not a number.
    #[error("For input string: \"{text}\"")]
    NotANumber {
        /// The text in its place.
        text: String,
    },
    /// The value of a boolean is neither true nor false.
    #[error("Unknown boolean value: {value}")]
    UnknownBoolean {
        /// The value.
        value: String,
    },
    /// The value of a boolean is a date.
    #[error("Cannot convert type class {class} to a boolean value")]
    NotABoolean {
        /// The Java class of the value.
        class: &'static str,
    },
    /// The value is not one of the type.
    #[error("class {class} cannot be cast to class {wanted}")]
    WrongValue {
        /// The Java class of the value.
        class: &'static str,
        /// The Java class of the type's values.
        wanted: &'static str,
    },
}

impl DataTypeError {
    /// The Java class of Liquibase's exception.
    pub(crate) const fn java_exception(&self) -> &'static str {
        match self {
            Self::TimestampDigits { .. } | Self::TimestampPrecision { .. } => {
                "liquibase.exception.DatabaseIncapableOfOperation"
            }
            Self::NotANumber { .. } => "java.lang.NumberFormatException",
            Self::WrongValue { .. } => "java.lang.ClassCastException",
            Self::UnknownProperty { .. }
            | Self::EmbeddedInformation { .. }
            | Self::UnknownBoolean { .. }
            | Self::NotABoolean { .. } => "liquibase.exception.UnexpectedLiquibaseException",
        }
    }
}
