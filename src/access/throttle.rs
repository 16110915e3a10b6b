//! Failed logins, and how long the next attempt has to wait.
//!
//! Policy: failures are counted in PostgreSQL, so that they hold for every instance and after a restart: for an account and a network together, and for the
//! network alone (an IPv4 address, an IPv6 network of 64 bits). From the third failure on, the next attempt has to wait for a second, then twice
//! as long each time, up to 15 minutes; an attempt meanwhile is refused without looking at the password, and is not counted. A login resets both. An
//! account also counts the failures of all networks from which it has never been logged in to, and refuses those networks only: so guessing
//! from many networks is slowed down, and does not lock out the account's user. A count is forgotten after a day.
//!
//! A name without an account counts for one of many numbers that are derived from the name with a secret key: so it is treated like an account, and no
//! name is stored that may be a mistyped password. Refusals are answered from memory as long as they last; the audit has one entry for
//! each network and minute. A refusal is sent a moment late, so that a client which repeats its attempt at once costs little; the number of refusals that
//! wait is bounded, and a client has at most its fair share of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio_postgres::Row;

use super::audit::AuditAction;
use super::principal::AccountId;
use super::store::{Store, number, text};
use crate::database::QueryError;
use crate::peer_counts::{Peer, PeerCounts};

/// Failures of a network, or of an account and a network, from which on the next attempt has to wait.
const FREE_FAILURES: i64 = 3;
/// Failures of an account from networks that are unknown to it from which on they have to wait.
const FREE_FAILURES_OF_ALL: i64 = 50;
/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(15 * 60);
/// The audit gets an entry about a network this often at most.
const NOTE_INTERVAL: Duration = Duration::from_secs(60);
/// Networks that are remembered as refused.
const MAX_REFUSED: usize = 10_000;
/// A refusal is sent so much later.
const REFUSAL_DELAY: Duration = Duration::from_millis(250);
/// Refusals that may wait at the same time.
const MAX_DELAYED: u64 = 1024;
/// Numbers that stand for names without an account.
const UNKNOWN_SUBJECTS: u64 = 1 << 20;

/// Networks from which an account was logged in to that are stored.
pub(super) const MAX_NETWORKS: i64 = 100;
/// A count is forgotten after this time, in seconds.
const FORGET_AFTER: i64 = 24 * 3600;
/// Rows that are removed at once.
const MAX_REMOVED: i64 = 1000;

/// The waits in milliseconds that the counts of an attempt impose. The count of all networks does not apply to one from which the account was logged in to.
const WAIT: &str = "SELECT (ceil(extract(epoch FROM max(blocked_until) - clock_timestamp()) * 1000))::bigint \
    FROM attendance_api.login_failures \
    WHERE blocked_until > clock_timestamp() AND (subject, network) IN (($1, $2), (0, $2), ($1, '*')) \
    AND (network <> '*' OR NOT EXISTS (SELECT FROM attendance_api.login_networks AS known WHERE known.account = $1 AND known.network = $2))";
/// Counts a failure three times, writes it to the audit, and returns the wait of the network. The rows are locked in one order, so that two failures do not
/// wait for each other.
const COUNT: &str = "WITH noted AS (INSERT INTO attendance_api.audit (action, account, address) VALUES ($6, $7, $8)), totals AS (INSERT INTO attendance_api.login_failures AS counted (subject, network, failures, last_failure) \
    SELECT subject, network, 1, clock_timestamp() FROM (SELECT 0::bigint AS subject, $2::text AS network UNION ALL SELECT $1::bigint, $2::text \
        UNION ALL SELECT $1::bigint, '*' WHERE NOT EXISTS (SELECT FROM attendance_api.login_networks AS known WHERE known.account = $1 AND known.network = $2)) AS failed \
    ORDER BY subject, network \
    ON CONFLICT (subject, network) DO UPDATE SET failures = counted.failures + 1, last_failure = clock_timestamp(), \
        blocked_until = CASE WHEN counted.failures + 1 >= CASE counted.network WHEN '*' THEN $4::bigint ELSE $3::bigint END \
            THEN clock_timestamp() + least(power(2, least(counted.failures + 1 - CASE counted.network WHEN '*' THEN $4::bigint ELSE $3::bigint END, 30)), $5::bigint) \
                * interval '1 second' END \
        RETURNING subject, blocked_until) \
    SELECT (ceil(extract(epoch FROM blocked_until - clock_timestamp()) * 1000))::bigint FROM totals WHERE subject = 0 AND blocked_until > clock_timestamp()";
const REMOVE_OLD: &str = "DELETE FROM attendance_api.login_failures WHERE (subject, network) IN (\
    SELECT subject, network FROM attendance_api.login_failures WHERE last_failure < clock_timestamp() - $1::bigint * interval '1 second' \
    LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING subject";
/// Writes one entry of the audit for the refusals of a minute, also if another instance has refused as well.
const NOTE: &str = "INSERT INTO attendance_api.audit (action, address) SELECT 'login_throttled', $1::text WHERE NOT EXISTS (\
    SELECT FROM attendance_api.audit WHERE at > clock_timestamp() - interval '1 minute' AND action = 'login_throttled' AND address = $1)";
