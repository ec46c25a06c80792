//! More and less for a container that runs: what its service grants now is given, and what it does not is taken.

use crate::agent::catalog::{Catalog, Status};
use crate::deliver::DeliverError;
use crate::deliver::linux::PlannedFile;
use crate::failpoint::{Point, reach};
use crate::model::{Grant, Target};
use crate::policy::{Authorized, Refusal};

use super::held::Container;
use super::live::{outcome, outcomes};
use super::record::Record;
use super::{Delivered, Deliveries, DeliveryError, Outcome};

impl Deliveries {
    /// Gives `container` what its service grants now, and takes what it does not.
    pub(super) fn regrant(&self, catalog: &Catalog, container: &mut Container) -> Vec<Outcome> {
        let renewed = match self.renewed(catalog, container) {
            Ok(renewed) => Some(renewed),
            Err(DeliveryError::Catalog(error)) if error.status() == Status::NotFound => None,
            // Closed to the user whose container it is.
            Err(DeliveryError::Refused(Refusal::NotOpen { .. })) => None,
            Err(error) => {
                tracing::error!(container = %container.delivery.id, "nothing is changed: {error}");
                return Vec::new();
            }
        };
        let granted = renewed.as_ref().map_or(&[][..], |authorized| authorized.grants().as_slice());
        let mut done = self.revoke_all_but(granted, container);
        let Some(authorized) = &renewed else { return done };
        // What has left is not given again, as long as it is granted: that comes with the next start.
        let live = container.delivery.still_there(granted);
        let granted = live.as_slice();
        for held in &mut container.delivery.secrets {
            held.until = granted.iter().find(|grant| grant.target == held.target).and_then(|grant| grant.until);
        }
        if container.delivery.uid != 0 {
            done.extend(self.regrant_of_user(catalog, container, authorized, granted));
            return done;
        }
        let planned = {
            let files = container.files.clone();
            container.running(self).plan(&live, &files)
        };
        let change = match planned {
            Ok(change) => change,
            Err(error) => {
                // One target that cannot be had is named in the error; none of the others is touched.
                let targets = granted.iter().map(|grant| &grant.target);
                done.extend(outcomes(container, targets, "grant", Err(error.into())));
                return done;
            }
        };
        let mut wanted = Vec::new();
        let mut added = Vec::new();
        for file in &change.plan.files {
            let Some(grant) = granted.get(file.grant) else { continue };
            match container.index_of(&grant.target) {
                Some(index) => {
                    let path = container.files[index].path.clone();
                    wanted.push((index, grant, PlannedFile { path, ..file.clone() }));
                }
                None => added.push((grant, file)),
            }
        }
        done.extend(self.put_all(catalog, authorized, container, wanted));
        for (grant, file) in added {
            let opened = catalog.open_value(authorized, grant).map_err(DeliveryError::from);
            let added = opened.and_then(|(info, version, value)| {
                let made = container.running(self).make_room_to_add(file)?;
                let begun = change.mount_for(file, &container.mounts).map(|(mount, _)| mount.clone());
                if made || begun.is_some() {
                    container.begun = begun;
                    self.records.write(&Record::of(container))?;
                }
                let added = container.running(self).add(&change, file, grant.target.as_str(), &value);
                container.begun = None;
                added?;
                container.delivery.secrets.push(Delivered::of(info, version, grant, None));
                container.files.push(file.clone());
                self.records.write(&Record::of(container))?;
                reach(Point::GrantRecorded);
                Ok(())
            });
            done.push(outcome(container, &grant.target, "grant", added));
        }
        done
    }

    /// The same for a user's container, into which we do not go: what it has is brought up to date, what it has not comes
    /// with its next start.
    fn regrant_of_user(
        &self,
        catalog: &Catalog,
        container: &mut Container,
        authorized: &Authorized,
        granted: &[Grant],
    ) -> Vec<Outcome> {
        let (mut wanted, mut outcomes) = (Vec::new(), Vec::new());
        for grant in granted {
            match container.index_of(&grant.target) {
                None => outcomes.push(outcome(container, &grant.target, "grant", Err(DeliverError::NextStart.into()))),
                Some(index) => wanted.push((index, grant, container.files[index].clone())),
            }
        }
        outcomes.extend(self.put_all(catalog, authorized, container, wanted));
        outcomes
    }

    fn revoke_all_but(&self, granted: &[Grant], container: &mut Container) -> Vec<Outcome> {
        container.delivery.ended.retain(|ended| granted.iter().any(|grant| ended.is_by(grant)));
        let mut outcomes = Vec::new();
        let mut index = 0;
        while index < container.delivery.secrets.len() {
            let target = container.delivery.secrets[index].target.clone();
            if granted.iter().any(|grant| grant.target == target) {
                index += 1;
                continue;
            }
            let others: Vec<Target> = container.delivery.secrets.iter().map(|held| held.target.clone()).collect();
            let others: Vec<&str> = others.iter().filter(|other| **other != target).map(Target::as_str).collect();
            let file = container.files.remove(index);
            container.delivery.secrets.remove(index);
            let removed = container.running(self).remove(&file, target.as_str(), &others).map_err(DeliveryError::from);
            let done = removed.and_then(|()| self.records.write(&Record::of(container)));
            reach(Point::RevokeRecorded);
            outcomes.push(outcome(container, &target, "revoke", done));
        }
        outcomes
    }
}
