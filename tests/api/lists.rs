//! The parts in which clients, resource servers, roles and users are listed.

use super::{Place, assert_refused};

/// What is listed, and what making one needs beside a name.
const LISTED: [(&str, &[&str]); 4] =
    [("client", &[]), ("resource-server", &["--scope", "s"]), ("role", &[]), ("user", &[])];

fn names(place: &Place, what: &str, further: &[&str]) -> Vec<String> {
    let listed = place.cli(&[&[what, "list", "--json"], further].concat()).success();
    assert_eq!(listed.stderr, "", "programs read no notes");
    let listed = listed.json();
    listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn x32_every_list_comes_in_parts() {
    let place = Place::new();
    for (what, needed) in LISTED {
        for name in ["carol", "alice", "eve", "bob", "dave"] {
            let identifier = format!("urn:{name}");
            let of_server: &[&str] =
                if what == "resource-server" { &["--identifier", &identifier] } else { &[] };
            place.cli(&[&[what, "create", name], needed, of_server].concat()).success();
        }
        assert_eq!(names(&place, what, &[]), ["alice", "bob", "carol", "dave", "eve"], "{what}");
        assert_eq!(names(&place, what, &["--limit", "2"]), ["alice", "bob"], "{what}");
        assert_eq!(names(&place, what, &["--limit", "2", "--after", "bob"]), ["carol", "dave"], "{what}");
        assert_eq!(names(&place, what, &["--limit", "2", "--after", "dave"]), ["eve"], "{what}");
        assert_eq!(names(&place, what, &["--after", "bz"]), ["carol", "dave", "eve"], "{what}");
        assert!(names(&place, what, &["--after", "zoe"]).is_empty(), "{what}");
        let full = place.cli(&[what, "list", "--limit", "2"]).success();
        assert!(full.stdout.contains("bob") && !full.stdout.contains("carol"), "{}", full.stdout);
        assert_eq!(full.stderr, "note: there may be more: --after \"bob\"\n", "{what}");
        let last = place.cli(&[what, "list", "--limit", "2", "--after", "dave"]).success();
        assert_eq!(last.stderr, "", "{what}: nothing follows");
        assert_refused(
            2,
            |arguments| place.cli(&[&[what, "list"], arguments].concat()),
            &[
                (&["--limit", "0"], &["--limit", "1..=1000"]),
                (&["--limit", "1001"], &["--limit", "1..=1000"]),
                (&["--limit", "ten"], &["--limit"]),
            ],
        );
    }
}
