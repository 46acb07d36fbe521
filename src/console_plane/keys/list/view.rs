//! What the list's address asks for, and addresses that ask for something else. What does not parse is as if it were not
//! there: an address may be old, mistyped or cut.

use form_urlencoded::Serializer;
use uuid::Uuid;

use crate::{
    catalog::Catalog,
    ids::UserId,
    keys::{
        list::{Column, Creator, Filter, Order},
        model::KeyState,
        secret,
    },
    text::is_invisible,
};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListView {
    pub filter: Filter,
    pub order: Order,
    /// From 1; 0 and 1 are the same.
    pub page: u32,
}

/// Offered in "Unused for"; an address may say any number.
pub const UNUSED_DAYS: [u16; 4] = [7, 30, 90, 365];
/// Each order with its word in an address and its label. The first is the default, which an address need not say.
pub const ORDERS: [(Order, &str, &str); 8] = [
    (Order { by: Column::Created, descending: true }, "", "Newest first"),
    (Order { by: Column::Created, descending: false }, "created", "Oldest first"),
    (Order { by: Column::Name, descending: false }, "name", "Name, A to Z"),
    (Order { by: Column::Name, descending: true }, "-name", "Name, Z to A"),
    (Order { by: Column::LastUsed, descending: true }, "-used", "Used most recently"),
    (Order { by: Column::LastUsed, descending: false }, "used", "Used longest ago"),
    (Order { by: Column::Expires, descending: false }, "expires", "Expiring soonest"),
    (Order { by: Column::Expires, descending: true }, "-expires", "Expiring last"),
];
/// No more of a search is looked at: names are no longer.
const TEXT_CHARS: usize = 80;

impl ListView {
    pub fn parse(pairs: &[(String, String)], catalog: &Catalog) -> Self {
        let mut view = Self::default();
        for (name, value) in pairs {
            let value = value.trim();
            let known = |known: bool| known.then(|| value.to_owned());
            match name.as_str() {
                "q" => view.filter.text = text(value),
                "environment" => view.filter.environment = known(catalog.environment(value).is_some()),
                "tier" => view.filter.tier = known(catalog.tier(value).is_some()),
                "status" => view.filter.status = KeyState::ALL.into_iter().find(|status| status.as_str() == value),
                "scope" => view.filter.scope = known(catalog.scope(value).is_some()),
                "creator" => view.filter.creator = creator(value),
                "unused" => view.filter.unused_days = value.parse().ok().filter(|days| (1..=3650).contains(days)),
                "sort" => view.order = order(value).unwrap_or_default(),
                "page" => view.page = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
        view
    }

    /// What an address needs to lead here: nothing of what is as it is anyway.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let filter = &self.filter;
        let pairs = [
            ("q", filter.text.clone()),
            ("environment", filter.environment.clone()),
            ("tier", filter.tier.clone()),
            ("status", filter.status.map(|status| status.as_str().to_owned())),
            ("scope", filter.scope.clone()),
            ("creator", filter.creator.map(creator_word)),
            ("unused", filter.unused_days.map(|days| days.to_string())),
            ("sort", Some(order_word(self.order).to_owned()).filter(|word| !word.is_empty())),
            ("page", (self.page > 1).then(|| self.page.to_string())),
        ];
        pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    pub fn query(&self) -> String {
        Serializer::new(String::new()).extend_pairs(self.pairs()).finish()
    }

    /// `/keys?status=active`, or with another path.
    pub fn address(&self, path: &str) -> String {
        let query = self.query();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// The first filter that an address has and this view does not, such as a mistyped one: without it more would match than
    /// was asked for. An order or a page is no filter.
    pub fn dropped<'a>(&self, address: &'a [(String, String)]) -> Option<&'a str> {
        let understood = self.pairs();
        let filters = address
            .iter()
            .filter(|(name, value)| !value.trim().is_empty() && !["matching", "sort", "page"].contains(&name.as_str()));
        let mut names = filters.map(|(name, _)| name.as_str());
        names.find(|name| !understood.iter().any(|(known, _)| known == name))
    }

    pub fn is_filtered(&self) -> bool {
        self.filter != Filter::default()
    }

    pub fn at_page(&self, page: u32) -> Self {
        Self { page, ..self.clone() }
    }

    /// Sorted by a column: the way its first look is most useful, and the other way if it is sorted by it already.
    pub fn sorted_by(&self, by: Column) -> Self {
        let descending = match by {
            _ if by == self.order.by => !self.order.descending,
            Column::Created | Column::LastUsed => true,
            Column::Name | Column::Expires => false,
        };
        Self { order: Order { by, descending }, page: 1, ..self.clone() }
    }
}

/// Not everybody can type the ellipsis of a hint.
fn text(value: &str) -> Option<String> {
    let text: String = value.chars().filter(|c| !is_invisible(*c)).take(TEXT_CHARS).collect();
    Some(text.replace("...", "…")).filter(|text| !text.is_empty())
}

fn creator(value: &str) -> Option<Creator> {
    match value {
        "operator" => Some(Creator::Operator),
        id => id.parse::<Uuid>().ok().map(|id| Creator::Person(UserId(id))),
    }
}

pub fn creator_word(creator: Creator) -> String {
    match creator {
        Creator::Operator => "operator".to_owned(),
        Creator::Person(user) => user.0.to_string(),
    }
}

fn order(word: &str) -> Option<Order> {
    ORDERS.into_iter().find(|(_, known, _)| *known == word).map(|(order, ..)| order)
}

pub fn order_word(order: Order) -> &'static str {
    ORDERS.into_iter().find(|(known, ..)| *known == order).map_or("", |(_, word, _)| word)
}

