//! The task that has all notifiers: it takes events from the queue, and gives the messages that follow to the task of each notifier.
//!
//! It waits for no receiver: messages that do not fit into the queue of their notifier are dropped and counted. Must not know how a request
//! travels, or where the states of groups are kept.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::deliver::{Counters, MAX_WAITING, Outlet, Sink, add, deliver};
use super::event::Event;
use super::message::Message;
use super::notifier::Notifier;
use super::settings::Settings;

/// A notifier of the next configuration.
#[derive(Debug)]
pub enum Slot<S> {
    /// The one with this name goes on as it is.
    Keep(String),
    /// A new one, or one that has changed. If there is one of its name and kind, it takes over what waits there: messages and windows.
    New {
        /// Its settings.
        settings: Arc<Settings>,
        /// Where its messages go.
        sink: S,
        /// Where they are counted.
        counters: Counters,
    },
}

/// Knows which groups an operator has muted.
pub trait Muted: Send {
    /// Returns true if a group is muted. Must end within a bounded time.
    fn is_muted(&self, group: &str) -> impl Future<Output = bool> + Send;
}

/// A notifier that runs.
struct Running<S> {
    notifier: Notifier,
    messages: mpsc::Sender<Message>,
    counters: Counters,
    /// Tells the task where messages go.
    outlet: watch::Sender<Outlet<S>>,
    /// What the task counts as dropped when it is aborted, beside what is in its queue.
    lost: Arc<AtomicU64>,
    task: AbortHandle,
}

/// Runs the notifiers until `stop` becomes true. Then it sends what waits, and the digests that would follow, and ends
/// when everything was sent once.
pub async fn dispatch<S: Sink>(
    mut events: mpsc::Receiver<Event>,
    mut slots: mpsc::Receiver<Vec<Slot<S>>>,
    muted: impl Muted,
    mut stop: watch::Receiver<bool>,
) {
    let mut dispatcher = Dispatcher { running: Vec::new(), tasks: JoinSet::new(), muted, stop: stop.clone() };
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(slots) = slots.recv() => dispatcher.replace(slots),
            event = events.recv() => match event {
                Some(event) => dispatcher.hear(&event).await,
                None => break,
            },
            () = until(dispatcher.next()) => dispatcher.due().await,
            Some(_) = dispatcher.tasks.join_next(), if !dispatcher.tasks.is_empty() => {}
        }
    }
    while let Ok(event) = events.try_recv() {
        dispatcher.hear(&event).await;
    }
    dispatcher.close().await;
    dispatcher.running.clear();
    while dispatcher.tasks.join_next().await.is_some() {}
}

/// Waits until `stop` is true, or nobody can set it any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits until a time; for ever without one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

struct Dispatcher<M, S> {
    running: Vec<Running<S>>,
    /// The tasks that send.
    tasks: JoinSet<()>,
    muted: M,
    stop: watch::Receiver<bool>,
}

impl<M: Muted, S: Sink> Dispatcher<M, S> {
    /// Replaces the notifiers. One that is gone sends nothing more, and what waits there is counted as dropped.
    fn replace(&mut self, slots: Vec<Slot<S>>) {
        let mut before = std::mem::take(&mut self.running);
        for slot in slots {
            match slot {
                Slot::Keep(name) => {
                    let kept = before.iter().position(|running| running.notifier.settings().name == name);
                    self.running.extend(kept.map(|at| before.swap_remove(at)));
                }
                Slot::New { settings, sink, counters } => {
                    let outlet = Outlet { settings, sink, counters };
                    let changed = before.iter().position(|running| running.notifier.settings().is_successor(&outlet.settings));
                    let running = match changed.map(|at| before.swap_remove(at)) {
                        Some(changed) => changed.become_other(outlet),
                        None => self.start(outlet),
                    };
                    self.running.push(running);
                }
            }
        }
        before.into_iter().for_each(Running::end);
    }

    fn start(&mut self, outlet: Outlet<S>) -> Running<S> {
        let (messages, queue) = mpsc::channel(MAX_WAITING);
        let (notifier, counters) = (Notifier::new(Arc::clone(&outlet.settings), Instant::now()), outlet.counters.clone());
        let (outlet, outlets) = watch::channel(outlet);
        let lost = Arc::default();
        let task = self.tasks.spawn(deliver(queue, outlets, self.stop.clone(), Arc::clone(&lost)));
        Running { notifier, messages, counters, outlet, lost, task }
    }

    async fn hear(&mut self, event: &Event) {
        let (now, at) = (Instant::now(), SystemTime::now());
        for running in &mut self.running {
            let told = running.notifier.hear(event, now, at);
            add(&running.counters.dropped, told.dropped);
            running.send(told.messages, &self.muted, now, at).await;
        }
    }

