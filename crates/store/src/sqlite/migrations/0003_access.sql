-- Users, owners, members, scoped tokens, the audit log; what belongs to whom.

CREATE TABLE user (
    name     TEXT    NOT NULL PRIMARY KEY,
    admin    INTEGER NOT NULL,
    password TEXT,                       -- PHC string
    created  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE owner (
    name      TEXT    NOT NULL PRIMARY KEY,
    created   INTEGER NOT NULL,
    quota     INTEGER,
    used      INTEGER NOT NULL DEFAULT 0, -- bytes of its repositories: each blob once, and every manifest
    tag_rules TEXT                        -- JSON, where there are any
) STRICT, WITHOUT ROWID;

CREATE TABLE member (
    owner TEXT    NOT NULL REFERENCES owner (name) ON DELETE CASCADE,
    user  TEXT    NOT NULL REFERENCES user (name) ON DELETE CASCADE,
    role  TEXT    NOT NULL,
    tags  TEXT,
    since INTEGER NOT NULL,
    PRIMARY KEY (owner, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_by_user ON member (user, owner);

-- Until now every token was an admin's, and every owner a prefix of names.
INSERT INTO user (name, admin, created) SELECT user, 1, min(created) FROM token GROUP BY user;
INSERT INTO owner (name, created) SELECT owner, min(created) FROM repository GROUP BY owner;
UPDATE owner SET used =
    (SELECT coalesce(sum(size), 0) FROM (SELECT DISTINCT blob_link.digest, blob_link.size FROM blob_link
        JOIN repository ON repository.number = blob_link.repository WHERE repository.owner = owner.name))
  + (SELECT coalesce(sum(length(bytes)), 0) FROM manifest
        JOIN repository ON repository.number = manifest.repository WHERE repository.owner = owner.name);

-- A token belongs to a user, or to a robot of an owner.
ALTER TABLE token RENAME TO token_before;
CREATE TABLE token (
    sequence  INTEGER NOT NULL PRIMARY KEY,
    id        TEXT    NOT NULL UNIQUE,
    hash      BLOB    NOT NULL UNIQUE,
    name      TEXT    NOT NULL,
    user      TEXT    REFERENCES user (name) ON DELETE CASCADE,
    owner     TEXT    REFERENCES owner (name) ON DELETE CASCADE,
    scopes    TEXT,                      -- JSON; none for all that the user may
    created   INTEGER NOT NULL,
    expires   INTEGER,
    last_used INTEGER,
    CHECK ((user IS NULL) <> (owner IS NULL) AND (owner IS NULL OR scopes IS NOT NULL))
) STRICT;
INSERT INTO token (sequence, id, hash, name, user, created, expires, last_used)
    SELECT sequence, id, hash, name, user, created, expires, last_used FROM token_before;
DROP TABLE token_before;
CREATE INDEX token_by_user ON token (user) WHERE user IS NOT NULL;
CREATE INDEX token_by_owner ON token (owner) WHERE owner IS NOT NULL;

CREATE TABLE audit (
    sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    who      TEXT    NOT NULL,
    token    TEXT,
    address  TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    target   TEXT    NOT NULL,
    status   INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_by_age ON audit (at);
CREATE INDEX audit_by_who ON audit (who, sequence);

ALTER TABLE repository ADD COLUMN visibility TEXT NOT NULL DEFAULT 'private';

-- Whose an environment and a deploy is; none for what belongs to the instance.
ALTER TABLE entity ADD COLUMN owner TEXT;
DROP INDEX entity_summary;
CREATE INDEX entity_summary ON entity (kind, name, id, environment_id, label, owner);
CREATE INDEX entity_by_owner ON entity (owner) WHERE owner IS NOT NULL;
ALTER TABLE deploy ADD COLUMN owner TEXT;
DROP INDEX deploy_summary;
CREATE INDEX deploy_summary ON deploy (name, version, id, label, owner);
CREATE INDEX deploy_by_owner ON deploy (owner) WHERE owner IS NOT NULL;
