//! The tables, in the types that SQLite and PostgreSQL share.

diesel::table! {
    /// One row: the head of the change feed.
    feed (id) {
        id -> Integer,
        /// Sixteen random bytes that name the feed.
        feed_id -> Binary,
        /// Number of the last change.
        number -> BigInt,
        /// Chain value of the last change.
        hash -> Binary,
        /// Changes up to this number may be missing from `changes`.
        purged_number -> BigInt,
        /// The last change that `recover` wrote; 0 if there never was one.
        recovered_number -> BigInt,
        /// The longest lifetime of a grant ever configured, in seconds.
        longest_lifetime -> BigInt,
        /// Number of the last row of the audit.
        audit_number -> BigInt,
        /// Chain value of the last row of the audit.
        audit_hash -> Binary,
        /// The last row of the audit that retention has deleted.
        audit_purged_number -> BigInt,
        /// The chain value that it had.
        audit_purged_hash -> Binary,
    }
}

diesel::table! {
    audit (number) {
        number -> BigInt,
        /// Wall clock of whoever recorded it, in Unix seconds.
        recorded_at -> BigInt,
        actor -> Text,
        /// An IP address, or the machine that a command ran on.
        place -> Nullable<Text>,
        action -> Text,
        /// What it was done to: a grant id, a client id, …
        target -> Text,
        /// More about it, for people.
        detail -> Nullable<Text>,
        /// `done`, `repeated` or `refused`.
        outcome -> Text,
        /// Why it was done; of what was refused, why it was.
        reason -> Nullable<Text>,
        /// The change that it is recorded as.
        change -> Nullable<BigInt>,
        hash -> Binary,
    }
}

diesel::table! {
    changes (number) {
        number -> BigInt,
        kind -> Text,
        /// What the change is about: a grant id, a client id, …
        target -> Text,
        /// For a revoked grant or an ended login session: its absolute end, in Unix seconds.
        ends_at -> Nullable<BigInt>,
        /// Wall clock of whoever wrote the change, in Unix seconds. Decides retention only.
        recorded_at -> BigInt,
        actor -> Text,
        reason -> Nullable<Text>,
        hash -> Binary,
    }
}

diesel::table! {
    kills (scope, target) {
        scope -> Text,
        target -> Text,
        /// Grants of this set born below this number are dead.
        number -> BigInt,
        /// When the kill may be forgotten, in Unix seconds; most kills never are.
        ends_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    restrictions (grant_id) {
        grant_id -> Text,
        /// Space-separated; the grant allows nothing beyond it.
        scope -> Nullable<Text>,
        /// When the grant ends at the latest, in Unix seconds.
        ends_at -> Nullable<BigInt>,
        /// When it was frozen last, and thawed since, in Unix seconds.
        frozen_at -> Nullable<BigInt>,
        thawed_at -> Nullable<BigInt>,
        /// The grant's own end, in Unix seconds: then the row may be forgotten.
        needed_until -> BigInt,
        /// The last change that made any of this.
        number -> BigInt,
    }
}

diesel::table! {
    replicas (incarnation) {
        incarnation -> Text,
        name -> Text,
        /// The change number this replica has published to its workers.
        applied -> BigInt,
        /// Grows with each renewal.
        beat -> BigInt,
        /// The replica's lease length, in milliseconds.
        lease_ms -> BigInt,
        /// The newest version of grant records that it reads.
        record_version -> BigInt,
    }
}

diesel::table! {
    token_keys (fingerprint) {
        fingerprint -> Text,
        /// When tokens were last made under this key, in Unix seconds, within minutes.
        last_used_at -> BigInt,
    }
}

diesel::table! {
    clients (id) {
        id -> Text,
        name -> Text,
        public -> Bool,
        /// Space-separated.
        grant_types -> Text,
        /// Space-separated.
        scope -> Text,
        /// Seconds; the server's default where it is missing.
        access_token_ttl -> Nullable<BigInt>,
        enabled -> Bool,
        /// SHA-256.
        secret_digest -> Nullable<Binary>,
        previous_secret_digest -> Nullable<Binary>,
        /// Unix seconds.
        previous_secret_expires_at -> Nullable<BigInt>,
        created_at -> BigInt,
        /// Space-separated.
        redirect_uris -> Text,
        /// Seconds; the default where it is missing.
        refresh_retry_window -> Nullable<BigInt>,
        /// Space-separated.
        origins -> Text,
    }
}

diesel::table! {
    resource_servers (id) {
        id -> Text,
        name -> Text,
        /// The audience URI.
        identifier -> Text,
        /// Space-separated.
        scope -> Text,
        may_revoke -> Bool,
        enabled -> Bool,
        secret_digest -> Binary,
        previous_secret_digest -> Nullable<Binary>,
        previous_secret_expires_at -> Nullable<BigInt>,
        created_at -> BigInt,
        /// Space-separated.
        scopes_needing_permission -> Text,
        include_roles -> Bool,
        /// A JSON object: what scopes mean, in words.
        scope_descriptions -> Text,
    }
}

diesel::table! {
    users (id) {
        id -> Text,
        /// As it was given.
        name -> Text,
        /// What names are compared by; unique.
        name_key -> Text,
        /// A PHC string; no password opens a user that has none.
        password_hash -> Nullable<Text>,
        /// Unix seconds.
        password_changed_at -> Nullable<BigInt>,
        must_change_password -> Bool,
        enabled -> Bool,
        created_at -> BigInt,
    }
}

diesel::table! {
    roles (name) {
        name -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    role_permissions (role, permission) {
        role -> Text,
        permission -> Text,
    }
}

diesel::table! {
    user_roles (user_id, role) {
        user_id -> Text,
        role -> Text,
    }
}

diesel::table! {
    user_permissions (user_id, permission) {
        user_id -> Text,
        permission -> Text,
    }
}

diesel::table! {
    consents (user_id, client_id) {
        user_id -> Text,
        client_id -> Text,
        /// Space-separated.
        scope -> Text,
        /// Unix seconds.
        granted_at -> BigInt,
    }
}

diesel::table! {
    /// Where grants were last introspected with success.
    introspected (grant_id) {
        grant_id -> Text,
        resource_server_id -> Text,
        /// Unix seconds.
        at -> BigInt,
        /// The grant's own end, in Unix seconds.
        ends_at -> BigInt,
    }
}

// The embedded grant store is a SQLite file of its own.

diesel::table! {
    grants (id) {
        id -> Binary,
        record -> Binary,
        /// When the record may be deleted, in Unix seconds: some seconds after the grant's end.
        expires_at -> BigInt,
    }
}

diesel::table! {
    /// One row, once the store carries a witness.
    witness (id) {
        id -> Integer,
        position -> Binary,
    }
}
