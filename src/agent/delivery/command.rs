//! Commands by which containers are told of changes: what is to be run, and what became of it. The agent runs nothing: it
//! has given up what that would take. A program of root's own, `runsecrets notifier`, asks for the next one and says how it
//! ended.

use std::time::Duration;

use crate::agent::clock;
use crate::model::{CommandEnd, Service, Timestamp, escaped};

use super::held::{Container, Held, Key};
use super::record::Record;
use super::{CommandState, Commanded, Deliveries, Delivery, Order};

/// After so long a command of which nothing was heard again counts as lost with the program that was to run it: longer than
/// that gives any command.
const LOST: Duration = Duration::from_secs(60);
/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 256;

impl Container {
    /// Notes that the command of `service` is to be run for this container.
    pub(super) fn command(&mut self, service: &Service) {
        let Some(command) = &service.notify_command else { return };
        let delivery = &mut self.delivery;
        if let Some(Commanded { state: CommandState::Running(_), again, .. }) = &mut delivery.commanded {
            *again = true;
            return;
        }
        let state = match unfit(delivery) {
            Some(reason) => CommandState::Ended(CommandEnd::NotRun(reason.to_owned())),
            None => CommandState::Waiting,
        };
        delivery.commanded = Some(Commanded { command: command.clone(), at: clock::now(), state, again: false });
    }
}

/// Why a program of root's must not be given the id of this container. A user may call its own what root calls another.
fn unfit(delivery: &Delivery) -> Option<&'static str> {
    match delivery.uid {
        0 if delivery.id.as_str().starts_with(['-', '+', '.']) => Some("its id could be taken for an option"),
        0 => None,
        _ => Some("it is a user's container; --notify sends it a signal"),
    }
}

impl Deliveries {
    /// The command that has waited longest, if there is one; from now on it counts as running.
    pub fn next_command(&self) -> Option<Order> {
        let now = clock::now();
        let mut held = self.held();
        let (key, _) = held
            .iter()
            .filter_map(|(key, held)| match held {
                Held::Holding(container) => Some((key, due(container.delivery.commanded.as_ref()?, now)?)),
                _ => None,
            })
            .min_by_key(|(_, since)| *since)?;
        let key = key.clone();
        let Some(Held::Holding(container)) = held.get_mut(&key) else { return None };
        let number = now.0;
        let order = order(&container.delivery, number)?;
        if let Some(commanded) = &mut container.delivery.commanded {
            (commanded.state, commanded.at, commanded.again) = (CommandState::Running(number), now, false);
        }
        let record = Record::of(container);
        drop(held);
        self.note(&key, &record);
        Some(order)
    }

    /// Whether a command waits.
    pub fn has_command(&self) -> bool {
        let now = clock::now();
        self.held()
            .values()
            .filter_map(Held::delivery)
            .any(|it| it.commanded.as_ref().is_some_and(|it| due(it, now).is_some()))
    }

    /// Notes how the command of this number ended; false where no container has it (any more).
    pub fn command_ended(&self, number: u64, end: CommandEnd) -> bool {
        let end = match end {
            CommandEnd::NotRun(reason) => {
                CommandEnd::NotRun(escaped(&reason.chars().take(MAX_REASON).collect::<String>()))
            }
            other => other,
        };
        let is_it = |it: &Delivery| it.commanded.as_ref().is_some_and(|it| it.state == CommandState::Running(number));
        let key = self.held().iter().find(|(_, held)| held.delivery().is_some_and(is_it)).map(|(key, _)| key.clone());
        let Some(key) = key else { return false };
        let Some(record) = self.note_command_end(&key, is_it, &end) else { return false };
        self.note(&key, &record);
        tracing::info!(container = %key.id, %end, "command");
        self.emit("notify", &key.id, key.uid, &[("outcome", &end.to_string())]);
        self.commands.notify_one();
        true
    }

    fn note_command_end(&self, key: &Key, is_it: impl Fn(&Delivery) -> bool, end: &CommandEnd) -> Option<Record> {
        let mut held = self.settled(key);
        let Some(Held::Holding(container)) = held.get_mut(key) else { return None };
        if !is_it(&container.delivery) {
            return None;
        }
        let commanded = container.delivery.commanded.as_mut()?;
        commanded.at = clock::now();
        commanded.state = if commanded.again { CommandState::Waiting } else { CommandState::Ended(end.clone()) };
        commanded.again = false;
        Some(Record::of(container))
    }
}

/// Since when it waits, if it does.
fn due(commanded: &Commanded, now: Timestamp) -> Option<Timestamp> {
    match commanded.state {
        CommandState::Waiting => Some(commanded.at),
        // Whoever ran it has gone without a word, and a program that reads files again may well do so twice.
        CommandState::Running(_) if now.0.saturating_sub(commanded.at.0) > LOST.as_nanos() as u64 => Some(commanded.at),
        CommandState::Running(_) | CommandState::Ended(_) => None,
    }
}

fn order(delivery: &Delivery, number: u64) -> Option<Order> {
    let secrets: Vec<String> = delivery.secrets.iter().map(|held| format!("{}:{}", held.name, held.version)).collect();
    Some(Order {
        number,
        command: delivery.commanded.as_ref()?.command.clone(),
        container: delivery.id.to_string(),
        service: delivery.service.to_string(),
        pid: delivery.pid,
        bundle: delivery.bundle.to_string_lossy().into_owned(),
        secrets: secrets.join(" "),
    })
}
