//! Whom limits count as one client: an address, or a network of them where one customer is given that many.
//!
//! Also the networks that an option names, and what a proxy among them says of where a request is from.
//!
//! ```text
//! networks        = network *( "," network )
//! network         = address [ "/" bits ]
//! X-Forwarded-For = address *( "," address )        each proxy adds who came to it, at the end
//! ```

use std::net::IpAddr;

/// One client, as far as its address tells: an IPv4 address, or the 64 bits of an IPv6 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// An IPv4 address, also where it is written as an IPv6 one.
    V4(u32),
    /// The upper half of an IPv6 address: its lower half is the customer's own to choose.
    V6(u64),
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Client {
        match address.to_canonical() {
            IpAddr::V4(address) => Client::V4(address.to_bits()),
            IpAddr::V6(address) => Client::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl Client {
    /// The same for the same client, for tables.
    pub(crate) fn to_bytes(self) -> [u8; 9] {
        let (kind, number) = match self {
            Client::V4(address) => (4, u64::from(address)),
            Client::V6(network) => (6, network),
        };
        let mut bytes = [kind; 9];
        bytes[1..].copy_from_slice(&number.to_be_bytes());
        bytes
    }
}

/// Places where only so many are given out; they are given up by being dropped.
pub type Place = Box<dyn std::fmt::Debug + Send>;

/// Some networks; those of an empty text hold nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// The upper `bits` of an address. An IPv4 address is kept as the IPv6 address that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: u128,
    bits: u32,
}

/// The bits before the 32 of an IPv4 address.
const MAPPED_BITS: u32 = 96;

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Networks {
    /// Reads networks parted by commas, or says which is none.
    pub fn parse(text: &str) -> Result<Networks, String> {
        if text.is_empty() {
            return Ok(Networks::default());
        }
        let network = |text: &str| Network::parse(text).ok_or_else(|| format!("{text:?} is no address and no network"));
        text.split(',').map(|text| network(text.trim())).collect::<Result<_, _>>().map(Networks)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `address` lies in one of them.
    pub fn hold(&self, address: IpAddr) -> bool {
        let address = bits_of(address);
        self.0.iter().any(|network| network.holds(address))
    }

    /// Where a request is from that came in from `peer`: the last address of `forwarded` (the values of its
    /// `X-Forwarded-For`, in order) that is none of these networks'. What stands before it anybody may have made up; what
    /// cannot be read makes it the last that could.
    pub fn origin<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a [u8]>) -> IpAddr {
        let mut from = peer;
        let hops = forwarded.rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
        for hop in hops {
            if !self.hold(from) {
                break;
            }
            let Some(address) = read_hop(hop) else { break };
            from = address;
        }
        from
    }
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok().filter(|_| bits.bytes().all(|bit| bit.is_ascii_digit()))?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (before, most) = if address.is_ipv4() { (MAPPED_BITS, 32) } else { (0, 128) };
        let bits: u32 = bits.unwrap_or(most);
        (bits <= most).then(|| Network { address: bits_of(address), bits: before + bits })
    }

    fn holds(&self, address: u128) -> bool {
        // A shift by all bits is no shift: a network of no bits holds everybody.
        (address ^ self.address).checked_shr(128 - self.bits).unwrap_or(0) == 0
    }
}

/// One hop: an address, perhaps with a port, as some proxies write it.
fn read_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']')?.0.parse().ok();
    }
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => text.split_once(':')?.0.parse().ok().filter(IpAddr::is_ipv4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_is_one_client_and_so_is_a_network_of_64_bits() {
        let same = |one: &str, other: &str| Client::from(address(one)) == Client::from(address(other));
        assert!(same("10.0.0.1", "::ffff:10.0.0.1"));
        assert!(same("2001:db8::1", "2001:db8::ffff:0:0:1"));
        assert!(!same("10.0.0.1", "10.0.0.2"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(!same("0.0.0.1", "::1"));
        assert_ne!(Client::V4(1).to_bytes(), Client::V6(1).to_bytes());
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_as_it_does() {
        for (networks, inside, outside) in [
            ("10.0.0.0/8", "10.1.2.3", "11.0.0.0"),
            ("10.0.0.7", "::ffff:10.0.0.7", "10.0.0.8"),
            ("192.168.0.0/16, ::1", "::1", "::2"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
        ] {
            let networks = Networks::parse(networks).expect("networks");
            assert!(networks.hold(address(inside)), "{inside}");
            assert!(!networks.hold(address(outside)), "{outside}");
        }
        assert!(Networks::parse("::/0").expect("a network").hold(address("1.2.3.4")));
        for bad in ["10.0.0.0/33", "::/129", "ten", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.1,", "10.0.0.1/8/8"] {
            assert!(Networks::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_request_is_from_the_last_address_that_no_trusted_proxy_has() {
        let networks = Networks::parse("10.0.0.0/8,::1").expect("networks");
        for (peer, forwarded, from) in [
            ("1.1.1.1", &["9.9.9.9"][..], "1.1.1.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["2.2.2.2"], "2.2.2.2"),
            ("10.0.0.1", &["9.9.9.9, 2.2.2.2"], "2.2.2.2"),
            ("10.0.0.1", &["9.9.9.9, 2.2.2.2, 10.0.0.3"], "2.2.2.2"),
            ("10.0.0.1", &["9.9.9.9", "2.2.2.2,10.0.0.3"], "2.2.2.2"),
            ("10.0.0.1", &["2.2.2.2, nonsense"], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.9"], "10.0.0.9"),
            ("::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("::1", &["2001:db8::1"], "2001:db8::1"),
            ("::1", &["2.2.2.2:1234"], "2.2.2.2"),
            ("::1", &[""], "::1"),
        ] {
            let origin = networks.origin(address(peer), forwarded.iter().map(|value| value.as_bytes()));
            assert_eq!(origin, address(from), "{peer} {forwarded:?}");
        }
    }
}