    /// Tells what would be told later.
    async fn close(&mut self) {
        let (now, at) = (Instant::now(), SystemTime::now());
        for running in &mut self.running {
            let messages = running.notifier.close(at);
            running.send(messages, &self.muted, now, at).await;
            let summary = running.notifier.summary(now, at);
            summary.into_iter().for_each(|summary| running.queue(summary));
        }
    }

    fn next(&self) -> Option<Instant> {
        self.running.iter().filter_map(|running| running.notifier.next()).min()
    }

    async fn due(&mut self) {
        let (now, at) = (Instant::now(), SystemTime::now());
        for running in &mut self.running {
            let messages = running.notifier.due(now, at);
            running.send(messages, &self.muted, now, at).await;
        }
    }
}

impl<S> Running<S> {
    /// Goes on with other settings, and with what waits.
    fn become_other(mut self, outlet: Outlet<S>) -> Self {
        self.notifier.change(Arc::clone(&outlet.settings), Instant::now());
        self.counters = outlet.counters.clone();
        self.outlet.send_replace(outlet);
        self
    }

    /// Sends nothing more. The task counts what is dropped: messages, and the digests and the summary that would have followed.
    fn end(mut self) {
        let (now, at) = (Instant::now(), SystemTime::now());
        let later = self.notifier.close(at).len() + usize::from(self.notifier.summary(now, at).is_some());
        self.lost.store(later as u64, Ordering::Relaxed);
        self.task.abort();
    }

    /// Hands messages over to be sent.
    async fn send(&mut self, messages: Vec<Message>, muted: &impl Muted, now: Instant, at: SystemTime) {
        let summary = self.notifier.next_minute(now, at);
        summary.into_iter().for_each(|summary| self.queue(summary));
        for message in messages {
            if let Some(group) = &message.group
                && muted.is_muted(group).await
            {
                continue;
            }
            match self.notifier.admit(message) {
                Some(message) => self.queue(message),
                None => add(&self.counters.held, 1),
            }
        }
    }

