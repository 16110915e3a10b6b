//! What can be done with attendance records.
//!
//! Policy: a create is acknowledged after its commit and after the cache has been invalidated; a read tries the cache first. A read
//! that starts after a create was acknowledged sees it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::acknowledgement::acknowledge;
use super::answer::{Answer, CacheStatus, Content, Listing};
use super::calendar::CalendarRule;
use super::create_request;
use super::date::Date;
use super::error::Error;
use super::list_client::ListClient;
use super::listing::ListQuery;
use super::lists::{ListLimits, Lists};
use super::prepared::{LISTS, PreparedFind, PreparedList, employee};
use super::record::{Creation, NewRecord, RecordFormat, UnnamedRecord};
use super::rules::Rules;
use super::store::Store;
use super::view::{PreparedView, ViewQuery};
use super::visibility::Visibility;
use crate::cache::{Cache, FillToken, Lookup, Participant, Scope, SingleFlight};
use crate::telemetry::metrics::Metrics;

/// The attendance service.
#[derive(Debug)]
pub struct Attendance {
    pub(super) store: Arc<Store>,
    pub(super) cache: Option<Arc<Cache<Arc<Content>>>>,
    pub(super) format: RecordFormat,
    pub(super) rules: Rules,
    calendar_rule: CalendarRule,
    pub(super) metrics: Arc<Metrics>,
    lists: Lists,
    single_flight: SingleFlight<LoadResult>,
}

/// What a read from PostgreSQL results in: an answer, or `None` if there is no such record.
type LoadResult = Result<Option<Answer>, Error>;

impl Attendance {
    /// The service over a store and, unless switched off, a cache.
    pub fn new(
        store: Arc<Store>,
        cache: Option<Arc<Cache<Arc<Content>>>>,
        format: RecordFormat,
        rules: Rules,
        calendar_rule: CalendarRule,
        list_limits: ListLimits,
        metrics: Arc<Metrics>,
    ) -> Self {
        let lists = Lists::new(Arc::clone(&store), cache.clone(), list_limits, Arc::clone(&metrics));
        Self { store, cache, format, rules, calendar_rule, metrics, lists, single_flight: SingleFlight::default() }
    }

    /// What records may be.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Stores a record, which an account creates if there is access control; returns when it is durable and every read will see it.
    ///
    /// # Errors
    /// [`Error::Closed`] if the day is closed to changes. After [`Error::Unavailable`] and [`Error::Rejected`] the record may have been stored, or may be later.
    pub async fn create(&self, record: &Arc<NewRecord>, created_by: Option<Arc<str>>) -> Result<(), Error> {
        self.rules.check_day(record.date)?;
        // Nothing has been sent to the database, so no answer of the cache becomes invalid.
        self.store.check_storage()?;
        let scopes = [employee(&record.id), LISTS];
        let storing = pin!(self.store.create(Creation { record: Arc::clone(record), created_by }));
        let outcome = acknowledge(self.cache.as_deref(), &scopes, storing).await;
        match &outcome {
            Ok(()) => self.metrics.records_created.inc(),
            Err(Error::Conflict) => self.metrics.record_conflicts.inc(),
            Err(Error::Forbidden(rule)) => {
                tracing::warn!(rule = rule.to_string(), "a constraint of the table forbade a record");
            }
            Err(_) => {}
        }
        outcome
    }

