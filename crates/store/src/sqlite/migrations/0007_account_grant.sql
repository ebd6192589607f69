-- Which AWS accounts may pull, and what has become of it.
CREATE TABLE account_grant (
    key        TEXT    NOT NULL PRIMARY KEY,                  -- `<who>@<what>`
    owner      TEXT    REFERENCES owner (name),               -- whose repositories are meant; none for everybody's
    generation INTEGER NOT NULL,
    body       TEXT    NOT NULL                               -- JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX account_grant_by_owner ON account_grant (owner) WHERE owner IS NOT NULL;
