//! The files fit together; and each slip of the pen is found.

use crate::faults::Files;

#[test]
fn the_compose_file_the_image_and_the_load_balancer_fit_the_code_and_each_other() {
    let faults = Files::read().faults();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

enum In {
    Compose,
    Dockerfile,
    Balancer,
    Init,
}
use In::{Balancer, Compose, Dockerfile, Init};

/// A slip: where, what stands there, what would stand there, and what has to be said of it.
const SLIPS: &[(In, &str, &str, &str)] = &[
    (Compose, "SYMBOLON_ISSUER:", "SYMBOLON_ISSUR:", "SYMBOLON_ISSUR is no setting"),
    (Compose, "SYMBOLON_TRUSTED_PROXIES:", "SYMBOLON_TRUSTED_PROXIES_FILE:", "is no setting"),
    (Compose, "SYMBOLON_TOKEN_KEY_FILE: /secrets/token_key", "SYMBOLON_TOKEN_KEY: c2VjcmV0", "is a secret"),
    (Compose, "/secrets/redis_url", "/secrets/redis-url", "nobody makes /secrets/redis-url"),
    (Compose, "POSTGRES_PASSWORD_FILE: /secrets/password", "POSTGRES_PASSWORD: hunter2", "is a secret"),
    (Compose, "/secrets/password", "/run/secrets/password", "nobody makes /run/secrets/password"),
    (Compose, "/secrets/users.acl", "/secrets/acl", "nobody makes /secrets/acl"),
    (Compose, "/secrets/redis, /secrets/postgres]", "/secrets/postgres, /secrets/redis]", "nobody makes"),
    (Compose, "./deploy/haproxy.cfg:", "./deploy/haproxy.conf:", "./deploy/haproxy.conf is not there"),
    (Compose, "- symbolon-secrets:/secrets:ro", "- secrets:/secrets:ro", "secrets is not there"),
    (Compose, "/etc/haproxy/haproxy.cfg:ro", "/etc/haproxy.cfg:ro", "haproxy.cfg is not mounted"),
    (Compose, "read_only: true", "read_only: false", "can be written to"),
    (Compose, "networks: [front, back]", "networks: [front, backend]", "backend is no network"),
    (Compose, "image: redis:7.2-bookworm", "image: redis", "\"redis\" is any version"),
    (Compose, "image: haproxy:2.6-bookworm", "image: haproxy:latest", "is any version"),
    (Compose, "command: [serve]", "command: [server]", "is no command"),
    (Compose, "command: [migrate]", "command: [migrate, --all]", "is no command"),
    (Compose, "symbolon, healthcheck]", "symbolon, healthcheck, --alive]", "is no command"),
    (Compose, "[CMD, /usr/local/bin/symbolon, healthcheck]", "[CMD, curl, localhost]", "health check runs"),
    (Compose, "127.0.0.1:8080:8080", "127.0.0.1:8081:8080", "clients do not reach"),
    (Compose, "127.0.0.1:8080:8080", "127.0.0.1:8080:8081", "binds :8080, not 8081"),
    (Compose, "127.0.0.1:8080:8080", "0.0.0.0:8080:8080", "plain http is published on 0.0.0.0"),
    (Compose, "  replica-2:\n    <<: *replica", "  replica-3:\n    <<: *replica", "the load balancer knows"),
    (Compose, "POSTGRES_DB: symbolon", "POSTGRES_DB: tokens", "another user or database"),
    (Compose, "PROXIES: 172.31.240.2", "PROXIES: 172.31.240.3", "trusts \"172.31.240.3\""),
    (Compose, "PROXIES: 172.31.240.2", "PROXIES: 0.0.0.0/0", "trusts \"0.0.0.0/0\""),
    (Compose, "subnet: 172.31.240.0/28", "subnet: 172.31.241.0/28", "is not on front"),
    (
        Compose,
        "ip_range: 172.31.240.8/29",
        "ip_range: 172.31.240.0/29",
        "172.31.240.2 may be given to another",
    ),
    (Compose, "          ip_range: 172.31.240.8/29\n", "", "172.31.240.2 may be given to another"),
    (Compose, "ip_range: 172.31.240.8/29", "ip_range: 172.31.241.8/29", "given away on front is not on it"),
    (
        Compose,
        "MANAGEMENT_LISTEN: 0.0.0.0:9080",
        "MANAGEMENT_LISTEN: 127.0.0.1:9080",
        "no Prometheus reaches",
    ),
    (Compose, "MANAGEMENT_LISTEN: 0.0.0.0:9080", "MANAGEMENT_LISTEN: 0.0.0.0:8080", "load balancer leads to"),
    (Compose, "    build: .\n    command: [migrate]", "    command: [migrate]", "is built by []"),
    (
        Compose,
        "  <<: *symbolon\n  # Built",
        "  <<: *symbolon\n  build: .\n  # Built",
        "\"replica-1\", \"replica-2\"]",
    ),
    (Compose, "  pull_policy: never\n", "", "its image may be pulled"),
    (Compose, "tmpfs: [/home/nonroot/symbolon-data]", "tmpfs: [/tmp]", "leaves an empty volume behind"),
    (Compose, "internal: true", "internal: false", "is open to others"),
    (Compose, "condition: service_completed_successfully", "condition: service_started", "does not wait for"),
    (Compose, "      replica-1:\n        condition: service_healthy\n", "", "does not wait for replica-1"),
    (Compose, "    healthcheck:\n      disable: true", "    restart: always", "never becomes"),
    (Compose, "      - \"yes\"", "      - \"no\"", "redis lacks --appendonly yes"),
    (Compose, "- noeviction", "- allkeys-lru", "redis lacks --maxmemory-policy noeviction"),
    (Compose, "stop_grace_period: 20s", "stop_grace_period: 10s", "is killed after 10s"),
    (Compose, "  stop_grace_period: 20s\n", "", "is killed after 0ns"),
    (
        Dockerfile,
        "FROM rust:1.95-slim-bookworm",
        "FROM rust:1.80-slim-bookworm",
        "Rust version of Cargo.toml",
    ),
    (
        Dockerfile,
        "FROM gcr.io/distroless/cc-debian12:nonroot",
        "FROM gcr.io/distroless/cc-debian12",
        "any version",
    ),
    (Dockerfile, "USER 65532:65532", "USER 0:0", "the image runs as \"0:0\""),
    (Dockerfile, "USER 65532:65532", "USER 1000:1000", "for somebody else than user 1000"),
    (Dockerfile, "SYMBOLON_LISTEN=0.0.0.0:8080", "SYMBOLON_LISTEN=0.0.0.0:8000", "listens on replica-1:8000"),
    (Dockerfile, "SYMBOLON_DATA_DIR", "SYMBOLON_DATA", "SYMBOLON_DATA is no setting"),
    (
        Dockerfile,
        "VOLUME [\"/home/nonroot/symbolon-data\"]",
        "VOLUME [\"/data\"]",
        "symbolon-data goes with the container",
    ),
    (Dockerfile, "--chown=65532:65532", "--chown=0:0", "symbolon-data is not its user's"),
    (Dockerfile, "EXPOSE 8080", "EXPOSE 80", "does not expose 8080"),
    (Dockerfile, "\"healthcheck\", \"--live\"", "\"healthcheck\", \"--life\"", "is no command"),
    (Dockerfile, "CMD [\"serve\"]", "CMD [\"run\"]", "is no command"),
    (
        Dockerfile,
        "ENTRYPOINT [\"/usr/local/bin/symbolon\"]",
        "ENTRYPOINT [\"/symbolon\"]",
        "is not copied into it",
    ),
    (Dockerfile, "STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL", "not stopped with SIGTERM"),
    (Balancer, "bind :8080", "bind :8000", "binds :8000, not 8080"),
    (
        Balancer,
        "server replica-1 replica-1:8080",
        "server replica-1 replica-1:80",
        "listens on replica-1:8080",
    ),
    (Balancer, "    server replica-2 replica-2:8080", "", "the load balancer knows [\"replica-1\"]"),
    (Balancer, "inter 500ms", "inter 2s", "a stopping replica is seen after 6s"),
    (Balancer, "timeout check 3s", "timeout check 1s", "timeout check is 1s"),
    (Balancer, "timeout server 3s", "timeout server 1s", "timeout server is 1s"),
    (Balancer, "set-timeout server 15s", "set-timeout server 5s", "is given up after 5s"),
    (Balancer, "timeout http-request 5s", "", "may take 0ns to arrive"),
    (Balancer, "option http-buffer-request", "", "lacks \"option http-buffer-request\""),
    (Balancer, "disable-l7-retry unless may_repeat or METH_GET", "disable-l7-retry if METH_GET", "lacks"),
    (Init, "$symbolon/redis_url\"", "$symbolon/redis\"", "nobody makes /secrets/redis_url"),
    (Init, "@redis:6379", "@redis:6380", "does not lead to redis:6379"),
    (Init, "@postgres:5432/symbolon", "@db:5432/symbolon", "does not lead to postgres:5432"),
    (Init, "~symbolon:witness", "~*", "docs/REDIS-KEYS.md"),
];

#[test]
fn each_slip_of_the_pen_is_found() {
    let files = Files::read();
    for (place, from, to, says) in SLIPS {
        let mut slipped = files.clone();
        let text = match place {
            Compose => &mut slipped.compose,
            Dockerfile => &mut slipped.dockerfile,
            Balancer => &mut slipped.balancer,
            Init => &mut slipped.init,
        };
        assert!(text.contains(from), "{from:?} stands nowhere");
        *text = text.replace(from, to);
        let faults = slipped.faults();
        assert!(faults.iter().any(|fault| fault.contains(says)), "{from:?} → {to:?}: {faults:#?}");
    }
}
