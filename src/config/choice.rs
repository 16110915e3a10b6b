//! Values that are one of a few words: each word is declared beside the variant that it stands for.

/// A type whose values are words in the configuration.
pub trait Choice: Sized {
    /// Every word, in the order in which messages list them.
    const WORDS: &'static [&'static str];

    /// The value that a word stands for.
    fn from_word(word: &str) -> Option<Self>;
}

impl Choice for bool {
    const WORDS: &'static [&'static str] = &["true", "false"];

    fn from_word(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}

/// Declares an enum with the word of each variant, and implements [`Choice`] for it.
macro_rules! choice {
    (
        $(#[$attribute:meta])+
        pub enum $name:ident {
            $( $(#[$variant_attribute:meta])+ $variant:ident = $word:literal, )+
        }
    ) => {
        $(#[$attribute])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $( $(#[$variant_attribute])+ $variant, )+
        }

        impl $crate::config::choice::Choice for $name {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn from_word(word: &str) -> Option<Self> {
                match word {
                    $( $word => Some(Self::$variant), )+
                    _ => None,
                }
            }
        }
    };
}
pub(super) use choice;
