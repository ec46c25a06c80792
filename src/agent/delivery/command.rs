//! Commands by which containers are told of changes: what is to be run, and what became of it. The agent runs nothing: it
//! has given up what that would take. A program of root's own, `runsecrets notifier`, asks for the next one and says how it
//! ended.

use std::time::Duration;

use crate::agent::clock;
use crate::model::{Command, CommandEnd, Service, escaped};
use crate::sys::linux::clock::since_boot;

use super::held::{Container, Held, Key, Reservation};
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
        if let Some(running @ Commanded { state: CommandState::Running(_), .. }) = &mut delivery.commanded {
            (running.again, running.command) = (true, command.clone());
            return;
        }
        let state = match unfit(delivery) {
            Some(reason) => CommandState::Ended(CommandEnd::NotRun(reason.to_owned())),
            None => CommandState::Waiting,
        };
        delivery.commanded = Some(Commanded::new(command.clone(), state));
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
        let (now, key, mut container, place) = {
            let mut held = self.held();
            let now = since_boot();
            let waiting = held.iter().filter_map(|(key, held)| Some((key, waits_since(held, now)?)));
            let (key, _) = waiting.min_by_key(|(_, since)| *since)?;
            let key = key.clone();
            let (container, place) = self.take_in_hand(&mut held, &key)?;
            (now, key, container, place)
        };
        // Like no other, also of an earlier agent of this machine: they are taken one after another.
        let number = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let order = order(&container.delivery, number);
        if let Some(commanded) = &mut container.delivery.commanded {
            commanded.turn(CommandState::Running(number));
        }
        self.put_back(&key, *container, place);
        order
    }

    /// Whether a command waits.
    pub fn has_command(&self) -> bool {
        let now = since_boot();
        self.held().values().any(|held| waits_since(held, now).is_some())
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
        let Some((mut container, place)) = self.take_to_change(&key) else { return false };
        let is_known = is_it(&container.delivery);
        if let Some(commanded) = container.delivery.commanded.as_mut().filter(|_| is_known) {
            let again = commanded.again;
            commanded.turn(if again { CommandState::Waiting } else { CommandState::Ended(end.clone()) });
        }
        self.put_back(&key, *container, place);
        if is_known {
            tracing::info!(container = %key.id, %end, "command");
            self.emit("notify", &key.id, key.uid, &[("outcome", &end.to_string())]);
        }
        is_known
    }

    fn put_back(&self, key: &Key, container: Container, place: Reservation<'_>) {
        self.note(&container);
        let (pid, started) = (container.process.pid(), container.started);
        // And whoever waits for a command looks again.
        place.fill(container);
        self.reap_if_ended(key, pid, started);
    }
}

impl Commanded {
    fn new(command: Command, state: CommandState) -> Self {
        Self { command, at: clock::now(), since: since_boot(), state, again: false }
    }

    fn turn(&mut self, state: CommandState) {
        (self.at, self.since, self.state, self.again) = (clock::now(), since_boot(), state, false);
    }

    /// Since when it waits, if it does; by the clock that nobody sets, as is all that is counted here.
    fn waits_since(&self, now: Duration) -> Option<Duration> {
        match self.state {
            CommandState::Waiting => Some(self.since),
            // Whoever ran it has gone without a word, and a program that reads files again may well do so twice.
            CommandState::Running(_) if now.saturating_sub(self.since) > LOST => Some(self.since),
            CommandState::Running(_) | CommandState::Ended(_) => None,
        }
    }
}

/// Since when a command waits for this container, if one does and nobody has it in hand.
fn waits_since(held: &Held, now: Duration) -> Option<Duration> {
    match held {
        Held::Holding(container) => container.delivery.commanded.as_ref()?.waits_since(now),
        _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn who_waits_and_who_is_lost_does_not_depend_on_the_time_of_day() {
        let command = Command::parse("reload").unwrap();
        let mut it = Commanded::new(command, CommandState::Waiting);
        let since = it.since;
        // As after a clock that was set: to 1970, and to the end of its days.
        for at in [0, u64::MAX] {
            it.at = Timestamp(at);
            it.state = CommandState::Waiting;
            assert_eq!(it.waits_since(since), Some(since));
            it.state = CommandState::Running(1);
            assert_eq!(it.waits_since(since + LOST), None);
            assert_eq!(it.waits_since(since + LOST + Duration::from_nanos(1)), Some(since));
            it.state = CommandState::Ended(CommandEnd::TimedOut);
            assert_eq!(it.waits_since(since + 2 * LOST), None);
        }
    }
}
