-- Repositories that were moved to another backing, or are being moved.
CREATE TABLE repository_home (
    repository TEXT    NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL,
    body       TEXT    NOT NULL                               -- JSON
) STRICT, WITHOUT ROWID;
