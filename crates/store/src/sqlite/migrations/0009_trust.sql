-- Who from elsewhere gets short-lived tokens of an owner's robot, and which tokens those are.
CREATE TABLE trust (
    id    TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL REFERENCES owner (name) ON DELETE CASCADE,
    name  TEXT NOT NULL,
    body  TEXT NOT NULL,                 -- JSON
    UNIQUE (owner, name)
) STRICT, WITHOUT ROWID;
ALTER TABLE token ADD COLUMN trust TEXT REFERENCES trust (id) ON DELETE CASCADE;
CREATE INDEX token_by_trust ON token (trust) WHERE trust IS NOT NULL;
