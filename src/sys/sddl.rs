//! Access lists as Windows writes them (SDDL), read and compared: pure, and the same on every platform, so that what
//! refuses a directory is tested where there is no Windows.
//!
//! Source: Microsoft, "Security Descriptor String Format", "ACE Strings", "SID Strings".

use std::fmt;

/// Full access for SYSTEM and the administrators, for a directory and all that is made in it; nothing is inherited.
pub const PRIVATE_DIRECTORY: &str = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";
/// The same for a file.
pub const PRIVATE_FILE: &str = "D:P(A;;FA;;;SY)(A;;FA;;;BA)";
/// The same for a pipe, which the administrators own: by that its clients know it. Nobody else can make a pipe that they do.
pub const PRIVATE_PIPE: &str = "O:BAD:P(A;;GA;;;SY)(A;;GA;;;BA)";

/// SYSTEM and the administrators, as short and as long names.
const PRIVILEGED: [&str; 4] = ["SY", "BA", "S-1-5-18", "S-1-5-32-544"];
/// TrustedInstaller, which owns what is below Program Files.
const INSTALLER: &str = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
/// Rights that change nothing, by name.
const READING: [&str; 6] = ["FR", "FX", "GR", "GX", "RC", "SY"];
/// Rights to write, to add, to delete, to change the list or the owner, in every form that a mask has for them.
///
/// Source: File Access Rights Constants, ACCESS_MASK (Microsoft Learn).
const CHANGING: u32 = 0x520d_0156;
/// The kinds of entries that take something away; any other counts as one that gives.
const TAKING: [&str; 4] = ["D", "OD", "XD", "ZD"];

/// An owner and a discretionary access list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sddl {
    /// The owner, if the text names one.
    pub owner: Option<String>,
    /// Nothing is inherited from the directory above, now or later.
    pub protected: bool,
    /// What the directory above hands down has been taken on.
    pub inherited: bool,
    /// The entries; none where there is no list, which means that everybody may do everything.
    pub entries: Option<Vec<Entry>>,
}

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `A` for allow, `D` for deny, and rarer ones.
    pub kind: String,
    /// How it is inherited, and whether it was.
    pub flags: String,
    /// What it is about.
    pub rights: String,
    /// Who.
    pub who: String,
}

/// Why a list is wider than it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wider {
    /// There is no list: everybody may do everything.
    NoList,
    /// The text is not understood.
    Unreadable,
    /// Somebody else owns it, and could change the list.
    Owner(String),
    /// Somebody else may do something.
    Entry(Entry),
    /// What is above decides as well.
    Inherits,
}

impl fmt::Display for Wider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoList => f.write_str("everybody may do everything with it"),
            Self::Unreadable => f.write_str("its access list is not understood"),
            Self::Owner(who) => write!(f, "{who} owns it"),
            Self::Entry(entry) => write!(f, "{} has {} in its access list", entry.who, entry.rights),
            Self::Inherits => f.write_str("it inherits from the directory above it"),
        }
    }
}

