//! Which sessions a listing is about.

use sandkasten_api::id::WorkspaceId;
use sandkasten_api::name::SessionName;
use sandkasten_api::session::SessionStatus;

/// Conditions, all of which have to hold; without any, the live sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Any of these states; where there is none, any of a live session.
    pub statuses: Vec<SessionStatus>,
    /// The image it started from.
    pub image: Option<String>,
    /// The workspace at its `/workspace`.
    pub workspace_id: Option<WorkspaceId>,
    /// Its name.
    pub name: Option<SessionName>,
    /// Labels that it has: `key=value`, or `key` with any value.
    pub labels: Vec<String>,
    /// How many come with one request; the listing is whole all the same.
    pub page: Option<usize>,
}

impl SessionFilter {
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        parameters.extend(self.statuses.iter().map(|status| ("status", status.as_str().to_owned())));
        parameters.extend(self.image.iter().map(|image| ("image", image.clone())));
        parameters.extend(self.workspace_id.iter().map(|id| ("workspace_id", id.to_string())));
        parameters.extend(self.name.iter().map(|name| ("name", name.to_string())));
        parameters.extend(self.labels.iter().map(|label| ("label", label.clone())));
        parameters.extend(self.page.iter().map(|page| ("limit", page.to_string())));
        parameters
    }
}

/// Returns the address of the next page out of the value of a `Link` header, as a path of the same daemon.
pub(crate) fn next_page(link: &str) -> Option<&str> {
    let next = link.split(',').find(|link| link.contains("rel=\"next\""))?;
    let (_, address) = next.split_once('<')?;
    let (address, _) = address.split_once('>')?;
    // Anything else would be another endpoint, or another host.
    address.starts_with("/v1/sessions?").then_some(address)
}

#[cfg(test)]
mod tests {
    use super::next_page;

    #[test]
    fn only_a_page_of_the_same_listing_is_followed() {
        assert_eq!(next_page("</v1/sessions?cursor=1>; rel=\"next\""), Some("/v1/sessions?cursor=1"));
        for bad in [
            "",
            "</v1/sessions?cursor=1>; rel=\"prev\"",
            "<http://evil.example/v1/sessions?a>; rel=\"next\"",
            "<//evil.example/v1/sessions?a>; rel=\"next\"",
        ] {
            assert_eq!(next_page(bad), None, "{bad}");
        }
    }
}
