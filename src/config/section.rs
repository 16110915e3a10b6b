//! The declaration of the keys of one section.
//!
//! Policy: a key is declared once. From its line come the field that holds its value, that field's documentation, the row of the
//! table, its text in the template, its default, and whether a reload changes it.

use super::key::Key;

/// A struct whose fields hold the values of keys.
pub trait KeyGroup {
    /// Its keys, in the template's order.
    const KEYS: &'static [Key];

    /// Takes over the values of those keys that change without a restart.
    fn take_reloadable(&mut self, changed: &Self);
}

/// Declares a section: its documentation, its name, and the structs that hold the values of its keys.
///
/// A key is `name: type = "default" => kind, property …;` below its documentation. Without a default it may be empty, and the type
/// is an `Option` or a `Vec`. The properties are `secret` and `reloadable` ([`Key`] has a method for each). Fields in
/// `resolved { … }` have no key: their values are passed to `read`.
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        $section:literal {
            $( $(#[$struct_attribute:meta])+ $visibility:vis struct $name:ident $fields:tt )+
        }
    ) => {
        /// The section of this module in the table of keys.
        pub(super) static SECTION: $crate::config::table::Section = $crate::config::table::Section {
            name: Some($section),
            documentation: concat!($($doc, "\n"),+),
            groups: &[$( <$name as $crate::config::section::KeyGroup>::KEYS ),+],
        };

        $( $crate::config::section::key_group! { $section $(#[$struct_attribute])+ $visibility struct $name $fields } )+
    };
}

/// Declares one struct of a section.
macro_rules! key_group {
    (
        $section:literal
        $(#[$struct_attribute:meta])+
        $visibility:vis struct $name:ident {
            $( resolved {
                $( $(#[doc = $resolved_doc:literal])+ $resolved:ident: $resolved_type:ty; )+
            } )?
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty $(= $default:literal)? => $kind:expr $(, $property:ident)*;
            )+
        }
    ) => {
        $(#[$struct_attribute])+
        #[derive(Debug, Clone)]
        $visibility struct $name {
            $( $( $(#[doc = $resolved_doc])+ pub $resolved: $resolved_type, )+ )?
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl $name {
            /// Reads the values of its keys; `None` if one has no value, which is then among the problems of the settings.
            fn read(
                settings: &mut $crate::config::settings::Settings
                $( $( , $resolved: Option<$resolved_type> )+ )?
            ) -> Option<Self> {
                $( let $field: Option<$type> = settings.read(concat!($section, ".", stringify!($field))); )+
                Some(Self {
                    $( $( $resolved: $resolved?, )+ )?
                    $( $field: $field?, )+
                })
            }
        }

        impl $crate::config::section::KeyGroup for $name {
            const KEYS: &'static [$crate::config::key::Key] = &[
                $(
                    $crate::config::key::Key::new(
                        concat!($section, ".", stringify!($field)),
                        $kind,
                        concat!($($doc, "\n"),+),
                    )
                    $( .default($default) )?
                    $( .$property() )*
                ),+
            ];

            fn take_reloadable(&mut self, changed: &Self) {
                for key in Self::KEYS.iter().filter(|key| key.is_reloadable) {
                    match key.name() {
                        $( stringify!($field) => self.$field.clone_from(&changed.$field), )+
                        _ => {}
                    }
                }
            }
        }
    };
}

pub(super) use {key_group, section};