/// The statements by which a login resets the counts and stores the network for the account.
pub(super) const RESET: &str =
    "DELETE FROM attendance_api.login_failures WHERE (subject, network) IN (($1, $2), (0, $2), ($1, '*'))";
pub(super) const REMEMBER: &str = "INSERT INTO attendance_api.login_networks (account, network) VALUES ($1, $2) \
    ON CONFLICT (account, network) DO UPDATE SET last_login = clock_timestamp()";
pub(super) const FORGET: &str = "DELETE FROM attendance_api.login_networks WHERE account = $1 AND network IN (\
    SELECT network FROM attendance_api.login_networks WHERE account = $1 ORDER BY last_login DESC, network OFFSET $2)";

/// The network of a client, as the counts name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Network(String);

impl Network {
    pub(super) fn of(address: IpAddr) -> Self {
        Self(Peer::of(address).to_string())
    }

    pub(super) fn as_str(&self) -> &String {
        &self.0
    }
}

/// Whom a failure counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subject(pub(super) i64);

impl Subject {
    pub(super) fn account(id: AccountId) -> Self {
        Self(id)
    }

    /// A name without an account: one of many negative numbers, which only the holder of the key can work out.
    pub(super) fn unknown(key: &[u8; 32], name: &str) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of each length");
        mac.update(b"login name ");
        mac.update(name.as_bytes());
        let digest = mac.finalize().into_bytes();
        let number =
            digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)) % UNKNOWN_SUBJECTS;
        Self(-1 - i64::try_from(number).expect("the remainder is small"))
    }
}

/// Networks that are refused at the moment.
#[derive(Debug, Default)]
pub(super) struct Refused {
    networks: Mutex<HashMap<Network, Block>>,
    /// The refusals that are sent late.
    delayed: Arc<PeerCounts>,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    /// Until when, whatever the subject: remembered only for the count of the network alone.
    until: Option<Instant>,
    /// When the audit got an entry.
    noted_at: Option<Instant>,
}

impl Block {
    fn is_current(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until > now)
            || self.noted_at.is_some_and(|noted_at| now.saturating_duration_since(noted_at) < NOTE_INTERVAL)
    }
}

