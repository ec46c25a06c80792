//! Which changes there are, and where each is stopped.

use runsecrets::failpoint::Point;

use crate::ground::Ground;

/// A change, and where the agent may be stopped in it.
pub(crate) struct Change {
    pub(crate) name: &'static str,
    pub(crate) ground: Ground,
    /// Whether the secret gets another value before.
    pub(crate) is_rotated: bool,
    /// Whether it is made by an agent that has taken the container over.
    pub(crate) is_adopted: bool,
    pub(crate) generations: bool,
    /// The command, and what it reads.
    pub(crate) arguments: &'static [&'static str],
    pub(crate) points: &'static [(Point, usize)],
}

/// What every change goes through.
pub(crate) const AROUND: [(Point, usize); 8] = [
    (Point::RecordWritten, 1),
    (Point::ChangeAnnounced, 1),
    (Point::StoreApplied, 1),
    (Point::ChangeStored, 1),
    (Point::ChangeTaken, 1),
    (Point::ChangeMade, 1),
    (Point::ChangePlaced, 1),
    (Point::ChangeDone, 1),
];

/// What most of them are.
const PLAIN: Change = Change {
    name: "",
    ground: Ground::Root,
    is_rotated: false,
    is_adopted: false,
    generations: false,
    arguments: &[],
    points: &[],
};

const ROTATE: Change = Change {
    name: "rotate",
    arguments: &["secret", "update", "key", "-"],
    points: &[
        (Point::ValueWritten, 1),
        (Point::ReplaceRenamed, 1),
        (Point::RotateSuperseded, 1),
        (Point::RecordWritten, 2),
        (Point::RecordReplaced, 2),
        (Point::RotateRecorded, 1),
        (Point::ValueWritten, 2),
        (Point::SwapBeneath, 1),
        (Point::SwapDone, 1),
        (Point::ReplaceRenamed, 2),
        (Point::RotateSuperseded, 2),
        (Point::RotateRecorded, 2),
        (Point::SupersededDue, 1),
        (Point::ChangeForgotten, 1),
    ],
    ..PLAIN
};

/// By an agent that has taken the container over: the single file is replaced by one of a second file system.
const ROTATE_ADOPTED: Change = Change {
    name: "rotate-adopted",
    is_adopted: true,
    points: &[
        (Point::ValueWritten, 1),
        (Point::ReplaceRenamed, 1),
        (Point::SecondMade, 1),
        (Point::ValueWritten, 2),
        (Point::SwapBeneath, 1),
        (Point::SwapDone, 1),
        (Point::ReplaceAlone, 1),
        (Point::RotateSuperseded, 2),
        (Point::RotateRecorded, 2),
    ],
    ..ROTATE
};

const FLIP: &[(Point, usize)] = &[
    (Point::ValueWritten, 1),
    (Point::FlipMade, 1),
    (Point::FlipExchanged, 1),
    (Point::FlipNamed, 1),
    (Point::FlipLinked, 1),
    (Point::FlipRecorded, 1),
    (Point::SwapBeneath, 1),
];
const GROUP: Change = Change { name: "group", generations: true, points: FLIP, ..ROTATE };
const GROUP_ADOPTED: Change = Change { name: "group-adopted", is_adopted: true, ..GROUP };

const GRANT: Change = Change {
    name: "grant",
    arguments: &[
        "service",
        "update",
        "web",
        "--secret-add",
        "source=key,target=third",
        "--secret-add",
        "source=other,target=/etc/third",
        "--secret-add",
        "source=other,target=/etc/app/third",
    ],
    points: &[
        (Point::ValueWritten, 1),
        (Point::GrantPlaced, 1),
        (Point::GrantRecorded, 1),
        (Point::GrantPlaced, 2),
        (Point::AttachMade, 1),
        (Point::AttachMounted, 1),
        (Point::GrantAttached, 1),
        (Point::RecordWritten, 3),
        (Point::GrantRecorded, 2),
        (Point::AttachMounted, 2),
        (Point::GrantRecorded, 3),
    ],
    ..PLAIN
};
const GRANT_ADOPTED: Change = Change {
    name: "grant-adopted",
    is_adopted: true,
    points: &[
        (Point::GrantPlaced, 1),
        (Point::SecondMade, 1),
        (Point::GrantPlaced, 2),
        (Point::AttachMade, 1),
        (Point::AttachMounted, 1),
        (Point::GrantAttached, 1),
        (Point::GrantRecorded, 2),
        (Point::AttachMounted, 2),
    ],
    ..GRANT
};
const GRANT_GROUP: Change =
    Change { name: "grant-group", generations: true, points: &[(Point::FlipMade, 1), (Point::FlipNamed, 1)], ..GRANT };

