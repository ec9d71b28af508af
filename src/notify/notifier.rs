//! One notifier: which events become messages, which are told in a digest, and how many messages there may be.
//!
//! The first event of a subject (a group, a backend, a certificate) is told at once and opens a window. What follows within the window is
//! counted, and told in one digest at its end. If a rule applied again meanwhile, another window follows. Pure; the time is an argument.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::event::{Change, Event, Failures};
use super::message::{Message, Severity};
use super::rate::Rates;
use super::settings::{RateOf, Rule, Settings};

/// The most subjects with an open window.
const MAX_SUBJECTS: usize = 10_000;
/// The most titles that a summary names.
const MAX_TITLES: usize = 5;
/// The most certificates that are remembered.
const MAX_CERTIFICATES: usize = 1_000;
const MINUTE: Duration = Duration::from_secs(60);

/// What a window is open for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Group(String),
    Route(String),
    Down(String),
    Up(String),
    Breaker(String),
    Certificate(String),
    Reload(&'static str),
}

/// The time behind a message, in which nothing more of its subject is told.
#[derive(Debug)]
struct Window {
    /// The message that opened it.
    told: Message,
    /// How often it has happened since.
    count: u64,
    /// A rule has applied since.
    applied: bool,
    /// How long it is open.
    length: Duration,
}

/// The state of a notifier.
#[derive(Debug)]
pub(super) struct Notifier {
    settings: Arc<Settings>,
    /// One for each rule about a rate, in their order.
    rates: Vec<Rates>,
    windows: HashMap<Subject, Window>,
    /// When each window ends, in the order of time: all have the same length, and a change of it shortens those that would end later.
    ends: VecDeque<(Instant, Subject)>,
    /// The end of each certificate that was told.
    certificates: HashMap<(String, Duration), SystemTime>,
    minute: Minute,
}

/// The messages of the current minute.
#[derive(Debug)]
struct Minute {
    began: Instant,
    sent: u32,
    held: u64,
    titles: Vec<String>,
}

/// What becomes of an event.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Messages. Those of a group that is muted are not sent.
    pub(super) messages: Vec<Message>,
    /// The number of events that nobody will hear of, because there are too many subjects.
    pub(super) dropped: u64,
}

impl Notifier {
    pub(super) fn new(settings: Arc<Settings>, now: Instant) -> Self {
        let rates = settings.rules.iter().filter(|rule| matches!(rule, Rule::Rate(..))).map(|_| Rates::default()).collect();
        let minute = Minute { began: now, sent: 0, held: 0, titles: Vec::new() };
        Self { settings, rates, windows: HashMap::new(), ends: VecDeque::new(), certificates: HashMap::new(), minute }
    }

