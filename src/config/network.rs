//! IP networks, as lists of trusted peers have them.

use std::net::IpAddr;

/// A network of IPv4 or IPv6, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// An address of it.
    address: IpAddr,
    /// How many bits its addresses have in common.
    prefix: u32,
}

/// A text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network")]
pub struct Error(String);

impl Network {
    /// Reads `10.0.0.0/8`, `fd00::/8` or a single address. Bits of the address beyond the prefix have no meaning.
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            // Rust would accept a sign.
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= bits)?
            }
            Some(_) => return None,
        };
        Some(Self { address, prefix })
    }

    /// Whether an address belongs to the network. An IPv4 address in the form of IPv6 (`::ffff:10.0.0.1`) counts as that address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                self.prefix == 0 || differing >> (32 - self.prefix) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                self.prefix == 0 || differing >> (128 - self.prefix) == 0
            }
            _ => false,
        }
    }
}

/// Reads networks that are separated by commas.
///
/// # Errors
/// The first text that is not a network.
pub fn parse_list(text: &str) -> Result<Vec<Network>, Error> {
    let parse = |item: &str| Network::parse(item).ok_or_else(|| Error(item.chars().take(MAX_SHOWN).collect()));
    text.split(',').map(str::trim).map(parse).collect()
}

/// The longest part of a wrong item that a message repeats, in characters.
const MAX_SHOWN: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        Network::parse(network).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_belongs_to_a_network_if_its_first_bits_do() {
        for (network, address) in [
            ("10.0.0.0/8", "10.255.0.1"),
            ("10.1.2.3/8", "10.9.9.9"),
            ("192.168.0.7", "192.168.0.7"),
            ("0.0.0.0/0", "255.255.255.255"),
            ("10.0.0.0/31", "::ffff:10.0.0.1"),
            ("fd00::/8", "fdff::1"),
            ("::/0", "2001:db8::1"),
            ("2001:db8::/127", "2001:db8::1"),
            ("::1", "::1"),
        ] {
            assert!(contains(network, address), "{network} {address}");
        }
        for (network, address) in [
            ("10.0.0.0/8", "11.0.0.1"),
            ("192.168.0.7", "192.168.0.6"),
            ("10.0.0.0/31", "10.0.0.2"),
            ("fd00::/8", "fc00::1"),
            ("::/0", "10.0.0.1"),
            ("0.0.0.0/0", "::1"),
            ("2001:db8::/127", "2001:db8::2"),
        ] {
            assert!(!contains(network, address), "{network} {address}");
        }
    }

    #[test]
    fn a_list_names_its_first_wrong_item() {
        assert_eq!(parse_list("10.0.0.0/8,::1 , 192.168.0.0/16").unwrap().len(), 3);
        for wrong in ["10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "proxy", "", "*"]
        {
            let error = parse_list(&format!("::1,{wrong}")).unwrap_err();
            assert_eq!(error, Error(wrong.to_owned()));
        }
    }
}