impl Sddl {
    /// Reads what `ConvertSecurityDescriptorToStringSecurityDescriptorW` writes; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut sddl = Self { owner: None, protected: false, inherited: false, entries: None };
        for (tag, part) in parts(text)? {
            match tag {
                'O' => sddl.owner = Some(part.to_owned()),
                'D' if !part.starts_with("NO_ACCESS_CONTROL") => {
                    let (flags, entries) = part.split_at(part.find('(').unwrap_or(part.len()));
                    let entries = read_entries(entries)?;
                    sddl.protected = flags.contains('P');
                    sddl.inherited = flags.contains("AI") || entries.iter().any(Entry::is_inherited);
                    sddl.entries = Some(entries);
                }
                _ => {}
            }
        }
        Some(sddl)
    }

    /// Why somebody else than SYSTEM, the administrators, Windows' own installer and `own` can change what has this list; none
    /// when nobody can. What is only handed down says nothing of the thing itself.
    pub fn changeable(&self, own: &str) -> Option<Wider> {
        let may = |who: &str| is_privileged(who) || who == INSTALLER || (!own.is_empty() && who == own);
        let Some(entries) = &self.entries else { return Some(Wider::NoList) };
        if let Some(owner) = self.owner.as_deref().filter(|owner| !may(owner)) {
            return Some(Wider::Owner(owner.to_owned()));
        }
        let changes = |entry: &&Entry| {
            !TAKING.contains(&entry.kind.as_str())
                && !entry.is_only_handed_down()
                && entry.changes()
                && !may(&entry.who)
        };
        entries.iter().find(changes).map(|entry| Wider::Entry(entry.clone()))
    }

    /// Why `self` gives more than to SYSTEM, the administrators and `own` (the user of this process, by SID); none when it
    /// does not. Entries that deny are nobody's gain. A list that has inherited nothing need not say that it never will:
    /// whoever can change the directory above is an administrator, and each start looks again.
    pub fn wider(&self, own: &str) -> Option<Wider> {
        let may = |who: &str| is_privileged(who) || (!own.is_empty() && who == own);
        let Some(entries) = &self.entries else { return Some(Wider::NoList) };
        if let Some(owner) = self.owner.as_deref().filter(|owner| !may(owner)) {
            return Some(Wider::Owner(owner.to_owned()));
        }
        if let Some(entry) = entries.iter().find(|entry| !TAKING.contains(&entry.kind.as_str()) && !may(&entry.who)) {
            return Some(Wider::Entry(entry.clone()));
        }
        (!self.protected && self.inherited).then_some(Wider::Inherits)
    }
}

/// Whether `who`, a short name or a SID, is SYSTEM or the administrators.
pub fn is_privileged(who: &str) -> bool {
    PRIVILEGED.contains(&who)
}

impl Entry {
    /// Whether it came from the directory above.
    fn is_inherited(&self) -> bool {
        self.flags.as_bytes().chunks(2).any(|flag| flag == b"ID")
    }
}

impl Entry {
    /// Whether it is for what is made below, and not for the thing itself.
    fn is_only_handed_down(&self) -> bool {
        self.flags.as_bytes().chunks(2).any(|flag| flag == b"IO")
    }

    /// Whether its rights change anything; those that are not understood do.
    fn changes(&self) -> bool {
        match self.rights.strip_prefix("0x") {
            Some(mask) => u32::from_str_radix(mask, 16).map_or(true, |mask| mask & CHANGING != 0),
            None => {
                self.rights.as_bytes().chunks(2).any(|right| !READING.iter().any(|known| known.as_bytes() == right))
            }
        }
    }
}

/// `O:…G:…D:…S:…` by its tags: a tag stands at depth zero, and a colon follows.
fn parts(text: &str) -> Option<Vec<(char, &str)>> {
    let (mut starts, mut depth) = (Vec::new(), 0_usize);
    for (at, sign) in text.char_indices() {
        match sign {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ':' if depth == 0 => starts.push(at.checked_sub(1).filter(|at| text.is_char_boundary(*at))?),
            _ => {}
        }
    }
    if depth != 0 || starts.first().is_some_and(|first| *first != 0) || (starts.is_empty() && !text.is_empty()) {
        return None;
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| Some((text[*start..].chars().next()?, text.get(start + 2..end)?)))
        .collect()
}

