//! New values in the places that a running container has already: one file at a time, or all below /run/secrets in one step.

use crate::agent::catalog::Catalog;
use crate::deliver::linux::{New, Old, PlannedFile};
use crate::failpoint::{Point, reach};
use crate::model::Grant;
use crate::policy::Authorized;

use super::held::Container;
use super::live::{outcome, outcomes};
use super::record::Record;
use super::{Delivered, Deliveries, DeliveryError, Outcome};

/// A secret that a container is to have: which of its files, by which grant, as what.
pub(super) type Wanted<'g> = (usize, &'g Grant, PlannedFile);

impl Deliveries {
    /// Puts the current version of each secret that is `wanted` in the place of what the container has there, unless it has
    /// it: in one step those below /run/secrets, where the container has a generation directory.
    pub(super) fn put_all(
        &self,
        catalog: &Catalog,
        authorized: &Authorized,
        container: &mut Container,
        mut wanted: Vec<Wanted<'_>>,
    ) -> Vec<Outcome> {
        wanted.retain(|(index, grant, file)| !is_there(catalog, container, *index, grant, file));
        let together = |wanted: &Wanted<'_>| container.generations && !wanted.2.is_single();
        let (together, singly): (Vec<_>, Vec<_>) = wanted.into_iter().partition(together);
        let done = self.put_together(catalog, authorized, container, &together);
        let mut outcomes = outcomes(container, together.iter().map(|(_, grant, _)| &grant.target), "rotate", done);
        for (index, grant, file) in singly {
            let opened = catalog.open_value(authorized, grant).map_err(DeliveryError::from);
            let done = opened.and_then(|(info, version, value)| {
                if container.running(self).make_room_to_replace(&file, grant.target.as_str())? {
                    self.records.write(&Record::of(container))?;
                }
                let old = container.running(self).replace(&file, grant.target.as_str(), &value)?;
                drop(value);
                self.superseded.put(container.process.pid(), container.started, Old::File(old));
                reach(Point::RotateSuperseded);
                container.delivery.secrets[index] =
                    Delivered::of(info, version, grant, Some(&container.delivery.secrets[index]));
                container.files[index] = file;
                // On record before the next one: an agent that is killed here leaves a record that is true, or one file behind.
                self.records.write(&Record::of(container))?;
                reach(Point::RotateRecorded);
                Ok(())
            });
            outcomes.push(outcome(container, &grant.target, "rotate", done));
        }
        outcomes
    }

    /// The same for files that change in one step: all of them, or none.
    fn put_together(
        &self,
        catalog: &Catalog,
        authorized: &Authorized,
        container: &mut Container,
        wanted: &[Wanted<'_>],
    ) -> Result<(), DeliveryError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let (mut news, mut changes) = (Vec::new(), Vec::new());
        for (index, grant, file) in wanted {
            let (info, version, value) = catalog.open_value(authorized, grant)?;
            news.push((*index, file.clone(), value));
            changes.push((
                *index,
                file.clone(),
                Delivered::of(info, version, grant, Some(&container.delivery.secrets[*index])),
            ));
        }
        self.flip(container, &news)?;
        drop(news);
        for (index, file, held) in changes {
            container.files[index] = file;
            container.delivery.secrets[index] = held;
        }
        self.records.write(&Record::of(container))?;
        reach(Point::FlipRecorded);
        Ok(())
    }

    /// The next generation of what the container has, with these in the place of others.
    pub(super) fn flip(&self, container: &mut Container, news: &[New]) -> Result<(), DeliveryError> {
        let files = container.files.clone();
        if let Some(old) = container.running(self).flip(&files, news)? {
            self.superseded.put(container.process.pid(), container.started, Old::Generation(old));
        }
        Ok(())
    }
}

/// Whether the container's `index` is the current version of `grant`'s secret already, as `file` says.
fn is_there(catalog: &Catalog, container: &Container, index: usize, grant: &Grant, file: &PlannedFile) -> bool {
    let (held, stands) = (&container.delivery.secrets[index], &container.files[index]);
    let is_current = catalog.secret(grant.source.as_str()).is_ok_and(|secret| {
        secret.id == held.id && secret.current().is_some_and(|version| version.number == held.version)
    });
    is_current && (stands.uid, stands.gid, stands.mode) == (file.uid, file.gid, file.mode)
}
