//! What is wrong with the compose file, the Dockerfile and the load balancer's configuration: whatever in one of them the
//! others, the code or the repository do not know.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;
use symbolon::config::SETTINGS;
use symbolon::domain::duration;
use symbolon::startup::LONGEST_STOP;

use crate::files::{Balancing, Compose, Dockerfile, read, repository};
use crate::support::cli;
use crate::support::symbolon::Environment;

/// All that has to fit together.
#[derive(Clone)]
pub struct Files {
    pub compose: String,
    pub dockerfile: String,
    pub balancer: String,
    pub init: String,
}

/// The same, read as what it is.
struct Parsed {
    compose: Compose,
    dockerfile: Dockerfile,
    balancer: Balancing,
    init: String,
    faults: Vec<String>,
}

impl Files {
    pub fn read() -> Self {
        Self {
            compose: read("docker-compose.yml"),
            dockerfile: read("Dockerfile"),
            balancer: read("deploy/haproxy.cfg"),
            init: read("deploy/init.sh"),
        }
    }

    pub fn faults(&self) -> Vec<String> {
        let mut parsed = Parsed {
            compose: Compose::parse(&self.compose),
            dockerfile: Dockerfile::parse(&self.dockerfile),
            balancer: Balancing::parse(&self.balancer),
            init: self.init.clone(),
            faults: Vec::new(),
        };
        parsed.variables();
        parsed.secrets();
        parsed.mounts();
        parsed.images();
        parsed.builds();
        parsed.data();
        parsed.commands();
        parsed.ports();
        parsed.networks();
        parsed.order();
        parsed.redis();
        parsed.stopping();
        parsed.timeouts();
        parsed.faults
    }
}

impl Parsed {
    fn expect(&mut self, holds: bool, fault: impl Into<String>) {
        if !holds {
            self.faults.push(fault.into());
        }
    }

    /// What a replica is told: by its image, then by the compose file.
    fn environment(&self, service: &str) -> BTreeMap<String, String> {
        let mut environment = self.dockerfile.environment();
        environment.extend(self.compose.environment(service).0);
        environment
    }

    fn port(&self, service: &str) -> String {
        port(self.environment(service).get("SYMBOLON_LISTEN").map_or("", String::as_str))
    }

    /// Every variable is a setting.
    fn variables(&mut self) {
        for service in self.compose.ours() {
            for name in self.environment(&service).into_keys() {
                let bare = name.strip_suffix("_FILE").unwrap_or(&name);
                let is_known = SETTINGS.iter().any(|setting| {
                    setting.variable() == name || (setting.secret && setting.variable() == bare)
                });
                self.expect(is_known, format!("{service}: {name} is no setting"));
            }
        }
    }

    /// A secret is a file that init makes, in the volume that its reader mounts, and stands in no variable.
    fn secrets(&mut self) {
        for service in self.compose.services() {
            let variables = self.compose.environment(&service).0;
            for (name, value) in &variables {
                let secret = SETTINGS.iter().any(|setting| setting.secret && setting.variable() == *name)
                    || name.ends_with("PASSWORD")
                    || value.contains('@');
                self.expect(!secret, format!("{service}: {name} is a secret that anybody can read"));
            }
            let flags = self.compose.command(&service);
            let named = variables.iter().filter(|(name, _)| name.ends_with("_FILE")).map(|(_, path)| path);
            let named = named.chain(flags.iter().filter(|flag| flag.starts_with('/')));
            for path in named {
                let made = self.made_by_init(&service, path);
                self.expect(made, format!("{service}: nobody makes {path}"));
            }
        }
    }