fn read_entries(text: &str) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let body = rest.strip_prefix('(')?;
        // A condition in an entry has parentheses of its own: such an entry is not understood, which counts as wider.
        let (entry, after) = body.split_once(')')?;
        let fields: Vec<&str> = entry.split(';').collect();
        let [kind, flags, rights, _object, _inherited_object, who] = fields.as_slice() else { return None };
        let owned = |text: &str| text.to_owned();
        entries.push(Entry { kind: owned(kind), flags: owned(flags), rights: owned(rights), who: owned(who) });
        rest = after;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "S-1-5-21-1-2-3-1001";

    fn wider(text: &str) -> Option<String> {
        Sddl::parse(text).map_or(Some(Wider::Unreadable), |sddl| sddl.wider(OWN)).map(|why| why.to_string())
    }

    #[test]
    fn what_we_make_is_not_wider() {
        for text in [
            PRIVATE_DIRECTORY,
            PRIVATE_FILE,
            "O:SYG:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)",
            "O:BAG:S-1-5-21-1-2-3-513D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)",
            "O:S-1-5-21-1-2-3-1001D:P(A;;FA;;;S-1-5-21-1-2-3-1001)(A;;FA;;;S-1-5-18)(D;;FA;;;WD)",
            "D:P",
            "D:(A;OICI;FA;;;SY)(A;OICIIO;GA;;;BA)",
        ] {
            assert_eq!(wider(text), None, "{text}");
        }
    }

    #[test]
    fn whatever_anybody_else_gains_is_wider() {
        for (text, why) in [
            ("", "everybody may do everything with it"),
            ("O:SYG:SY", "everybody may do everything with it"),
            ("D:NO_ACCESS_CONTROL", "everybody may do everything with it"),
            ("D:P(A;;FR;;;WD)(A;;FA;;;SY)", "WD has FR in its access list"),
            ("D:P(A;;FA;;;SY)(A;OICIID;0x1200a9;;;BU)", "BU has 0x1200a9 in its access list"),
            ("D:P(A;OICIIO;GA;;;CO)(A;;FA;;;SY)", "CO has GA in its access list"),
            ("D:P(OA;;FA;;;AU)", "AU has FA in its access list"),
            ("D:P(NEW;;FA;;;AU)", "AU has FA in its access list"),
            ("D:P(A;;FA;;;S-1-5-21-1-2-3-1002)", "S-1-5-21-1-2-3-1002 has FA in its access list"),
            ("O:BUD:P(A;;FA;;;SY)", "BU owns it"),
            ("D:AI(A;;FA;;;SY)(A;;FA;;;BA)", "it inherits from the directory above it"),
            ("D:(A;;FA;;;SY)(A;OICIID;FA;;;BA)", "it inherits from the directory above it"),
            ("D:P(XA;;FA;;;SY;(x == 1))", "its access list is not understood"),
            ("D:P(A;;FA;;;SY", "its access list is not understood"),
            ("D:P(A;;FA)", "its access list is not understood"),
            ("nonsense", "its access list is not understood"),
            (":", "its access list is not understood"),
            ("é:(", "its access list is not understood"),
        ] {
            assert_eq!(wider(text).as_deref(), Some(why), "{text}");
        }
    }

    #[test]
    fn the_user_of_no_name_is_nobody() {
        let sddl = Sddl::parse("D:P(A;;FA;;;)").unwrap();
        assert!(sddl.wider("").is_some());
    }

    #[test]
    fn who_could_change_a_program_is_seen() {
        let of = |text: &str| Sddl::parse(text).unwrap().changeable(OWN).map(|why| why.to_string());
        let program_files = format!(
            "O:{INSTALLER}G:{INSTALLER}D:PAI(A;;FA;;;{INSTALLER})(A;CIIO;GA;;;{INSTALLER})(A;;0x1301bf;;;SY)(A;OICIIO;GA;;;SY)\
             (A;;0x1301bf;;;BA)(A;OICIIO;GA;;;BA)(A;;0x1200a9;;;BU)(A;OICIIO;GXGR;;;BU)(A;OICIIO;GA;;;CO)(A;;0x1200a9;;;AC)"
        );
        for text in [&program_files, "O:BAD:(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)", "O:SYD:P(A;;FRFX;;;WD)"]
        {
            assert_eq!(of(text), None, "{text}");
        }
        for (text, why) in [
            ("O:BAD:(A;ID;FA;;;BA)(A;ID;0x1301bf;;;AU)", "AU has 0x1301bf in its access list"),
            ("O:BAD:(A;;FA;;;BA)(A;;0x2;;;BU)", "BU has 0x2 in its access list"),
            ("O:BAD:(A;;FRFW;;;WD)", "WD has FRFW in its access list"),
            ("O:BAD:(A;;GA;;;S-1-5-21-1-2-3-1002)", "S-1-5-21-1-2-3-1002 has GA in its access list"),
            ("O:BAD:(A;;0xnonsense;;;WD)", "WD has 0xnonsense in its access list"),
            ("O:S-1-5-21-1-2-3-1002D:(A;;FA;;;BA)", "S-1-5-21-1-2-3-1002 owns it"),
            ("O:BA", "everybody may do everything with it"),
        ] {
            assert_eq!(of(text).as_deref(), Some(why), "{text}");
        }
    }
}
