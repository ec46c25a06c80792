//! Ids: names to numbers by the container's own passwd and group, numbers in the container to numbers on the host.

use std::io::{self, Read};

use crate::deliver::DeliverError;
use crate::sys::linux::path::Dir;
use crate::sys::linux::pidfd::{IdMapFile, Process};

/// The most bytes of a passwd or group file that are read.
const MAX_OWNER_FILE: u64 = 1024 * 1024;

/// A user namespace's maps: what the kernel says, not what config.json asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMaps {
    users: Vec<Range>,
    groups: Vec<Range>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    inside: u32,
    outside: u32,
    count: u32,
}

impl IdMaps {
    /// The maps of `process`'s user namespace, as seen from the caller's.
    ///
    /// # Errors
    /// [`DeliverError::Kernel`].
    pub fn of(process: &Process) -> Result<Self, DeliverError> {
        let read = |file, what| {
            let text = process.id_map(file).map_err(|cause| DeliverError::Kernel { what, cause })?;
            parse_map(&text)
                .ok_or_else(|| DeliverError::Kernel { what, cause: io::Error::from(io::ErrorKind::InvalidData) })
        };
        Ok(Self {
            users: read(IdMapFile::Users, "the container's uid map")?,
            groups: read(IdMapFile::Groups, "the container's gid map")?,
        })
    }

    /// Whether the host's number `id` is a user's in there.
    pub fn has_user(&self, id: u32) -> bool {
        inside(&self.users, id).is_some()
    }

    /// What the host's `uid` and `gid` are in there; none where there is no place for one of them.
    pub fn inside(&self, (uid, gid): (u32, u32)) -> Option<(u32, u32)> {
        Some((inside(&self.users, uid)?, inside(&self.groups, gid)?))
    }

    /// The host's number for a uid in the container.
    ///
    /// # Errors
    /// [`DeliverError::UnmappedOwner`].
    pub fn host_uid(&self, id: u32) -> Result<u32, DeliverError> {
        translate(&self.users, id).ok_or(DeliverError::UnmappedOwner { what: "uid", id })
    }

    /// The host's number for a gid in the container.
    ///
    /// # Errors
    /// [`DeliverError::UnmappedOwner`].
    pub fn host_gid(&self, id: u32) -> Result<u32, DeliverError> {
        translate(&self.groups, id).ok_or(DeliverError::UnmappedOwner { what: "gid", id })
    }
}

fn parse_map(text: &str) -> Option<Vec<Range>> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        let range = Range { inside: numbers.next()??, outside: numbers.next()??, count: numbers.next()?? };
        numbers.next().is_none().then_some(range)
    };
    text.lines().map(line).collect()
}

fn translate(ranges: &[Range], id: u32) -> Option<u32> {
    ranges.iter().find_map(|range| {
        let offset = id.checked_sub(range.inside)?;
        if offset < range.count { range.outside.checked_add(offset) } else { None }
    })
}

fn inside(ranges: &[Range], id: u32) -> Option<u32> {
    ranges.iter().find_map(|range| {
        let offset = id.checked_sub(range.outside)?;
        if offset < range.count { range.inside.checked_add(offset) } else { None }
    })
}

/// The numbers of `users` and `groups`, in order, by the passwd and group files of the tree at `rootfs`.
///
/// # Errors
/// [`DeliverError::UnknownOwner`], [`DeliverError::OwnerFile`].
pub fn look_up(rootfs: &Dir, users: &[String], groups: &[String]) -> Result<(Vec<u32>, Vec<u32>), DeliverError> {
    Ok((numbers(rootfs, "etc/passwd", "user", users)?, numbers(rootfs, "etc/group", "group", groups)?))
}

fn numbers(rootfs: &Dir, file: &'static str, what: &'static str, names: &[String]) -> Result<Vec<u32>, DeliverError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let text = read_limited(rootfs, file).map_err(|cause| DeliverError::OwnerFile { file, cause })?;
    let unknown = |name: &String| DeliverError::UnknownOwner { what, name: name.clone() };
    names.iter().map(|name| number_of(&text, name).ok_or_else(|| unknown(name))).collect()
}

fn read_limited(rootfs: &Dir, file: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    rootfs.read_in_root(file)?.take(MAX_OWNER_FILE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The third field of the first line whose first field is `name`: passwd(5) and group(5) have it in one place.
fn number_of(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        fields.nth(1)?.parse().ok().filter(|id| *id != u32::MAX)
    })
}

#[cfg(test)]
impl IdMaps {
    /// One map for users and groups, for tests of what is built on this.
    pub(super) fn for_test(map: &str) -> Self {
        let ranges = parse_map(map).unwrap();
        Self { users: ranges.clone(), groups: ranges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_ranges_are_looked_through() {
        let maps = IdMaps::for_test("         0       1000          1\n         1     100000      65536\n");
        assert_eq!(maps.host_uid(0).unwrap(), 1000);
        assert_eq!(maps.host_gid(7).unwrap(), 100_006);
        assert!(matches!(maps.host_uid(65_537), Err(DeliverError::UnmappedOwner { what: "uid", id: 65_537 })));
    }

    #[test]
    fn the_way_back_is_the_same() {
        let maps = IdMaps::for_test("0 1000 1\n1 100000 65536\n");
        assert_eq!(maps.inside((1000, 100_006)), Some((0, 7)));
        assert_eq!(maps.inside((1000, 999)), None);
        assert!(maps.has_user(165_535) && !maps.has_user(165_536) && !maps.has_user(0));
    }

    #[test]
    fn the_host_maps_onto_itself() {
        assert_eq!(IdMaps::for_test("0 0 4294967295").host_uid(4_294_967_294).unwrap(), 4_294_967_294);
    }

    #[test]
    fn a_map_that_is_not_as_documented_is_refused() {
        for text in ["0 0", "0 0 1 2", "a b c"] {
            assert!(parse_map(text).is_none(), "{text}");
        }
    }

    #[test]
    fn names_are_found_as_whole_first_fields() {
        let passwd = "root:x:0:0::/root:/bin/sh\nwww:x:33:34::/:\nbroken\nwww-data:x:4294967295:0::/:\n";
        assert_eq!(number_of(passwd, "www"), Some(33));
        assert_eq!(number_of(passwd, "ww"), None);
        assert_eq!(number_of(passwd, "broken"), None);
        assert_eq!(number_of(passwd, "www-data"), None);
    }

    #[test]
    fn a_missing_name_and_a_missing_file_are_told_apart() {
        let top = tempfile::tempdir().unwrap();
        let rootfs = Dir::root(top.path()).unwrap();
        let names = ["nginx".to_owned()];
        assert!(matches!(look_up(&rootfs, &names, &[]), Err(DeliverError::OwnerFile { file: "etc/passwd", .. })));
        std::fs::create_dir(top.path().join("etc")).unwrap();
        std::fs::write(top.path().join("etc/passwd"), "nginx:x:101:101::/:\n").unwrap();
        assert_eq!(look_up(&rootfs, &names, &[]).unwrap().0, [101]);
        assert!(look_up(&rootfs, &["x".to_owned()], &[]).unwrap_err().to_string().contains("user 'x' is not in"));
    }
}
