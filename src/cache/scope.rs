//! What a cached value depends on.
//!
//! Policy: the caller decides what its scopes are. A value names every scope that it depends on, always the same ones for one key;
//! a change names every scope that it affects. The scope of one member (one employee) and the scope of a whole group (all lists)
//! are independent of each other: a change that affects both names both.

/// A part of the data whose change makes values invalid. Its name is part of a Redis key that several versions of this program may
/// share: a group keeps its name for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope<'a> {
    group: &'static str,
    member: Option<&'a str>,
}

/// A scope that owns its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OwnedScope {
    group: &'static str,
    member: Option<Box<str>>,
}

impl<'a> Scope<'a> {
    /// The whole of a group.
    pub const fn whole(group: &'static str) -> Self {
        Self { group, member: None }
    }

    /// One member of a group.
    pub const fn member(group: &'static str, member: &'a str) -> Self {
        Self { group, member: Some(member) }
    }

    /// The Redis key of the scope's generation.
    pub(super) fn generation_key(self, prefix: &str) -> String {
        match self.member {
            None => [prefix, "g:", self.group].concat(),
            Some(member) => [prefix, "g:", self.group, ":", member].concat(),
        }
    }
}

impl From<Scope<'_>> for OwnedScope {
    fn from(Scope { group, member }: Scope<'_>) -> Self {
        Self { group, member: member.map(Box::from) }
    }
}

impl OwnedScope {
    pub(super) fn as_scope(&self) -> Scope<'_> {
        Scope { group: self.group, member: self.member.as_deref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_and_its_group_have_keys_of_their_own() {
        assert_eq!(Scope::whole("a").generation_key("p:"), "p:g:a");
        assert_eq!(Scope::member("e", "1").generation_key("p:"), "p:g:e:1");
        assert_eq!(OwnedScope::from(Scope::member("e", "1")).as_scope(), Scope::member("e", "1"));
    }
}