    /// Whether init writes the file that a service finds at this path.
    fn made_by_init(&self, service: &str, path: &str) -> bool {
        let Some((directory, file)) = path.rsplit_once('/') else { return false };
        let entrypoint = self.compose.service("init")["entrypoint"].as_array().cloned().unwrap_or_default();
        let arguments: Vec<&str> = entrypoint.iter().skip(2).filter_map(|word| word.as_str()).collect();
        let mounts = self.compose.mounts(service);
        let volume = mounts.iter().find(|(_, target)| target == directory).map(|(source, _)| source);
        let written = self.compose.mounts("init");
        let written = written.iter().find(|(source, _)| Some(source) == volume).map(|(_, target)| target);
        // The arguments are the directories, in the order in which the script names them.
        let at = arguments.iter().position(|argument| written.is_some_and(|target| target == argument));
        at.and_then(|at| crate::secrets::READERS.get(at))
            .is_some_and(|reader| self.init.contains(&format!("write \"${reader}/{file}\"")))
    }

    /// What is mounted is there, and what is declared is used.
    fn mounts(&mut self) {
        for service in self.compose.services() {
            for (source, target) in self.compose.mounts(&service) {
                let known = match source.strip_prefix("./") {
                    Some(path) => repository(path).exists(),
                    None => self.compose.declared("volumes", &source).is_some(),
                };
                self.expect(known, format!("{service}: {source} is not there"));
                self.expect(target.starts_with('/'), format!("{service}: {target} is no place to mount"));
            }
            for network in self.compose.networks(&service).into_keys() {
                let declared = self.compose.declared("networks", &network).is_some();
                self.expect(declared, format!("{service}: {network} is no network"));
            }
        }
        for (service, target) in
            [("load-balancer", "/usr/local/etc/haproxy/haproxy.cfg"), ("init", "/deploy/init.sh")]
        {
            let mounted = self.compose.mounts(service).iter().any(|(_, other)| other == target);
            self.expect(mounted, format!("{service}: {target} is not mounted"));
        }
        let script = self.compose.service("init")["entrypoint"][1] == "/deploy/init.sh";
        self.expect(script, "init: does not run its script");
        for service in self.compose.ours() {
            let sealed = self.compose.service(&service)["read_only"] == true;
            self.expect(sealed, format!("{service}: can be written to"));
        }
    }

    /// Every image has a version, ours runs as nobody's root, and what it is made of is there.
    fn images(&mut self) {
        let composed = self.compose.services().into_iter();
        let composed =
            composed.map(|name| self.compose.service(&name)["image"].as_str().unwrap_or("").to_owned());
        let built =
            self.dockerfile.all("FROM").into_iter().map(|from| from.split(' ').next().unwrap().to_owned());
        for image in composed.chain(built.collect::<Vec<_>>()).collect::<Vec<_>>() {
            let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
            self.expect(tag.is_some_and(|tag| tag != "latest"), format!("{image:?} is any version"));
        }
        let rust = self
            .dockerfile
            .all("FROM")
            .first()
            .is_some_and(|from| from.starts_with(&format!("rust:{}-", env!("CARGO_PKG_RUST_VERSION"))));
        self.expect(rust, "the image is not built with the Rust version of Cargo.toml");
        let user = self.dockerfile.last("USER").to_owned();
        let number = user.split(':').next().unwrap_or_default();
        self.expect(
            number.parse().is_ok_and(|number: u32| number > 0),
            format!("the image runs as {user:?}"),
        );
        let given = self.init.contains(&format!("write \"$symbolon/token_key\" {number}\n"));
        self.expect(given, format!("init makes the secrets for somebody else than user {number}"));
        let entrypoint = self.dockerfile.exec("ENTRYPOINT");
        let copied = self.dockerfile.all("COPY").iter().any(|copy| {
            copy.starts_with("--from=")
                && copy.split(' ').next_back() == entrypoint.first().map(String::as_str)
        });
        self.expect(copied, "what the image runs is not copied into it");
    }

    /// One service builds the image, once; whoever else runs it starts later, and never takes another one of that name.
    fn builds(&mut self) {
        let builders = self.compose.builders();
        self.expect(builders == ["migrate"], format!("the image is built by {builders:?}"));
        for replica in self.compose.replicas() {
            let local = self.compose.service(&replica)["pull_policy"] == "never";
            self.expect(local, format!("{replica}: its image may be pulled"));
        }
    }

