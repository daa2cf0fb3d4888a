//! The files that operators start, read as what they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use symbolon::domain::duration;

pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `docker-compose.yml`
#[derive(Clone)]
pub struct Compose(Value);

/// The variables of a container.
#[derive(Clone, Debug)]
pub struct Variables(pub BTreeMap<String, String>);

impl Compose {
    pub fn read() -> Self {
        Self::parse(&read("docker-compose.yml"))
    }

    pub fn parse(text: &str) -> Self {
        Self(serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("docker-compose.yml: {error}")))
    }

    pub fn services(&self) -> Vec<String> {
        keys(&self.0["services"])
    }

    pub fn service(&self, name: &str) -> &Value {
        &self.0["services"][name]
    }

    /// The services that build an image here.
    pub fn builders(&self) -> Vec<String> {
        let builds = |name: &String| !self.service(name)["build"].is_null();
        self.services().into_iter().filter(builds).collect()
    }

    /// The services that run our image.
    pub fn ours(&self) -> Vec<String> {
        let built: Vec<&Value> = self.builders().iter().map(|name| &self.service(name)["image"]).collect();
        let ours = |name: &String| built.contains(&&self.service(name)["image"]);
        self.services().into_iter().filter(ours).collect()
    }

    /// Those of them that serve.
    pub fn replicas(&self) -> Vec<String> {
        self.ours().into_iter().filter(|name| self.command(name) == ["serve"]).collect()
    }

    pub fn command(&self, service: &str) -> Vec<String> {
        words(&self.service(service)["command"])
    }

    /// The command of the health check, without its first word; empty when there is none.
    pub fn healthcheck(&self, service: &str) -> Vec<String> {
        words(&self.service(service)["healthcheck"]["test"])
    }

    pub fn environment(&self, service: &str) -> Variables {
        let variables = self.service(service)["environment"].as_object().cloned().unwrap_or_default();
        Variables(variables.into_iter().map(|(name, value)| (name, text(&value))).collect())
    }

    /// Source and target of each mount.
    pub fn mounts(&self, service: &str) -> Vec<(String, String)> {
        let mounts = words(&self.service(service)["volumes"]);
        let split = |mount: &String| {
            let mut parts = mount.split(':').map(str::to_owned);
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        };
        mounts.iter().map(split).collect()
    }

    /// Where a service finds a volume.
    pub fn mount(&self, service: &str, volume: &str) -> String {
        let mounts = self.mounts(service);
        let found = mounts.into_iter().find(|(source, _)| source == volume);
        found.unwrap_or_else(|| panic!("{service} does not mount {volume}")).1
    }

    /// Whom a service waits for, and until what.
    pub fn waits_for(&self, service: &str) -> BTreeMap<String, String> {
        let others = self.service(service)["depends_on"].as_object().cloned().unwrap_or_default();
        others.into_iter().map(|(name, other)| (name, text(&other["condition"]))).collect()
    }

    /// The networks of a service, with its fixed address on each.
    pub fn networks(&self, service: &str) -> BTreeMap<String, Option<String>> {
        match &self.service(service)["networks"] {
            Value::Object(networks) => networks
                .iter()
                .map(|(name, network)| (name.clone(), network["ipv4_address"].as_str().map(str::to_owned)))
                .collect(),
            names => words(names).into_iter().map(|name| (name, None)).collect(),
        }
    }

    /// A network or a volume as it is declared; nothing stands behind most of them.
    pub fn declared(&self, kind: &str, name: &str) -> Option<&Value> {
        self.0[kind].get(name)
    }

    /// `host address:host port:container port`, in three parts.
    pub fn published(&self, service: &str) -> Vec<Vec<String>> {
        let ports = words(&self.service(service)["ports"]);
        ports.iter().map(|port| port.split(':').map(str::to_owned).collect()).collect()
    }

    /// Where a service has memory for files.
    pub fn tmpfs(&self, service: &str) -> Vec<String> {
        words(&self.service(service)["tmpfs"])
    }

    pub fn duration(&self, service: &str, key: &str) -> Option<Duration> {
        duration::parse(self.service(service)[key].as_str()?).ok()
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().map(|words| words.iter().map(text).collect()).unwrap_or_default()
}

fn keys(value: &Value) -> Vec<String> {
    value.as_object().map(|members| members.keys().cloned().collect()).unwrap_or_default()
}

/// `Dockerfile`: its instructions, one a line.
#[derive(Clone)]
pub struct Dockerfile(pub Vec<(String, String)>);

impl Dockerfile {
    pub fn parse(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let joined = lines.join("\n").replace("\\\n", " ");
        let instruction = |line: &str| {
            let (name, rest) = line.trim().split_once(' ')?;
            Some((name.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" ")))
        };
        Self(joined.lines().filter_map(instruction).collect())
    }

    /// What stands behind each instruction of this name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(other, _)| other == name).map(|(_, rest)| rest.as_str()).collect()
    }

    /// What stands behind the last one: that of the image which is run.
    pub fn last(&self, name: &str) -> &str {
        self.all(name).last().copied().unwrap_or_default()
    }

    /// The words of an instruction in its JSON form.
    pub fn exec(&self, name: &str) -> Vec<String> {
        let text = self.last(name);
        let array = text.find('[').and_then(|at| text.get(at..)).unwrap_or_default();
        serde_json::from_str(array).unwrap_or_default()
    }

    pub fn environment(&self) -> BTreeMap<String, String> {
        let pairs = self.all("ENV").into_iter().flat_map(str::split_whitespace);
        pairs.filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    }
}

/// `deploy/haproxy.cfg`, as far as others have to fit it.
#[derive(Clone, Debug)]
pub struct Balancing {
    pub bind: String,
    /// Name and address of each.
    pub servers: Vec<(String, String)>,
    lines: Vec<Vec<String>>,
}

impl Balancing {
    pub fn parse(text: &str) -> Self {
        let uncommented = text.lines().map(|line| line.split(" #").next().unwrap_or_default());
        let lines: Vec<Vec<String>> = uncommented
            .map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .filter(|words| words.first().is_some_and(|word| !word.starts_with('#')))
            .collect();
        let bind = lines.iter().find(|words| words[0] == "bind").map(|words| words[1].clone());
        let servers = lines.iter().filter(|words| words[0] == "server");
        let servers = servers.map(|words| (words[1].clone(), words[2].clone())).collect();
        Self { bind: bind.unwrap_or_default(), servers, lines }
    }

    /// The duration behind these words, wherever they stand on a line.
    pub fn duration(&self, words: &[&str]) -> Option<Duration> {
        let behind = |line: &Vec<String>| {
            let at = line.windows(words.len()).position(|window| window == words)?;
            duration::parse(line.get(at + words.len())?).ok()
        };
        self.lines.iter().find_map(behind)
    }

    /// The number behind a word.
    pub fn number(&self, word: &str) -> Option<u32> {
        let behind = |line: &Vec<String>| {
            let at = line.iter().position(|other| other == word)?;
            line.get(at + 1)?.parse().ok()
        };
        self.lines.iter().find_map(behind)
    }

    pub fn has(&self, words: &str) -> bool {
        self.lines.iter().any(|line| line.join(" ").contains(words))
    }
}