    /// Goes on with other settings. Open windows, what was held back and the counts of rates that stay are kept.
    pub(super) fn change(&mut self, settings: Arc<Settings>, now: Instant) {
        let is_rate = |rule: &&Rule| matches!(rule, Rule::Rate(..));
        let before: Vec<Rule> = self.settings.rules.iter().filter(is_rate).copied().collect();
        let mut rates = std::mem::take(&mut self.rates);
        let mut kept = |rule: &Rule| before.iter().position(|before| before == rule).map(|at| std::mem::take(&mut rates[at]));
        self.rates = settings.rules.iter().filter(is_rate).map(|rule| kept(rule).unwrap_or_default()).collect();
        let latest = now + settings.window;
        self.ends.iter_mut().for_each(|(end, _)| *end = latest.min(*end));
        self.settings = settings;
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Applies the rules to an event.
    pub(super) fn hear(&mut self, event: &Event, now: Instant, at: SystemTime) -> Told {
        let mut told = Told::default();
        match event {
            Event::Failures(failures) => self.failures(failures, now, at, &mut told),
            Event::BackendDown { backend } => {
                if self.has(Rule::BackendDown) && self.settings.filter.has_backend(backend) {
                    let message = self.of_backend("backend-down", Severity::Error, "no endpoint gets requests", backend, at);
                    self.tell(Subject::Down(backend.clone()), message, now, &mut told);
                }
            }
            Event::BackendUp { backend } => {
                if self.has(Rule::BackendUp) && self.settings.filter.has_backend(backend) {
                    let message = self.of_backend("backend-up", Severity::Info, "it gets requests again", backend, at);
                    self.tell(Subject::Up(backend.clone()), message, now, &mut told);
                }
            }
            Event::BreakerOpened { backend, endpoint, times } => {
                if self.has(Rule::BreakerOpen) && self.settings.filter.has_backend(backend) {
                    let message = self.of_backend("breaker-open", Severity::Error, "a circuit breaker is open", backend, at);
                    let message = Message { endpoint: Some(endpoint.clone()), count: *times, ..message };
                    self.tell(Subject::Breaker(format!("{backend} {endpoint}")), message, now, &mut told);
                }
            }
            Event::CertificateEnds { file, at: end } => self.certificate(file, *end, now, at, &mut told),
            Event::ReloadFailed { what, problems } => {
                if self.has(Rule::ReloadFailed) {
                    let number = if *problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") };
                    let title = format!("{what} cannot be used ({number}): what was before stays in use");
                    let message = self.message("reload-failed", Severity::Error, title, "/configuration", at);
                    self.tell(Subject::Reload(what), message, now, &mut told);
                }
            }
        }
        told
    }

    fn has(&self, rule: Rule) -> bool {
        self.settings.rules.contains(&rule)
    }

    fn message(&self, event: &'static str, severity: Severity, title: String, page: &str, at: SystemTime) -> Message {
        let link = self.settings.pages.as_ref().map(|pages| format!("{pages}{page}"));
        Message { link, ..Message::new(event, severity, title, (&self.settings.gateway, at)) }
    }

    fn of_backend(&self, event: &'static str, severity: Severity, what: &str, backend: &str, at: SystemTime) -> Message {
        let message = self.message(event, severity, format!("Backend {backend}: {what}"), "/", at);
        Message { backend: Some(backend.to_owned()), ..message }
    }

    fn failures(&mut self, failures: &Failures, now: Instant, at: SystemTime, told: &mut Told) {
        if !self.settings.filter.has_failure(&failures.route, &failures.backend, &failures.code) {
            return;
        }
        let event = match failures.change {
            Some(Change::New) if self.has(Rule::NewGroup) => Some("new-group"),
            Some(Change::Regressed) if self.has(Rule::Regression) => Some("regression"),
            Some(Change::New | Change::Regressed) | None => None,
        };
        let (of_group, of_route) = self.exceeded(failures, now);
        if let Some(event) = event.or(of_group.then_some("rate")) {
            let message = self.of_group(event, failures, at);
            self.tell(Subject::Group(failures.group.clone()), message, now, told);
        } else if let Some(window) = self.windows.get_mut(&Subject::Group(failures.group.clone())) {
            window.count += failures.count;
        }
        let of_route_subject = Subject::Route(failures.route.clone());
        if of_route {
            let page = format!("/errors?route={}", percent(&failures.route));
            let message = self.message("rate", Severity::Error, format!("Route {}: many failures", failures.route), &page, at);
            self.tell(of_route_subject, Message { route: Some(failures.route.clone()), count: failures.count, ..message }, now, told);
        } else if let Some(window) = self.windows.get_mut(&of_route_subject) {
            window.count += failures.count;
        }
    }

    /// Counts failures for all rules about a rate. Returns whether one is exceeded for the group, and for the route.
    fn exceeded(&mut self, failures: &Failures, now: Instant) -> (bool, bool) {
        let (mut of_group, mut of_route) = (false, false);
        let rules = self.settings.rules.iter().filter_map(|rule| match rule {
            Rule::Rate(of, rate) => Some((of, rate)),
            Rule::NewGroup
            | Rule::Regression
            | Rule::BackendDown
            | Rule::BackendUp
            | Rule::BreakerOpen
            | Rule::Certificate(_)
            | Rule::ReloadFailed => None,
        });
        for ((of, rate), rates) in rules.zip(&mut self.rates) {
            let most = (rate.count.get(), rate.window);
            match of {
                RateOf::Group => of_group |= rates.add(&failures.group, failures.count, most, now),
                RateOf::Route => of_route |= rates.add(&failures.route, failures.count, most, now),
            }
        }
        (of_group, of_route)
    }

    fn of_group(&self, event: &'static str, failures: &Failures, at: SystemTime) -> Message {
        let page = format!("/groups/{}", percent(&failures.group));
        Message {
            group: Some(failures.group.clone()),
            route: Some(failures.route.clone()),
            // A route that answers itself has none.
            backend: Some(failures.backend.clone()).filter(|name| name != "-" && !name.is_empty()),
            code: Some(failures.code.clone()),
            status: Some(failures.status),
            count: failures.count,
            ..self.message(event, Severity::Error, failures.title.clone(), &page, at)
        }
    }

    /// Tells once of each certificate that it ends, and again within each shorter time that a rule names.
    fn certificate(&mut self, file: &str, end: SystemTime, now: Instant, at: SystemTime, told: &mut Told) {
        let left = end.duration_since(at).unwrap_or_default();
        let within = self.settings.rules.iter().filter_map(|rule| match rule {
            Rule::Certificate(within) if left < *within => Some(*within),
            Rule::Certificate(_)
            | Rule::NewGroup
            | Rule::Regression
            | Rule::Rate(..)
            | Rule::BackendDown
            | Rule::BackendUp
            | Rule::BreakerOpen
            | Rule::ReloadFailed => None,
        });
        if self.certificates.len() > MAX_CERTIFICATES {
            self.certificates.clear();
        }
        let mut is_news = false;
        for within in within {
            is_news |= self.certificates.insert((file.to_owned(), within), end) != Some(end);
        }
        if is_news {
            let when = match left.as_secs() / 86_400 {
                _ if left.is_zero() => "has ended".to_owned(),
                0 => "ends within a day".to_owned(),
                1 => "ends in 1 day".to_owned(),
                days => format!("ends in {days} days"),
            };
            let severity = if left.is_zero() { Severity::Error } else { Severity::Warning };
            // Receivers need no folders of the machine.
            let name = file.rsplit('/').next().unwrap_or(file);
            let message = self.message("certificate", severity, format!("The certificate in {name} {when}"), "/", at);
            self.tell(Subject::Certificate(file.to_owned()), message, now, told);
        }
    }

    /// Tells of a subject at once, or counts it if its window is open.
    fn tell(&mut self, subject: Subject, message: Message, now: Instant, told: &mut Told) {
        if let Some(window) = self.windows.get_mut(&subject) {
            window.count += message.count;
            window.applied = true;
        } else if self.windows.len() >= MAX_SUBJECTS {
            told.dropped += 1;
        } else {
            self.open(subject, message.clone(), now);
            told.messages.push(message);
        }
    }

    fn open(&mut self, subject: Subject, told: Message, now: Instant) {
        self.ends.push_back((now + self.settings.window, subject.clone()));
        self.windows.insert(subject, Window { told, count: 0, applied: false, length: self.settings.window });
    }

    /// Returns when [`Self::due`] has something to say.
    pub(super) fn next(&self) -> Option<Instant> {
        let window = self.ends.front().map(|(end, _)| *end);
        let summary = (self.minute.held > 0).then(|| self.minute.began + MINUTE);
        [window, summary].into_iter().flatten().min()
    }

    /// Returns the digests of the windows that have ended.
    pub(super) fn due(&mut self, now: Instant, at: SystemTime) -> Vec<Message> {
        let mut messages = Vec::new();
        while self.ends.front().is_some_and(|(end, _)| *end <= now) {
            let Some((_, subject)) = self.ends.pop_front() else { break };
            let Some(window) = self.windows.remove(&subject).filter(|window| window.count > 0) else { continue };
            let message = digest(&window, at);
            if window.applied {
                self.open(subject, window.told, now);
            }
            messages.push(message);
        }
        messages
    }

    /// Returns a message if there may be another one within this minute. What is told later is counted.
    pub(super) fn admit(&mut self, message: Message) -> Option<Message> {
        let minute = &mut self.minute;
        if minute.sent < self.settings.per_minute {
            minute.sent += 1;
            return Some(message);
        }
        minute.held += 1;
        if minute.titles.len() < MAX_TITLES {
            minute.titles.push(message.title);
        }
        None
    }

    /// Begins the next minute if it is time. Returns the summary of what was held back in the one before, which is its first message.
    pub(super) fn next_minute(&mut self, now: Instant, at: SystemTime) -> Option<Message> {
        if now.saturating_duration_since(self.minute.began) < MINUTE { None } else { self.summary(now, at) }
    }

    /// Returns the digests of all windows, which end now.
    pub(super) fn close(&mut self, at: SystemTime) -> Vec<Message> {
        let ends = std::mem::take(&mut self.ends);
        let windows = ends.into_iter().filter_map(|(_, subject)| self.windows.remove(&subject)).filter(|window| window.count > 0);
        windows.map(|window| digest(&window, at)).collect()
    }

    /// Returns the summary of what was held back since the minute began, and begins the next one.
    pub(super) fn summary(&mut self, now: Instant, at: SystemTime) -> Option<Message> {
        let Minute { held, titles, .. } = std::mem::replace(&mut self.minute, Minute { began: now, sent: 0, held: 0, titles: Vec::new() });
        if held == 0 {
            return None;
        }
        self.minute.sent = 1;
        let more = if held > titles.len() as u64 { ", ..." } else { "" };
        let title = format!("{held} more notifications within a minute: {}{more}", titles.join("; "));
        Some(Message { count: held, ..self.message("summary", Severity::Warning, title, "/groups", at) })
    }
}

fn digest(window: &Window, at: SystemTime) -> Message {
    let times = if window.count == 1 { "once" } else { "times" };
    let number = if window.count == 1 { String::new() } else { format!("{} ", window.count) };
    let title = format!("{} ({number}{times} more within {})", window.told.title, told_duration(window.length));
    let told = window.told.clone();
    let fresh = Message::new("digest", told.severity, title, ("", at));
    Message { id: fresh.id, at, event: fresh.event, title: fresh.title, count: window.count, ..told }
}

fn told_duration(length: Duration) -> String {
    match length.as_secs() {
        0 => format!("{}ms", length.as_millis()),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

fn percent(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Filter, Form};
    use super::*;
    use crate::config::units;

    const TEN_MINUTES: Duration = Duration::from_secs(600);

    fn notifier(rules: &[Rule]) -> Notifier {
        let settings = Settings {
            name: "a".into(),
            form: Form::Slack,
            rules: rules.to_vec(),
            filter: Filter::default(),
            window: TEN_MINUTES,
            per_minute: 3,
            pages: Some("https://gw.example".into()),
            gateway: "gw".into(),
        };
        Notifier::new(Arc::new(settings), Instant::now())
    }

    fn failures(group: &str, count: u64, change: Option<Change>) -> Event {
        let (title, route, code) = (format!("fault {group}"), "shop".into(), "UPSTREAM_ERROR".into());
        Event::Failures(Failures { group: group.into(), title, route, code, status: 502, count, change, backend: "b".into() })
    }

    /// The messages at a time in seconds: of an event, or of what is due.
    fn at(notifier: &mut Notifier, begin: Instant, seconds: u64, event: Option<&Event>) -> Vec<(&'static str, String, u64)> {
        let (now, at) = (begin + Duration::from_secs(seconds), SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let mut messages = notifier.due(now, at);
        messages.extend(event.into_iter().flat_map(|event| notifier.hear(event, now, at).messages));
        messages.into_iter().map(|message| (message.event, message.title, message.count)).collect()
    }

    #[test]
    fn a_storm_of_one_group_is_one_message_and_one_digest() {
        let (mut notifier, begin) = (notifier(&[Rule::NewGroup]), Instant::now());
        let first = at(&mut notifier, begin, 0, Some(&failures("g", 7, Some(Change::New))));
        assert_eq!(first, [("new-group", "fault g".to_owned(), 7)]);
        for second in 1..100 {
            assert_eq!(at(&mut notifier, begin, second, Some(&failures("g", 100, None))), []);
        }
        assert_eq!(notifier.next(), Some(begin + TEN_MINUTES));
        assert_eq!(at(&mut notifier, begin, 600, None), [("digest", "fault g (9900 times more within 10m)".to_owned(), 9900)]);
        assert_eq!(notifier.next(), None);
        assert_eq!(at(&mut notifier, begin, 601, Some(&failures("g", 100, None))), [], "it is known");
        assert_eq!(notifier.close(SystemTime::UNIX_EPOCH), []);
        assert!(notifier.windows.is_empty() && notifier.ends.is_empty());
    }

    #[test]
    fn a_window_without_more_ends_in_silence() {
        let (mut notifier, begin) = (notifier(&[Rule::NewGroup]), Instant::now());
        at(&mut notifier, begin, 0, Some(&failures("g", 1, Some(Change::New))));
        assert_eq!(at(&mut notifier, begin, 600, None), []);
    }

    #[test]
    fn a_rate_that_stays_exceeded_is_told_once_per_window() {
        let (mut notifier, begin) = (notifier(&[Rule::Rate(RateOf::Group, units::rate("10/m").unwrap())]), Instant::now());
        let mut told = Vec::new();
        for second in 0..1800 {
            told.extend(at(&mut notifier, begin, second, Some(&failures("g", 1, None))));
        }
        let events: Vec<&str> = told.iter().map(|(event, ..)| *event).collect();
        assert_eq!(events, ["rate", "digest", "digest"], "{told:?}");
    }

    #[test]
    fn a_rate_of_a_route_counts_all_its_groups() {
        let (mut notifier, begin) = (notifier(&[Rule::Rate(RateOf::Route, units::rate("10/m").unwrap())]), Instant::now());
        let told: Vec<_> =
            (0..12).flat_map(|n| at(&mut notifier, begin, n, Some(&failures(&n.to_string(), 1, Some(Change::New))))).collect();
        assert_eq!(told, [("rate", "Route shop: many failures".to_owned(), 1)]);
    }

    #[test]
    fn a_regression_is_told_and_other_changes_are_not() {
        let (mut notifier, begin) = (notifier(&[Rule::Regression]), Instant::now());
        assert_eq!(at(&mut notifier, begin, 0, Some(&failures("g", 1, Some(Change::New)))), []);
        assert_eq!(at(&mut notifier, begin, 1, Some(&failures("g", 1, Some(Change::Regressed))))[0].0, "regression");
    }

    #[test]
    fn a_filter_leaves_the_rest_out() {
        let mut of = notifier(&[Rule::NewGroup, Rule::BackendDown]);
        let filter = Filter { backends: vec!["b".into()], codes: vec!["OTHER".into()], ..Filter::default() };
        of.settings = Arc::new(Settings { filter, ..of.settings().clone() });
        let begin = Instant::now();
        assert_eq!(at(&mut of, begin, 0, Some(&failures("g", 1, Some(Change::New)))), []);
        assert_eq!(at(&mut of, begin, 0, Some(&Event::BackendDown { backend: "c".into() })), []);
        assert_eq!(at(&mut of, begin, 0, Some(&Event::BackendDown { backend: "b".into() })).len(), 1);
    }

    #[test]
    fn down_and_up_are_told_at_once_and_flaps_in_digests() {
        let (mut notifier, begin) = (notifier(&[Rule::BackendDown, Rule::BackendUp]), Instant::now());
        let (down, up) = (Event::BackendDown { backend: "b".into() }, Event::BackendUp { backend: "b".into() });
        assert_eq!(at(&mut notifier, begin, 0, Some(&down))[0].0, "backend-down");
        assert_eq!(at(&mut notifier, begin, 5, Some(&up))[0].0, "backend-up");
        for second in 6..26 {
            assert_eq!(at(&mut notifier, begin, second, Some(if second % 2 == 0 { &down } else { &up })), []);
        }
        let digests = at(&mut notifier, begin, 605, None);
        assert_eq!(digests.iter().map(|(event, _, count)| (*event, *count)).collect::<Vec<_>>(), [("digest", 10), ("digest", 10)]);
    }

    #[test]
    fn reloads_are_counted_and_not_their_problems() {
        let (mut notifier, begin) = (notifier(&[Rule::ReloadFailed]), Instant::now());
        let event = Event::ReloadFailed { what: "The file", problems: 7 };
        let title = "The file cannot be used (7 problems): what was before stays in use";
        assert_eq!(at(&mut notifier, begin, 0, Some(&event)), [("reload-failed", title.to_owned(), 1)]);
        assert_eq!(at(&mut notifier, begin, 1, Some(&event)), []);
        assert_eq!(at(&mut notifier, begin, 600, None), [("digest", format!("{title} (once more within 10m)"), 1)]);
    }

    #[test]
    fn a_certificate_is_told_once_per_rule_and_again_after_it_was_renewed() {
        let day = Duration::from_secs(86_400);
        let (mut notifier, begin) = (notifier(&[Rule::Certificate(14 * day), Rule::Certificate(3 * day)]), Instant::now());
        let mut told = |now_days: u64, end_days: u64| {
            let end = SystemTime::UNIX_EPOCH + Duration::from_secs(end_days * 86_400);
            let event = Event::CertificateEnds { file: "/etc/lockgate/a.crt".into(), at: end };
            at(&mut notifier, begin, now_days * 86_400, Some(&event)).into_iter().map(|(_, title, _)| title).collect::<Vec<_>>()
        };
        assert_eq!(told(0, 20), Vec::<String>::new());
        assert_eq!(told(10, 20), ["The certificate in a.crt ends in 10 days"]);
        assert_eq!(told(11, 20), Vec::<String>::new());
        assert_eq!(told(18, 20), ["The certificate in a.crt ends in 2 days"]);
        assert_eq!(told(21, 20), Vec::<String>::new());
        assert_eq!(told(22, 23), ["The certificate in a.crt ends in 1 day"]);
    }

    #[test]
    fn more_messages_than_a_minute_may_have_are_one_summary() {
        let (mut notifier, begin) = (notifier(&[Rule::NewGroup]), Instant::now());
        let (at, mut sent) = (SystemTime::UNIX_EPOCH, 0);
        for n in 0..20 {
            for message in notifier.hear(&failures(&n.to_string(), 1, Some(Change::New)), begin, at).messages {
                sent += usize::from(notifier.admit(message).is_some());
            }
        }
        assert_eq!(sent, 3);
        assert!(notifier.next_minute(begin + Duration::from_secs(59), at).is_none());
        let summary = notifier.next_minute(notifier.minute.began + MINUTE, at).unwrap();
        assert_eq!((summary.event, summary.count), ("summary", 17));
        assert_eq!(summary.title, "17 more notifications within a minute: fault 3; fault 4; fault 5; fault 6; fault 7, ...");
        assert!(notifier.next_minute(begin + 3 * MINUTE, at).is_none(), "nothing was held back");
    }

    #[test]
    fn a_change_keeps_windows_and_the_counts_of_rates_that_stay() {
        let rate = |text: &str| Rule::Rate(RateOf::Group, units::rate(text).unwrap());
        let (mut notifier, begin) = (notifier(&[Rule::NewGroup, rate("10/m"), rate("5/m")]), Instant::now());
        at(&mut notifier, begin, 0, Some(&failures("g", 1, Some(Change::New))));
        at(&mut notifier, begin, 0, Some(&failures("g", 2, None)));
        let changed = Settings { rules: vec![rate("5/m"), rate("99/m")], window: MINUTE, ..notifier.settings().clone() };
        notifier.change(Arc::new(changed), begin + Duration::from_secs(1));
        assert_eq!(notifier.next(), Some(begin + Duration::from_secs(61)));
        assert_eq!(at(&mut notifier, begin, 2, Some(&failures("h", 1, Some(Change::New)))), []);
        at(&mut notifier, begin, 3, Some(&failures("g", 3, None)));
        let digests = at(&mut notifier, begin, 61, None);
        assert_eq!(digests, [("digest", "fault g (5 times more within 10m)".to_owned(), 5)]);
        assert_eq!(notifier.ends.len(), 1, "the rate was exceeded by what came before and after the change");
    }

    #[test]
    fn subjects_are_bounded() {
        let (mut notifier, begin) = (notifier(&[Rule::NewGroup]), Instant::now());
        let mut dropped = 0;
        for n in 0..MAX_SUBJECTS + 9 {
            dropped += notifier.hear(&failures(&n.to_string(), 1, Some(Change::New)), begin, SystemTime::UNIX_EPOCH).dropped;
        }
        assert_eq!((dropped, notifier.windows.len(), notifier.ends.len()), (9, MAX_SUBJECTS, MAX_SUBJECTS));
    }
}