const REVOKE: Change = Change {
    name: "revoke",
    arguments: &["service", "update", "web", "--secret-rm", "key"],
    points: &[
        (Point::RevokeUnlinked, 1),
        (Point::RevokeEmptied, 1),
        (Point::RevokeRecorded, 1),
        (Point::RevokeUnlinked, 2),
        (Point::RevokeEmptied, 2),
        (Point::RevokeDetached, 1),
        (Point::RecordWritten, 3),
        (Point::RevokeRecorded, 2),
    ],
    ..PLAIN
};
const REVOKE_ADOPTED: Change =
    Change { name: "revoke-adopted", is_adopted: true, points: REVOKE_ADOPTED_POINTS, ..REVOKE };
const REVOKE_ADOPTED_POINTS: &[(Point, usize)] = &[
    (Point::RevokeUnlinked, 1),
    (Point::RevokeEmptied, 1),
    (Point::RevokeEmptied, 2),
    (Point::RevokeDetached, 1),
    (Point::RevokeRecorded, 2),
];
const REVOKE_GROUP: Change = Change {
    name: "revoke-group",
    generations: true,
    points: &[(Point::FlipMade, 1), (Point::FlipNamed, 1)],
    ..REVOKE
};

const SERVICE_REMOVE: Change = Change {
    name: "service-rm",
    arguments: &["service", "rm", "web"],
    points: &[
        (Point::RevokeUnlinked, 1),
        (Point::RevokeRecorded, 1),
        (Point::RevokeUnlinked, 3),
        (Point::RevokeDetached, 1),
        (Point::RevokeRecorded, 4),
    ],
    ..PLAIN
};

/// In a user namespace, whose mounts the agent reaches with other ids.
const ROTATE_USERNS: Change = Change {
    name: "rotate-userns",
    ground: Ground::UserNamespace,
    points: &[(Point::ReplaceRenamed, 1), (Point::SwapBeneath, 1), (Point::SwapDone, 1), (Point::RotateRecorded, 1)],
    ..ROTATE
};
const GRANT_USERNS: Change = Change {
    name: "grant-userns",
    ground: Ground::UserNamespace,
    points: &[(Point::GrantPlaced, 1), (Point::AttachMounted, 1), (Point::GrantAttached, 1)],
    ..GRANT
};
const REVOKE_USERNS: Change = Change {
    name: "revoke-userns",
    ground: Ground::UserNamespace,
    points: &[(Point::RevokeEmptied, 1), (Point::RevokeUnlinked, 2), (Point::RevokeDetached, 1)],
    ..REVOKE
};

/// In a user's container the agent changes what is below /run/secrets, and empties single files.
const ROTATE_ROOTLESS: Change = Change {
    name: "rotate-rootless",
    ground: Ground::Rootless,
    points: &[
        (Point::ChangeAnnounced, 1),
        (Point::ChangeStored, 1),
        (Point::ChangeTaken, 1),
        (Point::ValueWritten, 1),
        (Point::ReplaceRenamed, 1),
        (Point::RotateSuperseded, 1),
        (Point::RotateRecorded, 1),
        (Point::ChangePlaced, 1),
    ],
    ..ROTATE
};
const ROTATE_ROOTLESS_ADOPTED: Change = Change {
    name: "rotate-rootless-adopted",
    is_adopted: true,
    points: &[(Point::ValueWritten, 1), (Point::ReplaceRenamed, 1), (Point::RotateRecorded, 1)],
    ..ROTATE_ROOTLESS
};
const GROUP_ROOTLESS: Change = Change {
    name: "group-rootless",
    generations: true,
    points: &[(Point::FlipMade, 1), (Point::FlipExchanged, 1), (Point::FlipLinked, 1)],
    ..ROTATE_ROOTLESS
};
const REVOKE_ROOTLESS: Change = Change {
    name: "revoke-rootless",
    ground: Ground::Rootless,
    points: &[
        (Point::ChangeStored, 1),
        (Point::RevokeEmptied, 1),
        (Point::RevokeUnlinked, 1),
        (Point::RevokeRecorded, 1),
        (Point::RevokeEmptied, 2),
        (Point::RevokeUnlinked, 2),
        (Point::RevokeRecorded, 2),
    ],
    ..REVOKE
};
const REVOKE_ROOTLESS_ADOPTED: Change = Change {
    name: "revoke-rootless-adopted",
    is_adopted: true,
    points: &[(Point::RevokeUnlinked, 1), (Point::RevokeEmptied, 2), (Point::RevokeRecorded, 2)],
    ..REVOKE_ROOTLESS
};

