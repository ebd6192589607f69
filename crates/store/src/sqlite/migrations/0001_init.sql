-- The first schema. Never edit this file once a release has shipped it: write the next one.

-- Environments, load balancers, services and tasks. `body` is the whole entity as JSON; the other columns repeat what
-- is searched for, and are written together with it, always.
CREATE TABLE entity (
    kind             TEXT    NOT NULL,
    id               TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    environment_id   TEXT    NOT NULL,   -- '' for an environment, so that the unique index below holds for it too
    generation       INTEGER NOT NULL,
    deleting         INTEGER NOT NULL,
    label            TEXT    NOT NULL,
    load_balancer_id TEXT,               -- of a service that has one
    body             TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX entity_by_id ON entity (kind, id);
-- A name is free again when its entity is gone, not before.
CREATE UNIQUE INDEX entity_by_name ON entity (environment_id, kind, name);
-- One load balancer, one service.
CREATE UNIQUE INDEX entity_by_load_balancer ON entity (load_balancer_id) WHERE load_balancer_id IS NOT NULL;
-- All that a list shows, in the order of the list: a list reads no row of the table.
CREATE INDEX entity_summary ON entity (kind, name, id, environment_id, label);

-- Which environment may reach which, repeated from the environments' bodies to answer "who is linked to this one".
CREATE TABLE environment_link (
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (source, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX environment_link_by_target ON environment_link (target, source);

CREATE TABLE deploy (
    id       TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    label    TEXT    NOT NULL,
    created  INTEGER NOT NULL,
    images   TEXT    NOT NULL,
    document TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX deploy_by_id ON deploy (id);
CREATE INDEX deploy_summary ON deploy (name, version, id, label);

-- The last version given to each name. Rows stay when deploys go, so that no version is used twice.
CREATE TABLE deploy_version (
    name TEXT    NOT NULL PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE operation (
    sequence    INTEGER NOT NULL PRIMARY KEY,   -- tells apart what was asked for in the same millisecond
    id          TEXT    NOT NULL,
    entity_kind TEXT    NOT NULL,
    entity_id   TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    created     INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX operation_by_id ON operation (id);
CREATE INDEX operation_by_age ON operation (created, sequence);
CREATE INDEX operation_running ON operation (created, sequence) WHERE state = 'running';
CREATE INDEX operation_running_by_entity ON operation (entity_kind, entity_id) WHERE state = 'running';

CREATE TABLE operation_event (
    operation INTEGER NOT NULL REFERENCES operation (sequence) ON DELETE CASCADE,
    sequence  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    message   TEXT    NOT NULL,
    PRIMARY KEY (operation, sequence)
) STRICT, WITHOUT ROWID;

-- The tags that users add.
CREATE TABLE entity_tag (
    entity_id   TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (entity_id, entity_type, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    sequence  INTEGER NOT NULL PRIMARY KEY,
    id        TEXT    NOT NULL UNIQUE,
    hash      BLOB    NOT NULL UNIQUE,
    name      TEXT    NOT NULL,
    user      TEXT    NOT NULL,
    created   INTEGER NOT NULL,
    expires   INTEGER,
    last_used INTEGER
) STRICT;

CREATE TABLE map_rule (
    rule TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (
    key   TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The registry. Tables point to each other by number, not by name: a digest has 71 characters and more.
CREATE TABLE repository (
    number  INTEGER NOT NULL PRIMARY KEY,
    name    TEXT    NOT NULL UNIQUE,
    owner   TEXT    NOT NULL,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX repository_by_owner ON repository (owner, name);

CREATE TABLE blob_link (
    repository INTEGER NOT NULL REFERENCES repository (number) ON DELETE CASCADE,
    digest     TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    linked     INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_link_by_digest ON blob_link (digest, repository);

CREATE TABLE manifest (
    number        INTEGER NOT NULL PRIMARY KEY,
    repository    INTEGER NOT NULL REFERENCES repository (number) ON DELETE CASCADE,
    digest        TEXT    NOT NULL,
    media_type    TEXT    NOT NULL,
    subject       TEXT,
    artifact_type TEXT,
    pushed        INTEGER NOT NULL,
    annotations   TEXT    NOT NULL,
    bytes         BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX manifest_by_digest ON manifest (repository, digest);
CREATE INDEX manifest_by_subject ON manifest (repository, subject, digest) WHERE subject IS NOT NULL;

-- What a manifest needs, in the order in which it names it; the same layer may stand there twice.
CREATE TABLE manifest_blob (
    manifest INTEGER NOT NULL REFERENCES manifest (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    digest   TEXT    NOT NULL,
    size     INTEGER NOT NULL,
    PRIMARY KEY (manifest, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE manifest_child (
    manifest INTEGER NOT NULL REFERENCES manifest (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    digest   TEXT    NOT NULL,
    platform TEXT,                       -- JSON, where the index names one
    PRIMARY KEY (manifest, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE image_tag (
    repository INTEGER NOT NULL REFERENCES repository (number) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    manifest   INTEGER NOT NULL REFERENCES manifest (number) ON DELETE CASCADE,
    PRIMARY KEY (repository, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_tag_by_manifest ON image_tag (manifest);