    /// The image keeps the embedded stores in a volume that its user may write to. Who has no such store makes none.
    fn data(&mut self) {
        let directory = self.dockerfile.environment().remove("SYMBOLON_DATA_DIR").unwrap_or_default();
        let volumes = self.dockerfile.exec("VOLUME");
        self.expect(volumes == [directory.as_str()], format!("{directory} goes with the container"));
        let owner = format!("--chown={} ", self.dockerfile.last("USER"));
        let made = self
            .dockerfile
            .all("COPY")
            .iter()
            .any(|copy| copy.contains(&owner) && copy.split(' ').next_back() == Some(directory.as_str()));
        self.expect(made, format!("{directory} is not its user's"));
        for service in self.compose.ours() {
            let covered = self.compose.tmpfs(&service).contains(&directory);
            self.expect(covered, format!("{service}: leaves an empty volume behind"));
        }
    }

    /// Every command of ours is one.
    fn commands(&mut self) {
        let program = self.dockerfile.exec("ENTRYPOINT");
        let mut commands = vec![("the image".to_owned(), self.dockerfile.exec("CMD"))];
        let mut checks = vec![("the image".to_owned(), self.dockerfile.exec("HEALTHCHECK"))];
        for service in self.compose.ours() {
            commands.push((service.clone(), self.compose.command(&service)));
            if self.compose.service(&service)["healthcheck"]["disable"] != true {
                checks.push((service.clone(), self.compose.healthcheck(&service)));
            }
        }
        for (whose, check) in checks {
            let words: Vec<String> = check.into_iter().filter(|word| word != "CMD").collect();
            let (first, rest) = words.split_at(words.len().min(1));
            self.expect(first == program, format!("{whose}: its health check runs {first:?}"));
            let asks = rest.first().is_some_and(|command| command == "healthcheck");
            self.expect(asks, format!("{whose}: its health check asks nothing"));
            commands.push((whose, rest.to_vec()));
        }
        for (whose, command) in commands {
            let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
            arguments.push("--help");
            let output = cli::cli(&Environment::new(), &arguments);
            let known = output.status == Some(0) && !command.is_empty();
            self.expect(known, format!("{whose}: {command:?} is no command: {}", output.stderr));
        }
    }

