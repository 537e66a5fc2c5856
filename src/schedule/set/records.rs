//! How the schedules of a set's targets are written down, and taken over by
//! another process's set.

use std::collections::HashMap;

use tower_service::Service;

use super::PollSet;
use super::target::TargetInfo;
use super::targets::Targets;
use crate::schedule::snapshot::TargetRecord;

impl<T> TargetInfo<'_, T> {
    /// Writes down how the target's schedule stands, under a name by which it is
    /// found again.
    pub fn record(&self, name: impl Into<String>) -> TargetRecord {
        let mut record = TargetRecord::new(name, self.interval());
        record.due_at = Some(self.due_at());
        record.last_ok_at = self.last_ok_at();
        record.consecutive_failures = self.consecutive_failures();
        record
    }
}

impl<S, T, M, R> PollSet<S, T, M, R>
where
    S: Service<R>,
{
    /// Writes down how the schedule of each target stands, for a
    /// [`Snapshot`](crate::schedule::Snapshot); `name` says what each is called.
    ///
    /// A target that is being called counts as one that is due. What you have put in
    /// is yours to keep.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::convert::Infallible;
    /// use tower::service_fn;
    /// use tower_retry_after::Upstream;
    /// use tower_retry_after::schedule::{PollSet, Snapshot};
    ///
    /// let ask = service_fn(|_: String| async { Ok::<_, Infallible>(()) });
    /// let mut feeds = PollSet::new(ask, String::clone);
    /// feeds.add(Upstream::named("blog"), "https://blog.example/rss".to_owned());
    /// feeds.next().await;
    /// let snapshot = Snapshot::new().with_targets(feeds.records(String::clone));
    ///
    /// // In the next process: the same feeds, and each is due when it was.
    /// let mut feeds = PollSet::new(ask, String::clone);
    /// let blog = feeds.add(Upstream::named("blog"), "https://blog.example/rss".to_owned());
    /// feeds.restore(snapshot.targets().unwrap(), String::clone);
    /// assert!(feeds.get(blog).unwrap().last_ok_at().is_some());
    /// # }
    /// ```
    pub fn records(&self, name: impl Fn(&T) -> String) -> Vec<TargetRecord> {
        self.iter().map(|target| target.record(name(target.target()))).collect()
    }

    /// Takes over how the schedules of targets stood; returns for how many there was
    /// a record.
    ///
    /// Add the targets first; those without a record stay as they are, and so do
    /// those that are being called. Interval, failures and times are the record's,
    /// so set intervals that have changed afterwards. A time further ahead than the
    /// longest of interval, ladder, floor and
    /// [`max_retry_after`](super::PollSetBuilder::max_retry_after) (and so one that a
    /// judge's `DueAt` has set for a day far away) was written by a clock
    /// that was wrong, and is cut to that; all that are cut are spread over the last
    /// interval before it.
    pub fn restore(&mut self, records: &[TargetRecord], name: impl Fn(&T) -> String) -> usize {
        let longest = self.judging.longest_hint();
        self.targets.restore(records, name, longest)
    }
}

impl<T> Targets<T> {
    fn restore(
        &mut self,
        records: &[TargetRecord],
        name: impl Fn(&T) -> String,
        longest: std::time::Duration,
    ) -> usize {
        let records: HashMap<&str, &TargetRecord> =
            records.iter().map(|record| (record.name.as_str(), record)).collect();
        let reading = self.wall.read();
        let known: Vec<_> = self
            .iter()
            .filter(|target| !target.is_in_flight())
            .filter_map(|target| {
                let record = records.get(name(target.target()).as_str())?;
                Some((target.id(), *record))
            })
            .collect();
        for (id, record) in &known {
            self.stand(*id, record, longest, reading);
        }
        known.len()
    }
}