/// On older kernels a new single file is mounted on top of the old one, and every clone takes a mount namespace.
const ROTATE_6_1: Change = Change {
    name: "rotate-6.1",
    ground: Ground::Linux6_1,
    points: &[
        (Point::ValueWritten, 2),
        (Point::SwapDone, 1),
        (Point::ReplaceRenamed, 2),
        (Point::RotateSuperseded, 2),
        (Point::RotateRecorded, 2),
    ],
    ..ROTATE
};
const ROTATE_6_1_ADOPTED: Change = Change {
    name: "rotate-6.1-adopted",
    is_adopted: true,
    points: &[
        (Point::SecondMade, 1),
        (Point::ValueWritten, 2),
        (Point::SwapDone, 1),
        (Point::ReplaceAlone, 1),
        (Point::RotateSuperseded, 2),
    ],
    ..ROTATE_6_1
};
const GRANT_6_1: Change = Change {
    name: "grant-6.1",
    ground: Ground::Linux6_1,
    points: &[
        (Point::GrantPlaced, 2),
        (Point::AttachMade, 1),
        (Point::AttachMounted, 1),
        (Point::GrantAttached, 1),
        (Point::GrantRecorded, 2),
        (Point::AttachMounted, 2),
    ],
    ..GRANT
};
const GRANT_6_1_ADOPTED: Change = Change {
    name: "grant-6.1-adopted",
    is_adopted: true,
    points: &[(Point::SecondMade, 1), (Point::AttachMounted, 1), (Point::GrantAttached, 1), (Point::AttachMounted, 2)],
    ..GRANT_6_1
};
/// What is revoked stands on what it has replaced: that has to go as well.
const REVOKE_6_1: Change = Change {
    name: "revoke-6.1",
    ground: Ground::Linux6_1,
    is_rotated: true,
    points: &[
        (Point::RevokeEmptied, 2),
        (Point::RevokeUnlinked, 2),
        (Point::RevokeDetached, 1),
        (Point::RevokeRecorded, 2),
        (Point::ChangeDone, 1),
    ],
    ..REVOKE
};
/// The agent that replaced it was killed before it had emptied the old one.
const REVOKE_6_1_ADOPTED: Change = Change {
    name: "revoke-6.1-adopted",
    is_adopted: true,
    points: &[
        (Point::RevokeEmptied, 2),
        (Point::RevokeDetached, 1),
        (Point::RevokeRecorded, 2),
        (Point::ChangeDone, 1),
    ],
    ..REVOKE_6_1
};
/// Beneath, and yet with a mount namespace for every clone.
const ROTATE_6_12: Change = Change {
    name: "rotate-6.12",
    ground: Ground::Linux6_12,
    points: &[(Point::SwapBeneath, 1), (Point::SwapDone, 1), (Point::ReplaceRenamed, 2)],
    ..ROTATE
};
const ROTATE_6_12_ADOPTED: Change = Change {
    name: "rotate-6.12-adopted",
    is_adopted: true,
    points: &[(Point::SwapBeneath, 1), (Point::ReplaceAlone, 1)],
    ..ROTATE_6_12
};

pub(crate) const CHANGES: [Change; 27] = [
    ROTATE,
    ROTATE_USERNS,
    GRANT_USERNS,
    REVOKE_USERNS,
    ROTATE_ADOPTED,
    GROUP,
    GROUP_ADOPTED,
    GRANT,
    GRANT_ADOPTED,
    GRANT_GROUP,
    REVOKE,
    REVOKE_ADOPTED,
    REVOKE_GROUP,
    SERVICE_REMOVE,
    ROTATE_ROOTLESS,
    ROTATE_ROOTLESS_ADOPTED,
    GROUP_ROOTLESS,
    REVOKE_ROOTLESS,
    REVOKE_ROOTLESS_ADOPTED,
    ROTATE_6_1,
    ROTATE_6_1_ADOPTED,
    GRANT_6_1,
    GRANT_6_1_ADOPTED,
    REVOKE_6_1,
    REVOKE_6_1_ADOPTED,
    ROTATE_6_12,
    ROTATE_6_12_ADOPTED,
];