    /// The replicas listen where the load balancer sends, and that is published where the issuer says.
    fn ports(&mut self) {
        let replicas = self.compose.replicas();
        self.expect(replicas.len() >= 2, "there are no two replicas");
        let names: Vec<&String> = self.balancer.servers.iter().map(|(name, _)| name).collect();
        let all = names.len() == replicas.len() && replicas.iter().all(|replica| names.contains(&replica));
        self.expect(all, format!("the load balancer knows {names:?}, and there are {replicas:?}"));
        for (name, address) in self.balancer.servers.clone() {
            let expected = format!("{name}:{}", self.port(&name));
            self.expect(address == expected, format!("{name} listens on {expected}, not on {address}"));
            let management = self.environment(&name).remove("SYMBOLON_MANAGEMENT_LISTEN").unwrap_or_default();
            let reached = management.starts_with("0.0.0.0:");
            self.expect(reached, format!("{name}: no Prometheus reaches {management:?}"));
            let apart = port(&management) != self.port(&name);
            self.expect(apart, format!("{name}: the load balancer leads to {management}"));
        }
        for replica in &replicas {
            let port = self.port(replica);
            self.expect(self.dockerfile.last("EXPOSE") == port, format!("the image does not expose {port}"));
            let issuer = self.environment(replica).remove("SYMBOLON_ISSUER").unwrap_or_default();
            let published = self.compose.published("load-balancer");
            let [address, outside, inside] = published.first().map(Vec::as_slice).unwrap_or_default() else {
                self.faults.push("the load balancer is not published on one address".to_owned());
                continue;
            };
            let reached = issuer == format!("http://{address}:{outside}");
            self.expect(reached, format!("{replica}: clients do not reach {issuer}"));
            let loopback = address.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback());
            self.expect(loopback, format!("plain http is published on {address}"));
            let bound = self.balancer.bind == format!(":{inside}");
            self.expect(bound, format!("the load balancer binds {}, not {inside}", self.balancer.bind));
        }
        for (scheme, service, port) in [("redis", "redis", 6379), ("postgres", "postgres", 5432)] {
            let url =
                self.init.split(&format!("'{scheme}://")).nth(1).and_then(|rest| rest.split('\'').next());
            let leads = url.is_some_and(|url| url.contains(&format!("@{service}:{port}")));
            self.expect(leads, format!("the {scheme} URL does not lead to {service}:{port}"));
        }
        let variables = self.compose.environment("postgres").0;
        let fits = variables.get("POSTGRES_USER").zip(variables.get("POSTGRES_DB")).is_some_and(
            |(user, database)| {
                self.init.contains(&format!("postgres://{user}:%s@"))
                    && self.init.contains(&format!(":5432/{database}?"))
            },
        );
        self.expect(fits, "database_url names another user or database than POSTGRES_USER and POSTGRES_DB");
    }

    /// The replicas trust the load balancer's address, and only it is reached from outside.
    fn networks(&mut self) {
        let front = self.compose.networks("load-balancer");
        let [(front, Some(address))] = &front.into_iter().collect::<Vec<_>>()[..] else {
            self.faults.push("the load balancer has not one network with a fixed address".to_owned());
            return;
        };
        let declared = self.compose.declared("networks", front).cloned().unwrap_or_default();
        let pool = &declared["ipam"]["config"][0];
        let block = |key: &str| pool[key].as_str()?.parse::<IpNet>().ok();
        let ip = address.parse::<IpAddr>().ok();
        let inside = block("subnet").zip(ip).is_some_and(|(subnet, ip)| subnet.contains(&ip));
        self.expect(inside, format!("{address} is not on {front}"));
        let kept = block("ip_range").zip(ip).is_some_and(|(range, ip)| !range.contains(&ip));
        self.expect(kept, format!("{address} may be given to another on {front}"));
        let fits =
            block("subnet").zip(block("ip_range")).is_some_and(|(subnet, range)| subnet.contains(&range));
        self.expect(fits, format!("what is given away on {front} is not on it"));
        for replica in self.compose.replicas() {
            let trusted = self.environment(&replica).remove("SYMBOLON_TRUSTED_PROXIES").unwrap_or_default();
            self.expect(trusted == *address, format!("{replica} trusts {trusted:?}, not {address}"));
            let reached = self.compose.networks(&replica).contains_key(front);
            self.expect(reached, format!("{replica} is not on {front}"));
        }
        for store in ["redis", "postgres"] {
            for network in self.compose.networks(store).into_keys() {
                let closed =
                    self.compose.declared("networks", &network).is_some_and(|it| it["internal"] == true);
                self.expect(closed, format!("{store}: {network} is open to others"));
                for other in self.compose.ours() {
                    let reaches = self.compose.networks(&other).contains_key(&network);
                    self.expect(reaches, format!("{other} does not reach {store}"));
                }
            }
        }
        for service in self.compose.services() {
            let published = !self.compose.published(&service).is_empty();
            self.expect(!published || service == "load-balancer", format!("{service} is published"));
        }
    }

    /// Secrets, then stores, then one migration, then replicas, then the load balancer.
    fn order(&mut self) {
        let mut waits = vec![
            ("redis".to_owned(), "init".to_owned(), "service_completed_successfully"),
            ("postgres".to_owned(), "init".to_owned(), "service_completed_successfully"),
            ("migrate".to_owned(), "postgres".to_owned(), "service_healthy"),
        ];
        for replica in self.compose.replicas() {
            waits.push((replica.clone(), "migrate".to_owned(), "service_completed_successfully"));
            waits.push((replica.clone(), "redis".to_owned(), "service_healthy"));
            waits.push(("load-balancer".to_owned(), replica, "service_healthy"));
        }
        for (who, whom, until) in waits {
            let waited = self.compose.waits_for(&who).get(&whom).is_some_and(|condition| condition == until);
            self.expect(waited, format!("{who} does not wait for {whom}: {until}"));
        }
        for service in self.compose.services() {
            for (other, condition) in self.compose.waits_for(&service) {
                let known = match condition.as_str() {
                    "service_healthy" => !self.compose.healthcheck(&other).is_empty(),
                    // One that is restarted is never completed.
                    _ => {
                        self.compose.service(&other)["image"].is_string()
                            && self.compose.service(&other)["restart"].is_null()
                    }
                };
                self.expect(known, format!("{service}: {other} never becomes {condition}"));
            }
        }
    }

    fn redis(&mut self) {
        let command = self.compose.command("redis");
        for flag in ["--appendonly yes", "--maxmemory-policy noeviction", "--aclfile /secrets/users.acl"] {
            self.expect(command.join(" ").contains(flag), format!("redis lacks {flag}"));
        }
        let documented = read("docs/REDIS-KEYS.md");
        let rights = documented.split("resetkeys").nth(1).and_then(|rest| rest.split("\n```").next());
        let rights = rights.unwrap_or_default().replace('\\', " ");
        let rights = rights.split_whitespace().collect::<Vec<_>>().join(" ");
        let given = self.init.contains(&format!("resetkeys {rights}\n"));
        self.expect(given, "the rights of Redis's user are not those of docs/REDIS-KEYS.md");
    }

    /// A replica is stopped politely, and for as long as it needs.
    fn stopping(&mut self) {
        for replica in self.compose.replicas() {
            let grace = self.compose.duration(&replica, "stop_grace_period").unwrap_or_default();
            let fits = grace > LONGEST_STOP;
            self.expect(fits, format!("{replica} is killed after {grace:?}, and may need {LONGEST_STOP:?}"));
        }
        self.expect(self.dockerfile.last("STOPSIGNAL") == "SIGTERM", "the image is not stopped with SIGTERM");
    }

    /// The load balancer waits as long as the server promises to take, and sees a stopping replica in time.
    fn timeouts(&mut self) {
        let setting = |name: &str| {
            let default = SETTINGS.iter().find(|setting| setting.name == name).and_then(|it| it.default);
            duration::parse(default.unwrap_or_default()).unwrap()
        };
        let behind = |words: &[&str]| self.balancer.duration(words).unwrap_or_default();
        let looks = self.balancer.number("fall").unwrap_or(u32::MAX).saturating_add(1);
        let (seen, drain) = (behind(&["inter"]).saturating_mul(looks), setting("drain_delay"));
        let (check, server, revoke) = (
            behind(&["timeout", "check"]),
            behind(&["timeout", "server"]),
            behind(&["set-timeout", "server"]),
        );
        let request = behind(&["timeout", "http-request"]);
        let wait = setting("revoke_wait");
        self.expect(
            !seen.is_zero() && seen <= drain,
            format!("a stopping replica is seen after {seen:?}, and takes requests for {drain:?}"),
        );
        // `/readyz` waits a second for SQL, and answers 200 while its absence is ridden out.
        self.expect(check >= Duration::from_secs(2), format!("timeout check is {check:?}"));
        self.expect(
            server > Duration::from_secs(2),
            format!("timeout server is {server:?}, and 2 s are promised"),
        );
        self.expect(
            revoke > wait,
            format!("a revocation is given up after {revoke:?}, and waits for {wait:?}"),
        );
        let patient = !request.is_zero() && request <= Duration::from_secs(10);
        self.expect(patient, format!("a request may take {request:?} to arrive"));
        for line in
            ["option http-buffer-request", "disable-l7-retry unless may_repeat or METH_GET", "uri /readyz"]
        {
            self.expect(self.balancer.has(line), format!("haproxy.cfg lacks {line:?}"));
        }
    }
}

fn port(address: &str) -> String {
    address.rsplit_once(':').map(|(_, port)| port.to_owned()).unwrap_or_default()
}
