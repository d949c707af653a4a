//! Who a step runs as, or who files are to belong to: names are those of the image.

use super::BuildError;
use crate::root_view::RootView;

const LARGEST_FILE: u64 = 4 << 20;
/// The ids that a sandbox has.
const HIGHEST_ID: u32 = 65_535;

/// A user and its groups, as ids inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildAccount {
    /// The user.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// Other groups that the image has it in; none where a group was named.
    pub groups: Vec<u32>,
    /// Its home directory.
    pub home: String,
}

/// Finds `USER` or `USER:GROUP`, each a name or a number. The empty text is root.
pub(super) fn find(view: &RootView, text: &str) -> Result<BuildAccount, BuildError> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let passwd = read(view, "etc/passwd");
    let groups = read(view, "etc/group");
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let line = lines(&passwd).find(|fields| {
        fields.first() == Some(&user)
            || number.is_some() && fields.get(2).and_then(|id| id.parse().ok()) == number
    });
    let field = |place: usize| line.as_ref().and_then(|fields| fields.get(place)).copied();
    let id = match (number, field(2)) {
        (Some(number), _) => number,
        (None, Some(id)) => allowed(id, text)?,
        (None, None) => return Err(BuildError::NoSuchUser { user: user.to_owned() }),
    };
    let own_group = match (group.filter(|group| !group.is_empty()), field(3)) {
        (Some(group), _) => match group.parse() {
            Ok(number) => number,
            Err(_) => group_of(&groups, group)?,
        },
        (None, Some(id)) => allowed(id, text)?,
        // Docker gives a user by number that is in no file the group of root.
        (None, None) => 0,
    };
    for id in [id, own_group] {
        if id > HIGHEST_ID {
            return Err(BuildError::IdTooHigh { text: text.to_owned() });
        }
    }
    let name = field(0).unwrap_or(user);
    let others = match group {
        Some(_) => Vec::new(),
        None => lines(&groups)
            .filter(|fields| {
                fields.get(3).is_some_and(|members| members.split(',').any(|member| member == name))
            })
            .filter_map(|fields| fields.get(2).and_then(|id| id.parse().ok()))
            .filter(|id| *id <= HIGHEST_ID && *id != own_group)
            .take(64)
            .collect(),
    };
    let home = field(5).filter(|home| home.starts_with('/') && !home.contains('\0'));
    let home = home.unwrap_or(if id == 0 { "/root" } else { "/" }).to_owned();
    Ok(BuildAccount { user: id, group: own_group, groups: others, home })
}

/// The user and the group that files are to belong to; a user alone is its own group's number, as Docker has it.
pub(super) fn owner(view: &RootView, text: &str) -> Result<(u32, u32), BuildError> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let account = find(view, text)?;
    let same = group.is_none() && user.bytes().all(|byte| byte.is_ascii_digit());
    Ok((account.user, if same { account.user } else { account.group }))
}

fn group_of(groups: &str, name: &str) -> Result<u32, BuildError> {
    let line = lines(groups).find(|fields| fields.first() == Some(&name));
    let id = line.and_then(|fields| fields.get(2).and_then(|id| id.parse().ok()));
    id.ok_or_else(|| BuildError::NoSuchGroup { group: name.to_owned() })
}

fn allowed(id: &str, text: &str) -> Result<u32, BuildError> {
    id.parse().map_err(|_| BuildError::IdTooHigh { text: text.to_owned() })
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

/// What cannot be read has nobody in it.
fn read(view: &RootView, path: &str) -> String {
    let bytes = view.read(path, LARGEST_FILE).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
