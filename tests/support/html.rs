//! As much of HTML as a browser needs to send a form: tags, attributes, character references.

/// A form of a page.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// `method`, in small letters.
    pub method: String,
    /// `action`: where it is sent.
    pub action: String,
    /// Every named `input`, with its value.
    pub inputs: Vec<(String, String)>,
    /// Every `button`, with its name and value.
    pub buttons: Vec<(String, String)>,
}

/// The forms of a page, in order.
pub fn forms(page: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut is_open = false;
    for tag in tags(page) {
        let value = |name: &str| attribute(&tag, name).unwrap_or_default();
        match (tag.name.as_str(), is_open) {
            ("form", false) => {
                let method = value("method").to_lowercase();
                forms.push(Form { method, action: value("action"), ..Form::default() });
                is_open = true;
            }
            ("/form", true) => is_open = false,
            ("input", true) => {
                let form = forms.last_mut().expect("a form is open");
                form.inputs.push((value("name"), value("value")));
            }
            ("button", true) => {
                let form = forms.last_mut().expect("a form is open");
                form.buttons.push((value("name"), value("value")));
            }
            ("form" | "/form" | "input" | "button", _) => panic!("{} stands where it cannot", tag.name),
            _ => {}
        }
    }
    forms
}

/// The addresses that the page's links lead to.
pub fn links(page: &str) -> Vec<String> {
    tags(page).filter(|tag| tag.name == "a").filter_map(|tag| attribute(&tag, "href")).collect()
}

/// A tag: `form`, `/form`; what stands in it.
pub struct Tag<'p> {
    /// Its name, in small letters.
    pub name: String,
    attributes: &'p str,
}

/// All tags of a page. In what we write no attribute holds a `<` or a `>`.
pub fn tags(page: &str) -> impl Iterator<Item = Tag<'_>> {
    page.split('<').skip(1).filter_map(|rest| {
        let inside = rest.split_once('>')?.0;
        let (name, attributes) = inside.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((inside, ""));
        Some(Tag { name: name.to_lowercase(), attributes })
    })
}

/// The value of a tag's attribute; empty for one without.
pub fn attribute(tag: &Tag<'_>, name: &str) -> Option<String> {
    let mut rest = tag.attributes.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(rest.len());
        let (found, after) = rest.split_at(end);
        let (value, after) = match after.strip_prefix("=\"") {
            Some(quoted) => quoted.split_once('"').expect("a value ends"),
            None => ("", after),
        };
        if found.eq_ignore_ascii_case(name) {
            return Some(unescape(value));
        }
        assert!(!after.starts_with('='), "every value is quoted: {rest}");
        rest = after.trim_start();
    }
    None
}

/// Undoes character references.
pub fn unescape(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (reference, rest) = part.split_once(';').unwrap_or_else(|| panic!("a bare & in {text}"));
        let number = reference.strip_prefix('#').map(|number| match number.strip_prefix('x') {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        });
        plain.push(match (reference, number) {
            ("amp", _) => '&',
            ("lt", _) => '<',
            ("gt", _) => '>',
            ("quot", _) => '"',
            (_, Some(Ok(number))) => char::from_u32(number).expect("a character"),
            _ => panic!("&{reference}; is not known here"),
        });
        plain.push_str(rest);
    }
    plain
}
