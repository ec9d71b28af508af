//! Tells people and programs of failures: chat, webhooks and Sentry.
//!
//! What happens is an [`Event`]. Other modules put events into a bounded queue and never wait. One task applies the rules of each notifier to
//! them, and one task per notifier sends what follows. Must not know how a message travels; a [`deliver::Sink`] does. What is sent is what
//! the journal has masked, without the values in messages.
//!
//! | file | what it holds |
//! |---|---|
//! | `event` | what happens, and the queue of it |
//! | `settings` | how a notifier is configured |
//! | `notifier` | from events to messages: rules, digests, bounds |
//! | `rate` | failures per time |
//! | `message` | what is told |
//! | `title` | the title of a failure without internals |
//! | `content`, `chat`, `sentry`, `template` | a message as the body of a request |
//! | `deliver` | sends messages, again if need be |
//! | `dispatch` | the task that has all notifiers |

mod chat;
pub mod content;
pub mod deliver;
pub mod dispatch;
pub mod event;
pub mod message;
mod notifier;
mod rate;
mod sentry;
pub mod settings;
pub mod template;
pub mod title;

pub use event::Event;
pub use message::Message;
pub use settings::Settings;