impl Refused {
    /// How long a network still has to wait, if that is known.
    pub(super) fn wait(&self, network: &Network, now: Instant) -> Option<Duration> {
        let until = self.refused().get(network)?.until?;
        Some(until.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// Waits before a refusal is sent, unless too many wait.
    pub(super) async fn delay(&self, peer: Peer) {
        let place = self.delayed.try_add(peer, 1, |usage| usage.is_fair(1, MAX_DELAYED));
        if place.is_some() {
            tokio::time::sleep(REFUSAL_DELAY).await;
        }
    }

    /// Remembers until when a network is refused.
    pub(super) fn insert(&self, network: &Network, until: Instant, now: Instant) {
        self.update(network, now, |refusal| refusal.until = Some(until));
    }

    /// Claims the entry of the audit about a network: true for the first caller, and again after a minute.
    pub(super) fn claim_note(&self, network: &Network, now: Instant) -> bool {
        let mut is_due = false;
        self.update(network, now, |refusal| {
            is_due = refusal.noted_at.is_none_or(|noted_at| now.saturating_duration_since(noted_at) >= NOTE_INTERVAL);
            if is_due {
                refusal.noted_at = Some(now);
            }
        });
        is_due
    }

    /// Changes the entry of a network, unless there are too many.
    fn update(&self, network: &Network, now: Instant, change: impl FnOnce(&mut Block)) {
        let mut refused = self.refused();
        if refused.len() >= MAX_REFUSED && !refused.contains_key(network) {
            refused.retain(|_, refusal| refusal.is_current(now));
        }
        if refused.len() < MAX_REFUSED || refused.contains_key(network) {
            change(refused.entry(network.clone()).or_insert(Block { until: None, noted_at: None }));
        }
    }

    fn refused(&self) -> MutexGuard<'_, HashMap<Network, Block>> {
        // An entry is changed whole: a panic leaves none half-changed.
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// How long an attempt has to wait before it is made.
    pub(super) async fn wait(&self, subject: Subject, network: &Network) -> Result<Option<Duration>, QueryError> {
        wait_of(&self.read(WAIT, &[number(&subject.0), text(network.as_str())]).await?)
    }

    /// Counts a failure and writes it to the audit. Returns how long the network has to wait whatever the subject.
    pub(super) async fn count_failure(
        &self,
        subject: Subject,
        network: &Network,
        address: IpAddr,
    ) -> Result<Option<Duration>, QueryError> {
        let longest = i64::try_from(MAX_WAIT.as_secs()).unwrap_or(i64::MAX);
        let limits = [FREE_FAILURES, FREE_FAILURES_OF_ALL, longest];
        let [free, free_of_all, longest] = &limits;
        let action = AuditAction::LoginFailed.as_str();
        let account = Some(subject.0).filter(|subject| *subject > 0);
        let address = address.to_canonical().to_string();
        let parameters = [
            number(&subject.0),
            text(network.as_str()),
            number(free),
            number(free_of_all),
            number(longest),
            text(&action),
            number(&account),
            text(&address),
        ];
        wait_of(&self.change(COUNT, &parameters).await?)
    }

    /// Writes to the audit that a client was refused, at most once a minute.
    pub(super) async fn note_refusal(&self, address: IpAddr) -> Result<(), QueryError> {
        let address = address.to_canonical().to_string();
        self.change(NOTE, &[text(&address)]).await.map(drop)
    }

    /// Forgets a bounded number of counts that have become old. Returns whether there may be more of them.
    pub(super) async fn forget_failures(&self) -> Result<bool, QueryError> {
        let removed = self.change(REMOVE_OLD, &[number(&FORGET_AFTER), number(&MAX_REMOVED)]).await?;
        Ok(i64::try_from(removed.len()).is_ok_and(|removed| removed >= MAX_REMOVED))
    }
}

/// A wait in milliseconds, if there is one.
fn wait_of(rows: &[Row]) -> Result<Option<Duration>, QueryError> {
    let wait: Option<i64> = rows.first().map_or(Ok(None), |row| row.try_get(0)).map_err(QueryError::statement)?;
    Ok(wait.and_then(|wait| u64::try_from(wait).ok()).map(|wait| Duration::from_millis(wait.max(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(last: u8) -> Network {
        Network::of(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn the_addresses_of_an_ipv6_network_and_both_forms_of_an_ipv4_address_are_one() {
        let of = |address: &str| Network::of(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(
            (of("10.0.0.1").as_str().as_str(), of("2001:db8::1").as_str().as_str()),
            ("10.0.0.1", "2001:db8::/64")
        );
    }

    #[test]
    fn a_name_without_an_account_has_a_number_that_depends_on_the_key() {
        let of = |key: u8, name: &str| Subject::unknown(&[key; 32], name);
        assert_eq!(of(1, "ada"), of(1, "ada"));
        assert_ne!(of(1, "ada"), of(1, "bob"));
        assert_ne!(of(1, "ada"), of(2, "ada"));
        assert!((0..1000).all(|number| of(1, &number.to_string()).0 < 0));
    }

    #[test]
    fn a_refusal_is_remembered_until_its_end() {
        let (refused, now) = (Refused::default(), Instant::now());
        assert_eq!(refused.wait(&network(1), now), None);
        refused.insert(&network(1), now + Duration::from_secs(4), now);
        assert_eq!(refused.wait(&network(1), now + Duration::from_secs(1)), Some(Duration::from_secs(3)));
        assert_eq!(refused.wait(&network(1), now + Duration::from_secs(4)), None);
        assert_eq!(refused.wait(&network(2), now), None);
    }

    #[tokio::test]
    async fn a_refusal_waits_unless_too_many_do() {
        let refused = Refused::default();
        let peer = |number: u64| Peer::of(IpAddr::from(u32::try_from(number).unwrap().to_be_bytes()));
        // A limit of zero ends the wait, not what is over at once.
        let is_immediate =
            async |refused: &Refused, peer| tokio::time::timeout(Duration::ZERO, refused.delay(peer)).await.is_ok();
        assert!(!is_immediate(&refused, peer(1)).await);
        assert_eq!(refused.delayed.total(), 0, "a client that has gone frees its place");
        let of_one: Vec<_> = (0..MAX_DELAYED / 2).map(|_| refused.delayed.try_add(peer(1), 1, |_| true)).collect();
        assert!(is_immediate(&refused, peer(1)).await && !is_immediate(&refused, peer(2)).await);
        let of_others: Vec<_> =
            (0..MAX_DELAYED / 2).map(|number| refused.delayed.try_add(peer(2 + number), 1, |_| true)).collect();
        assert!(is_immediate(&refused, peer(5000)).await);
        drop((of_one, of_others));
        assert!(!is_immediate(&refused, peer(1)).await);
    }

    #[test]
    fn a_network_is_noted_once_a_minute() {
        let (refused, now) = (Refused::default(), Instant::now());
        let noted =
            (0..300).filter(|second| refused.claim_note(&network(1), now + Duration::from_secs(*second))).count();
        assert_eq!(noted, 5);
        assert!(refused.claim_note(&network(2), now));
    }

    #[test]
    fn the_memory_is_bounded() {
        let (refused, now) = (Refused::default(), Instant::now());
        for number in 0..2 * u32::try_from(MAX_REFUSED).unwrap() {
            let network = Network::of(IpAddr::from(number.to_be_bytes()));
            refused.insert(&network, now + Duration::from_secs(1), now);
        }
        assert_eq!(refused.refused().len(), MAX_REFUSED);
        let later = now + Duration::from_secs(2);
        refused.insert(&network(1), later + Duration::from_secs(1), later);
        assert_eq!(refused.refused().len(), 1, "what has ended makes room");
    }
}
