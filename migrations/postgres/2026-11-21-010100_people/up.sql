-- People. name_key is the name normalised and case-folded: two spellings of a name are one name.
CREATE TABLE users (
    id                   TEXT    PRIMARY KEY,
    name                 TEXT    NOT NULL,
    name_key             TEXT COLLATE "C" NOT NULL UNIQUE,
    password_hash        TEXT,
    password_changed_at  BIGINT,
    must_change_password BOOLEAN NOT NULL,
    enabled              BOOLEAN NOT NULL,
    created_at           BIGINT  NOT NULL
);

CREATE TABLE roles (
    name       TEXT COLLATE "C" PRIMARY KEY,
    created_at BIGINT NOT NULL
);

CREATE TABLE role_permissions (
    role       TEXT COLLATE "C" NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
    permission TEXT NOT NULL,
    PRIMARY KEY (role, permission)
);

CREATE TABLE user_roles (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role    TEXT COLLATE "C" NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
    PRIMARY KEY (user_id, role)
);
CREATE INDEX user_roles_role ON user_roles (role);

CREATE TABLE user_permissions (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    permission TEXT NOT NULL,
    PRIMARY KEY (user_id, permission)
);