    fn queue(&self, message: Message) {
        if self.messages.try_send(message).is_err() {
            add(&self.counters.dropped, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::super::deliver::{Answer, Reply, Request};
    use super::super::event::{self, Change, Failures};
    use super::super::settings::{Filter, Form, Rule};
    use super::*;

    /// Keeps the titles of messages.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl Sink for Kept {
        async fn send(&mut self, request: Request) -> Answer {
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            self.0.lock().unwrap().push(format!("{} {}", body["event"].as_str().unwrap(), body["count"]));
            Answer::Taken(Reply::default())
        }
    }

    /// Never answers.
    #[derive(Clone)]
    struct Hanging;

    impl Sink for Hanging {
        async fn send(&mut self, _: Request) -> Answer {
            std::future::pending().await
        }
    }

    /// Takes all, is busy, or never answers. A slot has one type of sinks, so that they are alternatives of one.
    #[derive(Clone)]
    enum Either {
        Kept(Kept),
        Busy,
        Hanging(Hanging),
    }

    impl Sink for Either {
        async fn send(&mut self, request: Request) -> Answer {
            match self {
                Self::Kept(kept) => kept.send(request).await,
                Self::Busy => Answer::Unavailable { retry_after: Some(Duration::from_secs(300)), reply: Reply::default() },
                Self::Hanging(hanging) => hanging.send(request).await,
            }
        }
    }

    struct Only(&'static str);

    impl Muted for Only {
        async fn is_muted(&self, group: &str) -> bool {
            group == self.0
        }
    }

    fn settings(name: &str) -> Arc<Settings> {
        Arc::new(Settings {
            name: name.into(),
            form: Form::Webhook { template: None, secret: None },
            rules: vec![Rule::NewGroup],
            filter: Filter::default(),
            window: Duration::from_secs(600),
            per_minute: 600,
            pages: None,
            gateway: "gw".into(),
        })
    }

    fn failures(group: &str, change: Option<Change>) -> Event {
        Event::Failures(Failures { group: group.into(), count: 1, change, ..Failures::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn digests_follow_and_survive_a_reload_and_muted_groups_are_silent() {
        let (events, queue) = event::queue(Arc::default());
        let (change, slots) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        let kept = Kept::default();
        let task = tokio::spawn(dispatch(queue, slots, Only("muted"), stopped));
        let counters = Counters::default();
        change.send(vec![Slot::New { settings: settings("a"), sink: kept.clone(), counters: counters.clone() }]).await.unwrap();
        tokio::task::yield_now().await;
        events.send(failures("muted", Some(Change::New)));
        events.send(failures("g", Some(Change::New)));
        events.send(failures("g", None));
        tokio::time::sleep(Duration::from_secs(60)).await;
        change.send(vec![Slot::Keep("a".into())]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(*kept.0.lock().unwrap(), ["new-group 1", "digest 1"]);
        change.send(Vec::new()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        events.send(failures("other", Some(Change::New)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.send(true).unwrap();
        task.await.unwrap();
        assert_eq!((kept.0.lock().unwrap().len(), counters.sent.load(Ordering::Relaxed)), (2, 2), "one that was removed is silent");
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_hangs_delays_no_other_and_what_waits_for_it_is_bounded() {
        let (events, queue) = event::queue(Arc::default());
        let (change, slots) = mpsc::channel(1);
        let (_stop, stopped) = watch::channel(false);
        let (kept, hanging, fast) = (Kept::default(), Counters::default(), Counters::default());
        let task = tokio::spawn(dispatch(queue, slots, Only(""), stopped));
        let slot = |name, sink, counters: &Counters| Slot::New { settings: settings(name), sink, counters: counters.clone() };
        let both = vec![slot("hangs", Either::Hanging(Hanging), &hanging), slot("works", Either::Kept(kept.clone()), &fast)];
        change.send(both).await.unwrap();
        tokio::task::yield_now().await;
        for n in 0..MAX_WAITING + 20 {
            events.send(failures(&n.to_string(), Some(Change::New)));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(kept.0.lock().unwrap().len(), MAX_WAITING + 20);
        assert_eq!(hanging.dropped.load(Ordering::Relaxed), 19, "one is being sent, and the queue is full");
        task.abort();
    }

    /// The number of messages with each outcome: sent, failed and dropped.
    fn counts(counters: &Counters) -> [u64; 3] {
        [&counters.sent, &counters.failed, &counters.dropped].map(|counter| counter.load(Ordering::Relaxed))
    }

    /// A dispatcher with a receiver that is busy, where one message is tried, two are in the queue, one is held back for a summary, and one
    /// window has a digest to come.
    async fn waiting() -> (Dispatcher<Only, Either>, Counters, watch::Sender<bool>) {
        let (stop, stopped) = watch::channel(false);
        let counters = Counters::default();
        let mut dispatcher = Dispatcher { running: Vec::new(), tasks: JoinSet::new(), muted: Only(""), stop: stopped };
        let settings = Arc::new(Settings { per_minute: 3, ..Settings::clone(&settings("a")) });
        dispatcher.replace(vec![Slot::New { settings, sink: Either::Busy, counters: counters.clone() }]);
        for group in ["1", "2", "3", "held"] {
            dispatcher.hear(&failures(group, Some(Change::New))).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        dispatcher.hear(&failures("1", None)).await;
        assert_eq!(counts(&counters), [0; 3]);
        (dispatcher, counters, stop)
    }

    #[tokio::test(start_paused = true)]
    async fn a_notifier_that_has_changed_takes_over_what_waits() {
        let (mut dispatcher, counters, _stop) = waiting().await;
        let kept = Kept::default();
        let changed = Arc::new(Settings { window: Duration::from_secs(60), per_minute: 9, ..Settings::clone(&settings("a")) });
        dispatcher.replace(vec![Slot::New { settings: changed, sink: Either::Kept(kept.clone()), counters: counters.clone() }]);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(*kept.0.lock().unwrap(), ["new-group 1"; 3], "also the one that waited for its next try");
        tokio::time::sleep(Duration::from_secs(61)).await;
        dispatcher.due().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(kept.0.lock().unwrap()[3..], ["summary 1", "digest 1"]);
        assert_eq!(counts(&counters), [5, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_at_a_notifier_that_is_removed_is_counted_as_dropped() {
        let (mut dispatcher, counters, _stop) = waiting().await;
        dispatcher.replace(Vec::new());
        while dispatcher.tasks.join_next().await.is_some() {}
        assert_eq!(counts(&counters), [0, 0, 5], "one tried, two in the queue, a summary and a digest");
        // One of another kind is another one, although it has the same name.
        let (mut dispatcher, before, _stop) = waiting().await;
        let other = Arc::new(Settings { form: Form::Slack, ..Settings::clone(&settings("a")) });
        let counters = Counters::default();
        dispatcher.replace(vec![Slot::New { settings: other, sink: Either::Busy, counters: counters.clone() }]);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!((counts(&before), counts(&counters)), ([0, 0, 5], [0; 3]));
    }
}