/// Where a form's address should rather lead. Without the fields that were left empty it can be read; and somebody who
/// pastes a whole key into the search leaves its hint in their history, not the key.
pub fn tidied(pairs: &[(String, String)]) -> Option<String> {
    let mut tidy = Serializer::new(String::new());
    let mut untidy = false;
    for (name, value) in pairs {
        let hint = (name == "q").then(|| secret::hint_of(value.trim())).flatten();
        untidy |= value.is_empty() || hint.is_some();
        if !value.is_empty() {
            tidy.append_pair(name, hint.as_ref().unwrap_or(value));
        }
    }
    untidy.then(|| tidy.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Vec<(String, String)> {
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    fn parse(query: &str) -> ListView {
        ListView::parse(&pairs(query), &Catalog::load("default").unwrap())
    }

    #[test]
    fn an_address_says_what_is_looked_at_and_nothing_else() {
        let person = "0192f0c1-2345-7abc-8def-0123456789ab";
        let all = format!(
            "q=CI+%26+%C3%A9&environment=test&tier=high&status=expired&scope=read&creator={person}&unused=45&sort=-name&page=3"
        );
        assert_eq!(parse(&all).query(), all);
        assert!(parse(&all).is_filtered());
        for nothing in ["", "sort=-created&page=1", "page=0", "new=1", "q=+&status="] {
            let view = parse(nothing);
            assert_eq!(view.address("/keys"), "/keys", "{nothing}");
            assert!(!view.is_filtered());
        }
        for (_, word, _) in ORDERS {
            assert_eq!(order_word(order(word).unwrap_or_default()), word);
        }
    }

    #[test]
    fn what_makes_no_sense_is_not_there() {
        for odd in [
            "environment=moon",
            "tier=%00",
            "status=Active",
            "scope=fly",
            "creator=me",
            "unused=0",
            "unused=-1",
            "unused=3651",
            "unused=x",
            "sort=digest",
            "sort=--name",
            "page=-1",
            "page=99999999999",
            "%%%",
            "&=&&=",
            "q=%E2%80%8B",
        ] {
            assert_eq!(parse(odd), ListView::default(), "{odd}");
        }
        assert_eq!(parse(&format!("q={}", "x".repeat(500))).filter.text.unwrap().len(), TEXT_CHARS);
        // Said twice, the last counts.
        assert_eq!(parse("status=active&status=revoked").filter.status, Some(KeyState::Revoked));
    }

    #[test]
    fn a_column_is_sorted_the_useful_way_first_and_then_the_other() {
        let view = parse("q=x&page=4");
        assert_eq!(view.sorted_by(Column::Name).query(), "q=x&sort=name");
        assert_eq!(view.sorted_by(Column::Name).sorted_by(Column::Name).query(), "q=x&sort=-name");
        assert_eq!(view.sorted_by(Column::LastUsed).query(), "q=x&sort=-used");
        assert_eq!(view.sorted_by(Column::Created).query(), "q=x&sort=created");
    }

    #[test]
    fn a_forms_address_loses_what_was_left_empty_and_a_pasted_key() {
        let tidied = |query: &str| tidied(&pairs(query));
        assert_eq!(tidied("q=a&status=&page=2").as_deref(), Some("q=a&page=2"));
        assert_eq!(tidied("q="), Some(String::new()));
        assert_eq!(tidied("q=a&page=2"), None);
        let key = secret::NewSecret::generate("kd_live_").unwrap();
        let hint: String = form_urlencoded::byte_serialize(key.hint.as_bytes()).collect();
        assert_eq!(tidied(&format!("q=+{}+", key.reveal())), Some(format!("q={hint}")));
        assert_eq!(parse("q=kd_live_AbCd...WxYz").filter.text.as_deref(), Some("kd_live_AbCd…WxYz"));
    }
}