    /// The record with a name: its own, that of the directory, that of the employee's latest record if it is one that a create may have, or else
    /// the id.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn with_name(&self, record: UnnamedRecord) -> Result<NewRecord, Error> {
        let named = self.with_directory_name(record).await?;
        let UnnamedRecord { id, name, status, date } = named;
        let name = match name {
            Some(name) => name,
            None => self.latest_name(&id).await?.unwrap_or_else(|| id.clone()),
        };
        Ok(NewRecord { id, name, status, date })
    }

    /// The record with its own name, or that of the directory, if there is one.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn with_directory_name(&self, record: UnnamedRecord) -> Result<UnnamedRecord, Error> {
        let name = match record.name {
            Some(name) => Some(name),
            None => self.store.directory_name(&record.id).await?,
        };
        Ok(UnnamedRecord { name, ..record })
    }

    async fn latest_name(&self, id: &str) -> Result<Option<String>, Error> {
        let latest = self.store.find(id, None).await?;
        Ok(latest.and_then(|json| create_request::name_in(&json)))
    }

    /// Whether [`Attendance::try_find_cached`] and [`Attendance::try_list_cached`] can succeed: this process has memory for
    /// answers and knows by itself which of them are valid. Otherwise their callers can spare the attempt.
    pub fn has_memory_cache(&self) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.can_answer_from_memory())
    }

    /// A search for the employee's latest record or, with a date, for the record of that day, if the caller may see it. Computes the cache key, once
    /// for the attempt without waiting and for the search itself.
    pub fn prepare_find(&self, id: String, date: Option<Date>, visibility: Visibility) -> PreparedFind {
        PreparedFind::new(id, date, visibility, self.key_format())
    }

    /// The answer to a search if this process has a valid one in memory. Never waits.
    pub fn try_find_cached(&self, find: &PreparedFind, now: Instant) -> Option<Answer> {
        if !find.is_visible() {
            return None;
        }
        self.cache.as_ref()?.try_cached(&[employee(&find.id)], &find.key, now).map(Answer::hit)
    }

    /// The answer to a search; `None` if there is no such record, or the caller may not see it.
    ///
    /// # Errors
    /// When the cache has no answer and PostgreSQL fails.
    pub async fn find(&self, find: &PreparedFind) -> Result<Option<Answer>, Error> {
        if !find.is_visible() {
            return Ok(None);
        }
        match self.lookup(&[employee(&find.id)], &find.key).await {
            Lookup::Hit(content) => Ok(Some(Answer::hit(content))),
            // In boxes, so that a hit does not pay for their room.
            Lookup::Miss(token) => Box::pin(self.find_once(token, find)).await,
            Lookup::Bypass => Box::pin(self.load_record(find, CacheStatus::Bypass)).await,
        }
    }

    /// Loads a record once for all reads that ask for it at the moment.
    async fn find_once(&self, token: FillToken, find: &PreparedFind) -> LoadResult {
        let leader = match self.single_flight.join(&token) {
            Participant::Leader(leader) => Some(leader),
            Participant::Follower(result) => match result.await {
                Ok(result) => return result,
                Err(_) => None,
            },
        };
        let result = self.load_record(find, CacheStatus::Miss).await;
        // Stored before the load ends for its followers, so that a read which comes too late to follow finds the answer.
        if let (Ok(Some(answer)), Some(cache)) = (&result, &self.cache) {
            cache.store(token, &answer.content);
        }
        if let Some(leader) = leader {
            leader.complete(&result);
        }
        result
    }

    async fn load_record(&self, find: &PreparedFind, cached: CacheStatus) -> LoadResult {
        let Some(mut body) = self.store.find(&find.id, find.date).await? else { return Ok(None) };
        body.push(b'\n');
        Ok(Some(Answer { content: Arc::new(Content::new(body)), cached }))
    }

    /// A list with its cache key, which is computed once for the attempt without waiting and for the list itself.
    pub fn prepare_list(&self, query: ListQuery) -> PreparedList {
        PreparedList::new(query, self.key_format())
    }

    /// The answer to a list if this process has a valid one in memory. Never waits.
    pub fn try_list_cached(&self, list: &PreparedList, now: Instant) -> Option<Answer> {
        self.lists.try_cached(list, now)
    }

    /// A view at a moment, of what the caller may see, with its cache key, which is computed once for the attempt without waiting and for the view itself.
    pub fn prepare_view(&self, query: ViewQuery, visibility: Visibility, now: Timestamp) -> PreparedView {
        PreparedView::new(query, visibility, self.calendar_rule.at(now), self.format)
    }

    /// The answer to a view if this process has a valid one in memory. Never waits.
    pub fn try_view_cached(&self, view: &PreparedView, now: Instant) -> Option<Answer> {
        self.lists.try_cached(view, now)
    }

    /// A page of a view.
    ///
    /// # Errors
    /// When the cache has no answer, and PostgreSQL fails, too many lists are being read, or the view is too large.
    pub async fn view(&self, view: &PreparedView, client: &ListClient) -> Result<Listing, Error> {
        self.lists.read(view, client).await
    }

    /// Records by employee, then date: a page, or all.
    ///
    /// # Errors
    /// When the cache has no answer, and PostgreSQL fails or too many lists are being read.
    pub async fn list(&self, list: &PreparedList, client: &ListClient) -> Result<Listing, Error> {
        self.lists.read(list, client).await
    }

    /// The format of cached answers, which is a part of their keys.
    fn key_format(&self) -> Option<RecordFormat> {
        self.cache.is_some().then_some(self.format)
    }

    async fn lookup(&self, scopes: &[Scope<'_>], key: &str) -> Lookup<Arc<Content>> {
        match &self.cache {
            Some(cache) => cache.lookup(scopes, key).await,
            None => Lookup::Bypass,
        }
    }
}
